"""Room set aside for last words: how a run ended, an uncaught exception, how much was dropped, when the disk is full (ADR 0012).

    reserve.<nn>      a slot: 16 KB of zeros on the disk, up to 64 in each spool directory, for whoever needs one; a pipeline that finds none
                      makes four, the agent the rest
    <writer>.spare    the same, of one shim: it speaks for a whole run
    claimed.<pid>.<n> a slot between two names

Invariants: a slot is taken by rename(2), so that one process gets it; it is written in place, which needs no new block on file systems that do not
copy on write, so that nobody else can take the room away in between; then it gets the name of a segment and is one like any other. What is left of
it is cut off, or is torn bytes at the end of a dead writer. Functions that make and take raise OSError only where said. Standard library only.
Owns: slots. Leaves frames to `writer` and bytes of captures to `capture`.
"""

from __future__ import annotations

import json
import stat

from .. import identity
from ..config import quota
from ..system import os, time
from .encode import encode
from .format import SPARE_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SLOT_BYTES = 16 << 10
MAX_SLOTS, SLOTS_AT_BIRTH = 64, 4
PART = 16  # all slots together hold at most one part in so many of a file system, and there is one at least
ORPHAN_SECONDS = 60.0
_SLOT = "reserve.%02d"
_FLAGS = os.O_WRONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


def slots(directory: str) -> int:
    """Return how many slots a directory should have; 0 while there is no room for them."""
    found = quota.disk(directory)
    if found is None:
        return 0
    wanted = max(1, min(MAX_SLOTS, found.total // PART // SLOT_BYTES))
    return wanted if found.free >= 2 * wanted * SLOT_BYTES else 0


def is_filled(directory: str) -> bool:
    """Tell whether the last slot that would be taken is there."""
    return os.path.exists(os.path.join(directory, _SLOT % 0))


def is_ours(name: str) -> bool:
    """Tell whether a file of a spool directory is a slot, by its name."""
    return name.startswith(("reserve.", "claimed."))


def fill(directory: str, at_most: int = MAX_SLOTS) -> None:
    """Make the slots that are missing among the first *at_most*, if there is room for them. Never raises."""
    try:
        for number in range(min(slots(directory), at_most)):
            path = os.path.join(directory, _SLOT % number)
            if not os.path.exists(path):
                make(path)
    except OSError:
        pass


def make(path: str) -> None:
    """Make one slot; it has its name only when it is whole. Raises OSError."""
    directory = os.path.dirname(path)
    unfinished = os.path.join(directory, "claimed.%d.new" % os.getpid())
    mode = identity.spool_file_mode(directory)
    fd = os.open(unfinished, _FLAGS | os.O_CREAT | os.O_TRUNC, mode)
    try:
        try:
            identity.give_spool_mode(fd, mode)
            if os.write(fd, bytes(SLOT_BYTES)) != SLOT_BYTES:
                raise OSError("no room for a reserve")
        finally:
            os.close(fd)
        os.rename(unfinished, path)
    except OSError:
        os.unlink(unfinished)
        raise


def claim(directory: str, spare: str = "") -> tuple[int, str] | None:
    """Take a slot for ever: (descriptor at its beginning, path), None when there is none. *spare*: one's own, tried first. Never raises."""
    names = [spare] if spare else []
    names += [_SLOT % number for number in range(MAX_SLOTS - 1, -1, -1)]
    for name in names:
        path = os.path.join(directory, "claimed.%d.%s" % (os.getpid(), name.rpartition(".")[2]))
        try:
            os.rename(os.path.join(directory, name), path)
        except OSError:
            continue
        try:
            fd = os.open(path, _FLAGS)
        except OSError:
            continue
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size >= SLOT_BYTES:
            return fd, path
        os.close(fd)
    return None


def cut(fd: int) -> None:
    """Let go of what is behind the position of *fd*. Never raises."""
    try:
        os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
    except OSError:
        pass


def write(directory: str, name: str, data: bytes) -> int:
    """Write the end of *data* as the whole content of a new file *name*; return how many bytes, 0 when there is no slot. Never raises."""
    taken = claim(directory)
    if taken is None:
        return 0
    fd, path = taken
    try:
        data = data[-SLOT_BYTES:]
        done = os.write(fd, data)
        cut(fd)
        os.rename(path, os.path.join(directory, name))
    except OSError:
        return 0
    finally:
        os.close(fd)
    return done


def give_up(directory: str, writer: str) -> None:
    """Remove a writer's own slot, which it does not need any more. Never raises."""
    try:
        os.unlink(os.path.join(directory, writer + SPARE_SUFFIX))
    except OSError:
        pass


def sweep(directory: str) -> None:
    """Remove slots that a process claimed and died with before it had used them. For the agent. Never raises."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith("claimed.")]
    except OSError:
        return
    for name in names:
        path = os.path.join(directory, name)
        try:
            if time.time() - os.lstat(path).st_ctime > ORPHAN_SECONDS:
                os.unlink(path)
        except OSError:
            continue


def shrunk(payload: bytes, room: int) -> bytes:
    """Return a record's payload cut to *room* bytes: without what is longest and matters least. Never raises; empty when there is no way."""
    if len(payload) <= room:
        return payload
    try:
        record = json.loads(payload)
        record["tr"] = True
        for cutting in (_fields, _frames, _chain, _texts):
            cutting(record)
            data = encode(record)
            if len(data) <= room:
                return data
    except Exception:
        pass
    return b""


def _error(record: dict[str, Any]) -> dict[str, Any]:
    found = record.get("e") or (record.get("x") or {}).get("error")
    return found if isinstance(found, dict) else {}


def _fields(record: dict[str, Any]) -> None:
    if record.get("k") == "log":
        record.pop("x", None)
    elif isinstance(record.get("x"), dict):
        record["x"].pop("params", None)


def _frames(record: dict[str, Any]) -> None:
    error = _error(record)
    if isinstance(error.get("frames"), list):
        error["frames"] = error["frames"][-10:]


def _chain(record: dict[str, Any]) -> None:
    error = _error(record)
    if error:
        error["cause"] = error["context"] = None


def _texts(record: dict[str, Any]) -> None:
    for holder, key in ((record, "m"), (_error(record), "message")):
        if isinstance(holder.get(key), str):
            holder[key] = holder[key][:1000]
