"""What a caretaker must not forget: the content of state.json, which controllers show and the next caretaker goes on from.

Invariants: written whole, only when something has changed, and before what it announces is done. Times that are compared are on the clock that
counts since boot, and mean nothing after another boot. Owns: the fields of state.json (docs/reference/controller.md). Leaves deciding to `caretaker`.
"""

from __future__ import annotations

import os
import time

from .. import identity
from . import machine, rate
from .restart import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .machine import Machine
    from .statedir import StateDir

MAX_STOPS = 20


class Keeping:
    """See the module.

    Attributes:
        phase, outcome, generation, frozen: of the machine, as they were saved.
        intent: id of the intent that was seen last; why, by: what it says of the present one.
        process: the attempt that runs (`attempt.Attempt.as_json`); empty when none does.
        attempt: its number, from 1; origin: the run of the first one.
        began: when it began; next_at: when the next timer is due.
        history: of restarts. stops: what was sent to the attempt on purpose.
        end: how the last attempt ended. reason: what the policy said to it. problem: why the command could not be executed.
        ready, status: what the process said of itself (`notify`).
        survivors: processes that outlived SIGKILL, in words.
        same_boot: the state is of this boot.
    """

    def __init__(self, folder: StateDir) -> None:
        self._folder = folder
        self._written: dict[str, Any] = {}
        self.phase, self.outcome, self.generation, self.frozen = machine.STARTING, machine.STOPPED, 1, False
        self.intent, self.why, self.by = "", "start", ""
        self.process: dict[str, Any] = {}
        self.attempt, self.origin, self.began, self.next_at = 0, "", rate.boottime(), 0.0
        self.history = History()
        self.stops: list[dict[str, Any]] = []
        self.end: dict[str, Any] = {}
        self.reason = self.problem = self.status = ""
        self.ready: bool | None = None
        self.survivors: list[str] = []
        self.restarts = 0
        self.same_boot = True

    def fresh(self) -> None:
        """A person starts it: nothing that was before counts. What ended last is still shown."""
        before = self._folder.read("state.json")
        self.end = before["end"] if isinstance(before.get("end"), dict) else {}
        intent = self._folder.read("intent.json")
        self.intent, self.why, self.by = str(intent.get("id", "")), "start", str(intent.get("by", ""))

    def load(self) -> Keeping:
        """Take over what the caretaker before us wrote; what is missing or of a wrong type stays as it is. Returns itself."""
        found = self._folder.read("state.json")
        for name, value in self._fields().items():
            kept = found.get(name)
            if type(kept) is type(value) or (type(value) is float and type(kept) is int) or name == "ready":
                setattr(self, name, kept)
        history = found.get("history")
        if isinstance(history, dict) and isinstance(history.get("at"), list):
            self.history = History(int(history.get("failures") or 0), [float(moment) for moment in history["at"]])
        self.same_boot = not found or found.get("boot") == identity.boot_id()
        return self

    def begin_attempt(self) -> None:
        """Another attempt begins."""
        if self.attempt:
            self.restarts += 1
        self.attempt += 1
        self.began = rate.boottime()
        self.process, self.stops, self.survivors = {}, [], []
        self.problem = self.status = self.reason = ""
        self.ready = None

    def _fields(self) -> dict[str, Any]:
        names = [
            "phase",
            "outcome",
            "generation",
            "frozen",
            "intent",
            "why",
            "by",
            "process",
            "attempt",
            "origin",
            "began",
            "next_at",
            "stops",
            "end",
            "reason",
            "problem",
            "ready",
            "status",
            "survivors",
            "restarts",
        ]
        return {name: getattr(self, name) for name in names}

    def save(self, now: Machine) -> None:
        """Write it, when it has changed. Never raises: a full disk must not end a caretaker."""
        self.phase, self.outcome, self.generation, self.frozen = now.phase, now.outcome, now.current, now.frozen
        del self.stops[:-MAX_STOPS]
        data = self._fields()
        pid = os.getpid()
        data.update(
            v=1,
            name=self._folder.name,
            boot=identity.boot_id(),
            want=now.want,
            caretaker={"pid": pid, "start": identity.process_start_time(pid)},
            history={"failures": self.history.failures, "at": list(self.history.at)},
        )
        if data == self._written:
            return
        try:
            self._folder.write("state.json", dict(data, saved_at=time.time()))
            self._written = data
        except OSError:
            pass
