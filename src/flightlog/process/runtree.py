"""Ending, pausing and resuming one run on this node, whoever started it: `flightlog run` in a terminal, a scheduler, a caretaker.

Its processes are those below its keeper and shim, and those that have its id in their environment. Invariants: what is asked is on record in the
run's evidence before a signal goes out; keeper and shim are left to write the end down; nothing is said to be gone that was not looked for.
Owns: this. Leaves processes that are kept under a name to their caretaker (see `operate`).
"""

from __future__ import annotations

import os
import signal
import time

from ..journal import evidence as notes
from .attempt import KEEPER
from .family import Tree, arguments, describe, snapshot, variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from .proctree import Process

RUN = b"FLIGHTLOG_RUN"
KILL_SECONDS, LOOK_SECONDS = 5.0, 0.02


class RunTree:
    """See the module.

    Args:
        run: its whole id.
        by: who asks.
    """

    def __init__(self, run: str, by: str) -> None:
        self.run, self._by = run, by
        self._tree = Tree(run, variable=RUN, own=False)
        self._keeper, self._id = os.fsencode(KEEPER), os.fsencode(run)

    def members(self) -> list[Process]:
        """Return its living processes without keeper and shim."""
        recorders = set(self.recorders())
        self._tree.roots = recorders
        return [one for one in self._tree.members(marked=True) if one.pid not in recorders and one.pid != os.getpid()]

    def recorders(self) -> list[int]:
        """Return the pids of its keeper and shim."""
        return [pid for pid, one in snapshot().items() if one.state not in "ZX" and self._records(arguments(pid))]

    def _records(self, words: Sequence[bytes]) -> bool:
        return b"--run" in words and self._keeper in words and words[words.index(b"--run") + 1] == self._id

    def end(self, grace_s: float, why: str) -> list[str]:
        """End it: SIGTERM, and SIGKILL after *grace_s*; return what of it is still there, in words."""
        if grace_s > 0:
            self._send(signal.SIGTERM, why, grace_s)
            if self._gone_within(grace_s):
                return []
        deadline = time.monotonic() + KILL_SECONDS
        told = False
        while True:
            members = self.members()
            if not members:
                return []
            if not told:
                self._note(members, "SIGKILL", why, 0.0)
                told = True
            self._tree.send(signal.SIGKILL, members)
            if time.monotonic() > deadline:
                return [describe(one) for one in self.members()]
            time.sleep(LOOK_SECONDS)

    def freeze(self, on: bool) -> bool:
        """Pause it, or let it go on; False when nothing of it runs here."""
        members = self.members()
        self._tree.send(signal.SIGSTOP if on else signal.SIGCONT, members)
        return bool(members)

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.members():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _send(self, number: signal.Signals, why: str, grace_s: float) -> None:
        members = self.members()
        self._note(members, number.name, why, grace_s)
        self._tree.send(number, members)
        self._tree.send(
            signal.SIGCONT, [one for one in members if one.state in "Tt"]
        )  # who is stopped cannot end itself

    def _note(self, members: Sequence[Process], name: str, why: str, grace_s: float) -> None:
        for one in members:
            path = variable(one.pid, notes.VARIABLE.encode("ascii")) if variable(one.pid, RUN) == self._id else None
            if path:
                notes.note(os.fsdecode(path), "stop", why=why, by=self._by, signal=name, grace_s=grace_s)
                return
