"""How long the oldest record has been waiting to be shipped.

Invariants: a bounded number of files is read per look; what stands at a position does not change, so it is read once; bytes that are no record
(torn, being written) do not wait. Owns: finding that moment. Never raises.
"""

from __future__ import annotations

import json

from ..config.control import NOTHING_WAITS
from ..errors import SegmentError
from ..journal import reader
from ..journal.capture import read_index
from ..journal.format import INDEX_SUFFIX, SEGMENT_SUFFIX, salt_of, segment_name
from ..system import os
from .acknowledged import Acknowledged
from .sink import Position
from .spool import CAPTURE, Files

READS = 256  # files per look; the rest is read at the next ones
FIRST_BYTES = 4096
NOWHERE = Position()


class Oldest:
    """Remembers what it has read."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, int]] = {}  # writer -> segment, offset, ns

    def look(self, found: dict[str, Files], acknowledged: Acknowledged) -> int:
        """Return when the oldest record was made that is not in the store, in ns since the epoch; NOTHING_WAITS when all are."""
        known: dict[str, tuple[int, int, int]] = {}
        reads = 0
        closed = acknowledged.closed()
        for writer, files in found.items():
            if writer in closed:
                continue
            at = acknowledged.position(writer) or NOWHERE
            number, offset = at.segno, at.offset
            while files.sizes.get(number, 0) <= offset:
                later = files.next_after(number)
                if later is None:
                    break
                number, offset = later, 0
            if files.sizes.get(number, 0) <= offset:
                continue
            one = self._known.get(writer)
            if one is None or one[:2] != (number, offset) or not one[2]:
                if reads >= READS:
                    continue
                reads += 1
                one = (number, offset, _time_at(files, number, offset))
            known[writer] = one
        self._known = known
        return min((one[2] for one in known.values() if one[2]), default=NOTHING_WAITS)


def _time_at(files: Files, number: int, offset: int) -> int:
    """Return when what stands at a position was recorded; 0 when no record stands there."""
    if files.kind == CAPTURE:
        path = os.path.join(files.directory, segment_name(files.writer, number, INDEX_SUFFIX))
        index = read_index(path, files.uid)
        return _believed(next((ns for end, ns in index if end > offset), int(files.times.get(number, 0.0) * 1e9)))
    try:
        fd = files.open(segment_name(files.writer, number, SEGMENT_SUFFIX))
    except (OSError, SegmentError):
        return 0
    try:
        for _, _, payload in reader.read_chunk(fd, salt_of(files.writer), offset, FIRST_BYTES).frames:
            record = json.loads(payload)
            if record.get("k") != "head" and isinstance(record.get("t"), int):
                return _believed(record["t"])
    except (OSError, ValueError, AttributeError, RecursionError):
        pass
    finally:
        os.close(fd)
    return 0


def _believed(ns: int) -> int:
    """Return a time if a calendar may have it, else 0: whoever wrote it may have been anybody."""
    return ns if 0 < ns < 1 << 63 else 0
