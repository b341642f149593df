"""The directory of one named process: `<home>/processes/<name>/`, 0700, and the files by which caretaker and controllers speak.

    lock         flock(2), exclusive, held for life by the caretaker: who has it keeps the process. The lock is believed, not the pid in it
    spec.json    what to run and how: written by the caretaker that starts it, 0600, for it holds the environment
    state.json   what is: written by the caretaker only
    intent.json  what is wanted: written by controllers, each under `intent.lock`, with the id of who asked last
    wake         a fifo: any byte makes the caretaker look
    record.json  how the last recorded attempt ended (its keeper writes it)
    stdout.log, stderr.log   the output, rotated

Invariants: a file is replaced whole, by rename; what cannot be read counts as not there; nothing here blocks longer than 2 s.
Owns: these files' names and forms. Leaves their meaning to caretaker and controller.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time

from .. import identity, later
from ..journal import lifelock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "processes"
NAME = later.pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")  # as the commands table has it (migration 0005)
LOOKERS_SECONDS = 2.0
MAX_BYTES = 8 << 20
NOTE_SECONDS = 0.5


class StateDir:
    """See the module.

    Args:
        home: FLIGHTLOG_HOME.
        name: of the process.
    """

    __slots__ = ("name", "path")

    def __init__(self, home: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(identity.absolute(home), FOLDER, name)

    def file(self, name: str) -> str:
        """Return the path of one of its files."""
        return os.path.join(self.path, name)

    def exists(self) -> bool:
        """Tell whether there has ever been such a process."""
        return os.path.isdir(self.path)

    def make(self) -> None:
        """Create it. Raises OSError, also when it is another user's."""
        home = os.path.dirname(os.path.dirname(self.path))
        identity.make_home(home)
        for folder in (os.path.dirname(self.path), self.path):
            try:
                os.mkdir(folder, 0o700)
                os.chmod(folder, 0o700)
            except FileExistsError:
                pass
            if os.stat(folder).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "it belongs to another user", folder)

    # -- JSON -------------------------------------------------------------------------------------------------------

    def read(self, name: str) -> dict[str, Any]:
        """Return what a file says; empty when there is none or it is damaged. Never raises."""
        try:
            found = json.loads(identity.read_plain(self.file(name), MAX_BYTES))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, name: str, data: dict[str, Any], sync: bool = False) -> None:
        """Replace a file. Raises OSError."""
        fresh = self.file(".%s.%d" % (name, os.getpid()))
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            left = json.dumps(data).encode("ascii")
            while left:
                left = left[os.write(fd, left) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(fresh, self.file(name))

    # -- who keeps it -----------------------------------------------------------------------------------------------

    def take(self) -> int:
        """Become its caretaker: return the lock's descriptor, to be kept open for life; -1 when another process is. Raises OSError."""
        return lifelock.take(self.file("lock"))

    def holder(self) -> dict[str, Any] | None:
        """Return who keeps it, {"pid", "start"}, empty where that is not known; None when nobody does. Never raises.

        Who has just taken the lock has not said yet who it is: that is waited for, half a second at most.
        """
        return lifelock.holder(self.file("lock"), NOTE_SECONDS)

    # -- what is wanted ---------------------------------------------------------------------------------------------

    def intend(self, **changes: Any) -> dict[str, Any]:
        """Change what is wanted, wake the caretaker, and return the whole intent. `newer=True` makes it a new generation. Raises OSError."""
        fd = os.open(self.file("intent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + LOOKERS_SECONDS
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > deadline:  # its holder is stopped; ours is one write, and whole
                        break
                    time.sleep(0.002)
            intent: dict[str, Any] = {
                "want": "up",
                "generation": 0,
                "frozen": False,
                "grace_s": 10.0,
                "why": "start",
                "by": "",
            }
            intent.update(self.read("intent.json"))
            if changes.pop("newer", False):
                intent["generation"] = int(intent["generation"]) + 1
            intent.update(changes, id=identity.new_ulid())
            self.write("intent.json", intent)
        finally:
            os.close(fd)
        self.wake()
        return intent

    def open_wake(self) -> int:
        """Return the descriptor that becomes readable when somebody wakes the caretaker. Raises OSError."""
        try:
            os.mkfifo(self.file("wake"), 0o600)
        except FileExistsError:
            pass
        return os.open(self.file("wake"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """Make the caretaker look. Never raises, never blocks."""
        try:
            fd = os.open(self.file("wake"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(fd, b"!")
        except OSError:  # it is full of such bytes
            pass
        finally:
            os.close(fd)


def names(home: str) -> list[str]:
    """Return the names of all processes there have been."""
    try:
        found = os.listdir(os.path.join(home, FOLDER))
    except OSError:
        return []
    return sorted(name for name in found if NAME.match(name))
