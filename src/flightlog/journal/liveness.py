"""Is a writer still alive? Only then may its bad tail still become a frame, and only else may its files be closed.

Owns: the rule: dead = its lock is free AND its (pid, start time) is gone. Both, because `closerange` in a daemon drops the
lock, and a pid from another namespace or boot says nothing. Leaves reading the header to the caller.
"""

from __future__ import annotations

from .. import identity
from ..system import fcntl, os
from .format import LOCK_SUFFIX


def lock_is_held(path: str) -> bool:
    """Tell whether another process holds the POSIX lock of *path*. A missing or unreadable file is not held.

    Must not be asked for a lock of this process: closing the descriptor would drop it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def writer_is_alive(
    directory: str, writer: str, pid: int, start_time: int, boot: str, suffix: str = LOCK_SUFFIX
) -> bool:
    """Tell whether the process behind a writer may still append.

    Our own writer is alive by its process, so its lock is not touched; a pid alone, ours included, proves nothing: pids are
    reused, in containers all the time.
    """
    if boot == identity.boot_id() and identity.process_alive(pid, start_time):
        return True
    return lock_is_held(os.path.join(directory, writer + suffix))
