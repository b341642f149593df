"""What a writer of the journal says of itself: the headers of its segments, and whether it has had the time to write one.

Invariants: what has a wrong type, or is a number that nobody could hold, is left out, as if it were not said; a header that is damaged is none.
Owns: reading and believing headers. Leaves what to conclude to `journal_tail`, whether the process lives to `journal.liveness`.
"""

from __future__ import annotations

import json
from typing import Any

from .. import identity
from ..errors import SegmentError
from ..journal import reader
from ..journal.format import LOCK_SUFFIX, SEGMENT_SUFFIX, segment_name
from ..system import os, time
from .decode import clean
from .spool import Files

MAX_WORD = 4096  # characters of a word in a header
BIRTH_SECONDS = 2.0  # from lock to header it takes less than a millisecond, unless somebody stops it in between
_NUMBERS = {"pid": 1 << 31, "start": 1 << 63, "t": 1 << 63, "uid": 1 << 32}
_WORDS = ("boot", "argv0", "py", "node", "role")


def newest_head(files: Files, salt: int) -> dict[str, Any]:
    """Return the newest readable header, empty when there is none. Raises OSError where the disk does not give it now."""
    for number in sorted(files.sizes, reverse=True):
        head = head_of(files, number, salt)
        if head:
            return head
    return {}


def head_of(files: Files, number: int, salt: int) -> dict[str, Any]:
    """Return the header of one segment, empty when it has none that makes sense. Raises OSError where the disk does not give it now."""
    try:
        fd = files.open(segment_name(files.writer, number, SEGMENT_SUFFIX))
    except (OSError, SegmentError):
        return {}
    try:
        frames = reader.read_chunk(fd, salt, 0, 4096).frames
        head = clean(json.loads(frames[0][2])) if frames else None
    except (ValueError, RecursionError):
        return {}
    finally:
        os.close(fd)
    return _sane(head) if isinstance(head, dict) and head.get("k") == "head" else {}


def is_being_born(files: Files) -> bool:
    """Tell whether a writer that has no header yet has files that are young and empty.

    Its lock alone does not say that it lives: there are file systems without locks, and then only the process that a header names tells.
    """
    if any(files.sizes.values()):
        return False
    times = list(files.times.values())
    try:
        times.append(os.lstat(files.path(LOCK_SUFFIX)).st_mtime)
    except OSError:
        pass
    now = time.time()
    return any(abs(now - moment) < BIRTH_SECONDS for moment in times)


def run_of(value: object) -> str:
    """Return *value* if it is the id of a run, else nothing."""
    return value if isinstance(value, str) and identity.is_ulid(value) else ""


def program_of(argv0: object) -> str:
    """Return what a pipeline is called whose writer names only its program."""
    name = argv0 if isinstance(argv0, str) and argv0 else "unknown"
    return name[:-3] if name.endswith(".py") and name != ".py" else name


def _sane(head: dict[str, Any]) -> dict[str, Any]:
    """Keep of a header what has the right type, and is no number that nobody could hold."""
    return {
        key: value
        for key, value in head.items()
        if (key not in _NUMBERS or (type(value) is int and 0 <= value < _NUMBERS[key]))
        and (key not in _WORDS or (isinstance(value, str) and len(value) <= MAX_WORD))
    }
