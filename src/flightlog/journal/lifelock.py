"""A lock that one process holds for life, with a note of who holds it in the locked file: the agent's, a caretaker's.

Invariants: flock(2) is believed, not the note; who only looks takes the lock shared for a moment, which turns nobody away who takes it for life; nothing
blocks longer than 2 s. Owns: taking and looking. Leaves where the file lies, and what else its note says, to its users. Standard library only, Python 3.8.
"""

from __future__ import annotations

import json

from .. import identity
from ..system import fcntl, os, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOKERS_SECONDS = 2.0
POLL_SECONDS = 0.002
MAX_NOTE_BYTES = 4096


def take(path: str, **more: object) -> int:
    """Take the lock; return its descriptor, to be kept open for life, or -1 when another process has it. Raises OSError.

    Args:
        path: the file, made 0600 if need be. Its note becomes {"pid", "start"} (pid and start time of this process) and *more*; on a full disk it stays
            what it was, and the lock is held all the same.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _lock(fd):
        os.close(fd)
        return -1
    pid = os.getpid()
    note = dict({"pid": pid, "start": identity.process_start_time(pid)}, **more)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(note).encode("ascii"), 0)
    except OSError:
        pass
    return int(fd)


def holder(path: str, seconds: float = 0.0) -> dict[str, Any] | None:
    """Return the note of who holds the lock, {} when there is none, None when nobody holds it. Never raises.

    Args:
        path: the file.
        seconds: for how long to wait, at most, for the note of somebody who has just taken it and not said yet who it is; then {} for one that is
            no living process's.
    """
    deadline = time.monotonic() + seconds
    while True:
        note = _look(path)
        if note is None or not seconds:
            return note
        pid, start = note.get("pid"), note.get("start")
        if type(pid) is int and type(start) is int and identity.process_alive(pid, start):
            return note
        if time.monotonic() > deadline:
            return {}
        time.sleep(POLL_SECONDS)


def _lock(fd: int) -> bool:
    """Take the lock for ourselves; False when another one has it for life. Who only looks is waited out, at most 2 s."""
    deadline = time.monotonic() + LOOKERS_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            pass
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(fd, fcntl.LOCK_UN)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005 + (time.monotonic_ns() & 1023) * 1.5e-6)  # two that try at once must not stay in step


def _look(path: str) -> dict[str, Any] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except OSError:
            pass
        try:
            note = json.loads(os.pread(fd, MAX_NOTE_BYTES, 0))
        except (OSError, ValueError):
            note = None
        return note if isinstance(note, dict) else {}
    finally:
        os.close(fd)
