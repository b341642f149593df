"""All processes that belong to one kept process: below a root, whatever session or group they made for themselves.

The caretaker is a subreaper, so that what loses its parent comes to it; what lost its parent while there was no caretaker is known by a mark in
its environment (`FLIGHTLOG_PROCESS`). Left alone are whole subtrees of flightlog's own background processes (`FLIGHTLOG_DETACHED`: an agent or an
embedded server that a pipeline had started, another caretaker) and recorders (keeper and shim of the attempt), which end by themselves when the command has.
Invariants: signals go through pidfds with a start time that was proven after opening. Owns: this walk. Leaves when to signal to the caretaker.
"""

from __future__ import annotations

import os
import signal
import time

from .. import identity
from . import pidfd, proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

    from .proctree import Process

MARK, DETACHED = b"FLIGHTLOG_PROCESS", identity.DETACHED.encode("ascii")


class Tree:
    """See the module.

    Attributes:
        roots: pids; their descendants belong to it, and they themselves except our own.
        mark: the value of the variable that marks it, empty to go by parents only.
        recorder: the argument list of the attempt's keeper, empty when it has none.

    Args:
        mark, recorder: as above.
        variable: the one that marks it.
        own: our own descendants belong to it: we are its caretaker.
    """

    def __init__(self, mark: str = "", recorder: Sequence[str] = (), variable: bytes = MARK, own: bool = True) -> None:
        self.roots: set[int] = set()
        self.mark = mark
        self.recorder = list(recorder)
        self._variable, self._own = variable, own

    def members(self, marked: bool = False, recorders: bool = False) -> list[Process]:
        """Return who lives now, zombies not, parents before their children; *marked*: search the environments of all processes, too."""
        known = snapshot()
        children: dict[int, list[Process]] = {}
        for one in known.values():
            children.setdefault(one.ppid, []).append(one)
        own = os.getpid()
        found: dict[int, Process] = {}
        left = [own, *self.roots] if self._own else list(self.roots)
        if marked and self.mark:
            left += [pid for pid in known if variable(pid, self._variable) == os.fsencode(self.mark)]
        seen = set()
        while left:
            pid = left.pop(0)
            if pid in seen:
                continue
            seen.add(pid)
            if pid != own and variable(pid, DETACHED) is not None:
                continue
            here = known.get(pid)
            if here is not None and pid != own and here.state not in "ZX" and (recorders or not self._records(pid)):
                found[pid] = here
            left += [child.pid for child in children.get(pid, ())]
        return list(found.values())

    def _records(self, pid: int) -> bool:
        return bool(self.recorder) and is_recorder(pid, self.recorder)

    def send(self, number: int, members: Iterable[Process]) -> list[int]:
        """Send a signal to *members*; return the pids that got it."""
        told = []
        for one in members:
            process = pidfd.find(one.pid, one.start)
            if process is not None:
                if process.send(number):
                    told.append(one.pid)
                process.close()
        return told

    def freeze(self, seconds: float) -> bool:
        """Stop all of it where it is, also what is born meanwhile; tell whether it stands still within *seconds*."""
        deadline = time.monotonic() + seconds
        while True:
            moving = [one for one in self.members(marked=True) if one.state not in "TtD"]
            if not moving or time.monotonic() > deadline:
                return not moving
            self.send(signal.SIGSTOP, moving)
            time.sleep(0.002)

    def kill(self, marked: bool, recorders: bool = False) -> list[Process]:
        """Kill all of it, also what is born meanwhile; return who was still there at the last look."""
        for _ in range(20):
            members = self.members(marked, recorders)
            if not self.send(signal.SIGKILL, members):
                return members
        return members


def snapshot() -> dict[int, Process]:
    """Return all processes, by pid."""
    found = {}
    for name in os.listdir("/proc"):
        one = proctree.look(int(name)) if name.isdigit() else None
        if one is not None:
            found[one.pid] = one
    return found


def variable(pid: int, name: bytes) -> bytes | None:
    """Return what the environment says that process *pid* was executed with; None when it says nothing, or may not be read."""
    for item in _read("/proc/%d/environ" % pid).split(b"\0"):
        if item.startswith(name + b"="):
            return item[len(name) + 1 :]
    return None


def arguments(pid: int) -> list[bytes]:
    """Return the argument list of a process; empty for a zombie."""
    data = _read("/proc/%d/cmdline" % pid)
    return data.split(b"\0")[:-1] if data else []


def is_recorder(pid: int, recorder: Sequence[str]) -> bool:
    """Tell whether a process was executed as the keeper with these arguments, or is its fork; options of Python's may differ."""
    words = [os.fsencode(word) for word in recorder[3:]]
    return arguments(pid)[-len(words) :] == words


def describe(member: Process) -> str:
    """Return a process in words, for people who have to deal with it."""
    name = member.name.decode("utf-8", "backslashreplace")
    state = "D" if member.state == "D" else member.state
    waits = _read("/proc/%d/wchan" % member.pid).decode("ascii", "replace") if state == "D" else ""
    return "%d (%s, state %s%s)" % (member.pid, name or "?", state, ", waits in " + waits if waits else "")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
