"""What is done about a run that has gone silent: look twice, take stacks, say why, and end it if that is wanted.

    quiet -> (hang.after) looking -> asking -> told -> (hang.kill, hang.kill_after) ending

Invariants: stacks are taken before anything is sent; a stall is told once, as evidence, event `run.stalled` and a line of the run's log, and so is its
end (`run.resumed`); nothing here waits: each step is one call of `look`. A run is ended only when that is configured, never while its output waits for
whoever reads it or while it reads or writes disks, and the note says so before each signal (TERM, 10 s, ABRT, 5 s, KILL; the whole tree).
Owns: these steps. Leaves the clock to `silence`, the cause to `stall`, stacks to `stacks`. Never raises.
"""

from __future__ import annotations

import signal

from .. import records
from ..journal import evidence
from . import stacks, stall, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from .pump import Pump
    from .report import Report
    from .sampler import Sampler
    from .setup import Setup
    from .silence import Silence
    from .tuning import Tuning

RUN_STALLED, RUN_RESUMED = "run.stalled", "run.resumed"
LOGGER = "flightlog.hang"
LEAST_SECONDS = 0.8  # between the two looks
DEAF_SECONDS = 5.0
MAX_SPIES = 4
MAX_THREADS = 64
STEPS = ((signal.SIGTERM, 10.0), (signal.SIGABRT, 5.0), (signal.SIGKILL, 0.0))
BY = "flightlog (hang.kill)"
QUIET, LOOKING, ASKING, TOLD = 0, 1, 2, 3


class Hang:
    """See the module."""

    def __init__(self, setup: Setup, report: Report, sampler: Sampler, silence: Silence, tuning: Tuning) -> None:
        self._setup, self._report, self._sampler = setup, report, sampler
        self._silence, self._tuning = silence, tuning
        self._path = evidence.path_of(setup.spool, setup.spec.run) if setup.evidence >= 0 else ""
        self._step = QUIET
        self._before: list[threads.Thread] = []
        self._at = 0.0
        self._told_at = self._last_at = 0.0
        self._said: dict[str, Any] = {}
        self._spies: list[stacks.Spy] = []
        self._missing: list[str] = []
        self._dump_begin = 0
        self._asked = 0
        self._usage: dict[str, Any] = {}
        self._moved = False
        self._sent = 0
        self._next_at = 0.0

    def look(self, now: float, sample: dict[str, Any], pumps: Sequence[Pump]) -> None:
        """Take the next step, if it is time."""
        stopped = sample.get("state") in ("T", "t")
        after = self._tuning.after
        if not after or any(pump.off for pump in pumps) or all(pump.ended for pump in pumps):
            self._silence.since = now  # switched off, or it has no output any more that could be missed
        silent = self._silence.look(now, pumps, list(self._sampler.processes), stopped, after or 600.0)
        moved = sum([sample.get(name, 0) for name in ("read_b", "write_b")])
        self._moved = moved != self._usage.get("moved", moved)
        self._usage["moved"] = moved
        if self._silence.since > self._last_at:
            self._goes_on(now)
            self._usage = {"moved": moved, "cpu_s": sample.get("cpu_s", 0.0)}
        self._last_at = self._silence.since
        if self._step == QUIET and after and silent >= after and not stopped:
            self._before, self._at, self._step = self._threads(), now, LOOKING
        elif self._step == LOOKING and now - self._at >= LEAST_SECONDS:
            self._judge(now, silent, sample, pumps)
        elif self._step == ASKING and stacks.all_ended(self._spies):
            self._tell(now)
        elif self._step == TOLD and self._tuning.kill:
            self._end(now, pumps)

    def close(self) -> None:
        """The command has ended: tell what was being found out, leave no helper behind."""
        if self._step == ASKING:
            for spy in self._spies:
                spy.stop()
            self._tell(self._at)

    def _threads(self) -> list[threads.Thread]:
        found: list[threads.Thread] = []
        for process in list(self._sampler.processes.values()):
            if not process.dead and len(found) < MAX_THREADS * 4:
                found += threads.threads(process.pid)
        return found

    def _goes_on(self, now: float) -> None:
        """Something was said again."""
        for spy in self._spies:
            spy.stop()
        if self._step == TOLD:
            data = {"klass": self._said.get("klass"), "silent_s": round(now - self._at, 1)}
            self._report.event(RUN_RESUMED, data)
            self._report.say("the run goes on after its stall", data, LOGGER, records.INFO)
        self._step, self._spies, self._sent = QUIET, [], 0

    def _judge(self, now: float, silent: float, sample: dict[str, Any], pumps: Sequence[Pump]) -> None:
        """Say what it is; ask for stacks."""
        found = self._threads()
        waiting = any(pump.held or pump.echo.pending for pump in pumps)
        klass, details = stall.classify(self._before, found, now - self._at, waiting)
        self._said = {
            "klass": klass,
            "silent_s": round(silent, 1),
            "details": details,
            "cpu_s": round(sample.get("cpu_s", 0.0) - self._usage.get("cpu_s", 0.0), 2),
            "threads": [thread.as_json() for thread in found[:MAX_THREADS]],
        }
        self._at = now
        self._step = ASKING
        self._missing = []
        self._dump_begin = stacks.size_of(self._setup.evidence)
        offered = stacks.offers(self._setup.evidence)
        program = stacks.find_spy()
        processes = [one for one in self._sampler.processes.values() if not one.dead]
        asked = {one.pid for one in processes if stacks.ask(one, offered)}
        self._asked = len(asked)
        if asked:
            self._silence.deaf_until = now + DEAF_SECONDS
        for process in [one for one in processes if one.pid not in asked and stacks.is_python(one.pid)][:MAX_SPIES]:
            refused = stacks.refusal(process.pid) if program else "py-spy is not installed (try: %s)" % stacks.INSTALL
            if refused:
                self._missing.append(refused)
            else:
                self._spies.append(stacks.Spy(program, process.pid))

    def _tell(self, now: float) -> None:
        said = self._said
        taken = [{"by": "py-spy", "pid": spy.pid, "text": spy.text} for spy in self._spies if spy.text]
        self._missing += [spy.failed for spy in self._spies if spy.failed]
        dump = stacks.dumped(self._setup.evidence, self._dump_begin) if self._asked else ""
        if dump:
            taken.insert(0, {"by": "faulthandler", "pid": 0, "text": dump})
        said["stacks"] = taken
        if self._missing:
            said["missing"] = sorted(set(self._missing))
        self._spies = []
        brief = {key: said[key] for key in ("klass", "silent_s", "details")}
        evidence.note(self._path, "stall", **brief)
        self._report.event(RUN_STALLED, said)
        message = "no output and no record for %d s: %s: %s" % (said["silent_s"], said["klass"], said["details"])
        self._report.say(message, dict(brief, stacks=len(taken)), LOGGER)
        self._step, self._told_at, self._sent, self._next_at = TOLD, now, 0, now + self._tuning.kill_after

    def _end(self, now: float, pumps: Sequence[Pump]) -> None:
        """Send the next signal, if it is time."""
        if self._sent >= len(STEPS) or now < self._next_at:
            return
        if not self._sent and (self._moved or any(pump.held or pump.echo.pending for pump in pumps)):
            return  # it works, or somebody else keeps it from working
        number, grace = STEPS[self._sent]
        self._sent += 1
        self._next_at = now + grace
        evidence.note(self._path, "stop", why="hang", by=BY, signal=number.name, grace_s=grace)
        self._report.say("it is ended: %s" % number.name, {"signal": number.name}, LOGGER)
        for process in list(self._sampler.processes.values()):
            if not process.dead:
                stacks.send(process, number)
