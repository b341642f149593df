"""The GPU page: what the agent saw last on this machine's GPUs, as JSON beside the control page, for shims, which find their own processes in it.

    <home>/control/<key>.gpu     {"v": 1, "boot", "until": monotonic ns, "processes": [[pid, start, memory in KiB or null, percent or null, [device, ...]], ...]}

Invariants: replaced by rename, removed when nobody uses a GPU or nobody looks any more; what is older than `until`, or of another boot, is nobody's figure. A process is
named by pid and start time, so that a number which was given anew, or means somebody else in another pid namespace, matches nothing. Holds what every
user of the machine may see by nvidia-smi. Owns: the file, both sides. Leaves looking to the agent (`agent.gpu`), whose a process is to the shim
(`process.gpu`). Standard library only; readers never raise.
"""

from __future__ import annotations

import json
import os
import time

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

VERSION = 1
MAX_BYTES = 256 << 10
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def path_for(control_path: str) -> str:
    """Return where the GPU page lies that belongs to a control page."""
    return os.path.splitext(control_path)[0] + ".gpu"


def write(path: str, processes: Sequence[Sequence[Any]], seconds: float, mode: int) -> None:
    """Replace the page. Raises OSError.

    Args:
        path: where it lies.
        processes: as in the file.
        seconds: for how long, from now on, they may be taken for true.
        mode: 0600; 0644 where another user's shims read it.
    """
    until = time.monotonic_ns() + int(seconds * 1e9)
    page = {"v": VERSION, "boot": identity.boot_id(), "until": until, "processes": processes}
    data = json.dumps(page, separators=(",", ":")).encode("ascii")
    if len(data) > MAX_BYTES:
        remove(path)
        return
    temporary = "%s.%d" % (path, os.getpid())
    fd = os.open(temporary, _MAKE, mode)
    try:
        try:
            os.fchmod(fd, mode)  # whatever our umask
            written = os.write(fd, data)
        finally:
            os.close(fd)
        if written == len(data):
            os.rename(temporary, path)
        else:
            os.unlink(temporary)
    except OSError:
        remove(temporary)
        raise


def remove(path: str) -> None:
    """Remove the page, if there is one. Never raises."""
    try:
        os.unlink(path)
    except OSError:
        pass


class GpuPage:
    """The reader's side.

    Args:
        path: where it lies; it need not be there.
    """

    __slots__ = ("_path", "_processes", "_seen", "_until")

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: Any = None
        self._until, self._processes = 0, []  # type: int, list[Any]

    def look(self) -> list[Any]:
        """Return the processes on the page, none when there is none or it is too old. One stat(2) while nothing changes; never raises."""
        try:
            status = os.stat(self._path)
        except (OSError, ValueError):
            self._seen, self._processes = None, []
            return []
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            self._seen = seen
            self._until, self._processes = _read(self._path)
        return self._processes if time.monotonic_ns() <= self._until else []


def _read(path: str) -> tuple[int, list[Any]]:
    """Return what a page says: until when, and what."""
    try:
        fd = os.open(path, _READ)
        try:
            data = os.read(fd, MAX_BYTES + 1)
        finally:
            os.close(fd)
        found = json.loads(data) if len(data) <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return 0, []
    if not isinstance(found, dict) or (found.get("v"), found.get("boot")) != (VERSION, identity.boot_id()):
        return 0, []
    until, processes = found.get("until"), found.get("processes")
    return (until, processes) if type(until) is int and type(processes) is list else (0, [])


__all__ = ["GpuPage", "path_for", "remove", "write"]
