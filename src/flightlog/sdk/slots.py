"""One checkpoint as files: versioned, checked, replaced by rename, and the one before kept until the next one is whole.

    <name>.0, <name>.1      flightlog-checkpoint 1 <crc32, 8 hex> <bytes behind this line>\n<facts as JSON>\n<text>

Invariants: a file appears under its name whole and flushed, or not at all (temporary file, fsync, rename, fsync of the directory); 0600; the newer
of two valid files counts, so that a torn or damaged one gives way to the one before; a later version of the form is not read. Owns: the form and the
two places. Leaves what is kept to `lineage` and `checkpoint`. Standard library only.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
from zlib import crc32

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORM = 1
MAGIC = b"flightlog-checkpoint"
MAX_BYTES = 4 << 20  # of one file: more is none of ours
PLACES = (".0", ".1")
UNFINISHED = ".new."
_count = itertools.count().__next__


class Slot:
    """What one file holds.

    Attributes:
        n: the how-manieth checkpoint of this name it is.
        facts: what its writer said of it.
        text: the value as JSON, or empty.
    """

    __slots__ = ("facts", "n", "text")

    def __init__(self, n: int, facts: dict[str, Any], text: str) -> None:
        self.n, self.facts, self.text = n, facts, text


class Unreadable(ValueError):
    """A file that is no whole checkpoint of a version that we know."""


def pack(slot: Slot) -> bytes:
    """Return the bytes of a file. Raises ValueError for what JSON cannot carry."""
    facts = json.dumps(dict(slot.facts, n=slot.n), separators=(",", ":")).encode("ascii")
    body = facts + b"\n" + slot.text.encode("ascii")
    return b"%s %d %08x %d\n" % (MAGIC, FORM, crc32(body), len(body)) + body


def unpack(data: bytes) -> Slot:
    """Return what a file's bytes hold. Raises Unreadable."""
    head, _, body = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 4 or words[0] != MAGIC:
        raise Unreadable("is no checkpoint")
    if words[1] != b"%d" % FORM:
        raise Unreadable("has version %s, this flightlog reads %d" % (ascii(words[1].decode("latin-1")), FORM))
    if words[3] != b"%d" % len(body) or words[2] != b"%08x" % crc32(body):
        raise Unreadable("is torn or damaged")
    try:
        facts, _, text = body.decode("ascii").partition("\n")
        known = json.loads(facts)
        return Slot(int(known["n"]), known, text)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Unreadable("says nothing that can be read") from problem


def read(folder: str, name: str, troubles: list[str] | None = None) -> Slot | None:
    """Return the newest whole checkpoint called *name*, None when there is none. Never raises.

    Args:
        folder: the directory.
        name: without its place.
        troubles: is told of files that could not be used.
    """
    best = None
    for place in PLACES:
        path = os.path.join(folder, name + place)
        try:
            found = unpack(identity.read_plain(path, MAX_BYTES))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as problem:
            if troubles is not None:
                troubles.append("%s %s" % (path, getattr(problem, "strerror", None) or problem))
            continue
        if best is None or found.n > best.n:
            best = found
    return best


def store(folder: str, name: str, facts: dict[str, Any], text: str = "", before: Slot | None = None) -> int:
    """Keep a new checkpoint called *name* in place of the older one of two; return its number. It survives a power cut.

    *before*: the newer of the two, if that was read a moment ago. Blocks for as long as the disk takes to flush a file and its directory.
    Raises OSError, ValueError.
    """
    if before is None:
        before = read(folder, name)
    n = before.n + 1 if before is not None else 1
    write(os.path.join(folder, name + PLACES[n % 2]), pack(Slot(n, facts, text)))
    return n


def write(path: str, data: bytes) -> None:
    """Put *data* at *path*, whole and flushed, or not at all. Raises OSError."""
    fresh = "%s%s%d.%d" % (path, UNFINISHED, os.getpid(), _count())
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        try:
            os.fchmod(fd, 0o600)  # whatever the umask of the pipeline is
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(fresh, path)
    except BaseException:
        try:
            os.unlink(fresh)
        except OSError:
            pass
        raise
    flush_folder(os.path.dirname(path))


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*. Raises OSError."""
    view = memoryview(data)
    while view:
        count = os.write(fd, view)
        if count <= 0:
            raise OSError(errno.EIO, "nothing was written")
        view = view[count:]


def flush_folder(folder: str) -> None:
    """Make the names in *folder* survive a power cut. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
