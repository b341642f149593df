"""A tree of processes as /proc shows it: who descends from whom, and what stat(5) says of each.

A process is known by pid and start time; a number alone may be somebody else's by now. Children are asked for at their parents
(/proc/PID/task/TID/children), where the kernel cannot tell that (CONFIG_PROC_CHILDREN) in a scan of /proc. What changes between two reads is seen
half: a process that is not there any more is absent. Owns: reading. Leaves sums and time to `sampler`, threads to `threads`. Never raises, keeps no
state. Standard library only, Python 3.8.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

MOST = 4096  # processes that one walk looks at
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)


def read(path: str, most: int = 4096) -> bytes:
    """Return the beginning of a file of /proc; empty when it cannot be read. Three system calls, no buffer: this runs every second."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return b""
    try:
        return os.read(fd, most)
    except OSError:  # it has died in between
        return b""
    finally:
        os.close(fd)


class Process:
    """One process at one moment.

    Attributes:
        pid, start: which one; `start` in clock ticks since boot.
        ppid: its parent.
        name: 15 characters, as the kernel has it.
        state: one letter: R, S, D, T, t, Z ...
        own, reaped: clock ticks of CPU of itself, and of children that it has waited for.
        threads: how many.
        pages: resident, those shared with others included.
    """

    __slots__ = ("name", "own", "pages", "pid", "ppid", "reaped", "start", "state", "threads")

    def __init__(self, pid: int, name: bytes, fields: Sequence[bytes]) -> None:
        self.pid = pid
        self.name = name
        self.state = fields[0].decode("ascii", "replace")
        self.ppid = int(fields[1])
        self.own = int(fields[11]) + int(fields[12])
        self.reaped = int(fields[13]) + int(fields[14])
        self.threads = int(fields[17])
        self.start = int(fields[19])
        self.pages = int(fields[21])

    @property
    def dead(self) -> bool:
        """Whether it only waits to be reaped."""
        return self.state in "ZXx"


def look(pid: int) -> Process | None:
    """Return what is known of process *pid* now; None when there is none."""
    data = read("/proc/%d/stat" % pid)
    end = data.rfind(b")")
    try:
        return Process(pid, data[data.index(b"(") + 1 : end], data[end + 2 :].split())
    except (ValueError, IndexError):
        return None


def threads_of(pid: int) -> list[int]:
    """Return the numbers of the threads of a process."""
    try:
        return [int(name) for name in os.listdir("/proc/%d/task" % pid)]
    except (OSError, ValueError):
        return []


def children_of(process: Process, every_thread: bool = True) -> list[int]:
    """Return the pids of a process's children; without *every_thread* only those that its main thread has started."""
    pid = process.pid
    if process.threads > 1 and every_thread:
        found: list[int] = []
        for thread in threads_of(pid):
            found += map(int, read("/proc/%d/task/%d/children" % (pid, thread), 65536).split())
        return found
    return [int(child) for child in read("/proc/%d/task/%d/children" % (pid, pid), 65536).split()]


def _tells_children() -> bool:
    return os.path.exists("/proc/self/task/%d/children" % os.getpid())


def tree(roots: Iterable[int], every_thread: bool = True) -> dict[int, Process]:
    """Return the processes *roots* and all that descend from them, parents before children, at most 4096."""
    found: dict[int, Process] = {}
    waiting = list(roots)
    by_parent = None if _tells_children() else _scan()
    for pid in waiting:  # grows meanwhile
        if pid in found or len(found) >= MOST:
            continue
        process = look(pid)
        if process is None:
            continue
        found[pid] = process
        if by_parent is not None:
            waiting += by_parent.get(pid, [])
        elif not process.dead:
            waiting += children_of(process, every_thread)
    return found


def _scan() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return children
    for name in names:
        if name.isdigit():
            process = look(int(name))
            if process is not None:
                children.setdefault(process.ppid, []).append(process.pid)
    return children
