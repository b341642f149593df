"""Evidence files that nobody will judge any more: their shim and keeper died before they could.

Invariants: a file that a recorder still holds (a shared lock, for as long as its run goes on) is never removed, nor one younger than a day, so that
people can look at it. Owns: that removal. Leaves the file's form to `journal.evidence`.
"""

from __future__ import annotations

from ..journal.evidence import SUFFIX
from ..system import fcntl, os, time
from .spool import is_plain, open_directory

KEPT_SECONDS = 86400.0


def remove_abandoned(folder: str, kept_seconds: float = KEPT_SECONDS) -> int:
    """Remove the abandoned evidence files of a spool directory; return how many. Never raises."""
    try:
        fd, owners = open_directory(folder)
    except OSError:
        return 0
    removed = 0
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
        for name in names:
            removed += _remove(fd, name, owners, kept_seconds)
    except OSError:
        pass
    finally:
        os.close(fd)
    return removed


def _remove(folder: int, name: str, owners: frozenset[int], kept_seconds: float) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        if not is_plain(status) or status.st_uid not in owners or abs(time.time() - status.st_mtime) < kept_seconds:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails as long as the run goes on
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
