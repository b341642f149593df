"""The agent's door: a lock that only one agent per home can hold, a note of who holds it, and a bell to wake it.

    agent.lock   flock(2), exclusive, for life; content: JSON {pid, start, since, version}      agent.wake   a fifo; any byte wakes

Owns: these two files. Standard library only, because `flightlog run` looks at them before each command.
"""

from __future__ import annotations

import contextlib
import os
import select
import time

from .. import identity
from .._version import __version__
from ..journal import lifelock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCK_NAME, BELL_NAME = "agent.lock", "agent.wake"


class Door:
    """The holder's side.

    Args:
        home: FLIGHTLOG_HOME; made if needed.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._lock = -1
        self._bell = -1
        self._woken = False

    def take(self) -> bool:
        """Become the agent of this home; False when another process is. Raises OSError."""
        identity.make_home(self._home)
        fd = lifelock.take(os.path.join(self._home, LOCK_NAME), since=time.time(), version=__version__)
        if fd < 0:
            return False
        self._lock = fd
        self._share(fd)
        bell = os.path.join(self._home, BELL_NAME)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(bell, 0o600)
        try:
            self._bell = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._share(self._bell)
        except OSError:
            self._bell = -1
        return True

    def _share(self, fd: int) -> None:
        """Where users share the spool, leave the file to the agent's group: root may have been first here."""
        top = os.path.join(self._home, "spool")
        if identity.is_shared(top):
            with contextlib.suppress(OSError):
                os.fchown(fd, -1, os.stat(top).st_gid)
                os.fchmod(fd, 0o660)

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, at most *seconds*; tell whether it did. A signal's handler ends the wait by `wake` (PEP 475)."""
        if self._bell < 0:
            deadline = time.monotonic() + seconds
            while not self._woken and time.monotonic() < deadline:
                time.sleep(min(0.2, seconds))
            return False
        rung, _, _ = select.select([self._bell], [], [], seconds)
        if rung:
            with contextlib.suppress(OSError):
                os.read(self._bell, 4096)
        return bool(rung)

    def wake(self) -> None:
        """End the wait, of this process. Safe in a signal handler; never raises."""
        self._woken = True
        if self._bell >= 0:
            with contextlib.suppress(OSError):
                os.write(self._bell, b"!")

    def leave(self) -> None:
        """Give the home up."""
        for fd in (self._bell, self._lock):
            if fd >= 0:
                os.close(fd)
        self._bell = self._lock = -1


def holder(home: str, seconds: float = 0.0) -> dict[str, Any] | None:
    """Return who is the agent of *home*: {pid, start, since, version}; None when nobody is. *seconds*: see `lifelock.holder`."""
    return lifelock.holder(os.path.join(home, LOCK_NAME), seconds)


def ring(home: str) -> bool:
    """Wake the agent of *home*; False when there is none to be woken. Never blocks."""
    try:
        fd = os.open(os.path.join(home, BELL_NAME), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"!")
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
