"""The one recorder of a process: writer, kill switch, pressure, and the run that records belong to when nobody said otherwise.

Invariants: nothing exists before the first record; nothing raises; a record costs one comparison of the clock and one byte read
before it is written. Own errors are counted in `errors`. After a fork everything that names the process is made anew.
Where a call has to wait for room (`on_full: block`) it waits here, at most once for as long as nothing becomes better.
Owns: admission (`admit`) and the process's own run. Leaves making payloads to loggers and hooks, files to `journal`.
"""

from __future__ import annotations

import os
import sys
import time

from .. import identity, records
from ..config import switch
from ..config.compiled import LOGGER
from ..config.control import DISABLED, LEVELS, LOOK_EVERY_NS, PRESSURE_MASK, STATE, ControlReader
from ..config.quota import SHED_BELOW, segment_bytes
from ..journal.drops import FAILED, PRESSURE
from ..journal.encode import encode
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from ..journal.patience import Patience
from ..journal.writer import Writer
from . import redact
from .context import Scope, current
from .cost import Cost, Timed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from typing import Any, Callable, Sequence

LEVELS_COUNT = 0x08  # a bit of the state that no owner sets
MEASURE = 1  # as the time of the next look: nothing is to be looked at, but the next record to be measured


class Recorder:
    """See the module. One instance, `recorder`, lives here; tests make their own."""

    def __init__(self) -> None:
        self.errors = 0
        self.least = 0  # the lowest level of a log record that is wanted (`logging.level`)
        self.failed = 0  # records that our own code failed to write and nothing has declared yet
        self._pipeline = ""
        self._carried = ""  # the pipeline of who handed a scope to this process
        self.writer: Writer | Timed | None = None
        self.cost = Cost()
        self.scope: Scope | None = None
        self.control = ControlReader("", "")
        self.page: Sequence[int] | mmap.mmap = (
            self.control.page
        )  # the control page as of the last look; what records look at
        self.check_at = 0  # ns since the epoch: when `admit` has to look again; 0 = at the next record
        self._look_at = 0  # when to look again, while `check_at` says that a record is to be measured
        self.implicit = ""  # the run we made for this process, its end is ours to record
        self._unannounced = ""  # the same, while its beginning is not on record
        self._elected: dict[str, Any] = {}  # what several threads may make at once, and one makes for all
        self.patience = Patience()
        self.also: Callable[[], object] | None = None  # what else is to be looked at once a second
        self._quota = 0  # by which the size of segments was chosen
        self._config: str | None = None
        self._unheeded = ""
        self._told = ""  # what was recorded of settings that do not hold
        self.fault: dict[str, Any] | None = None  # the uncaught exception that this process dies of

    @property
    def pipeline(self) -> str:
        """The name this process runs under, as far as somebody gave it one."""
        return self._pipeline

    @pipeline.setter
    def pipeline(self, name: str) -> None:
        if name != self._pipeline:
            self._pipeline = name
            self.check_at = 0  # whether it is in the rollout is asked before the next record

    def carried_by(self, pipeline: str) -> None:
        """A scope of *pipeline* was handed to this process: it is monitored when that is."""
        if pipeline and pipeline != self._carried:
            self._carried = pipeline
            self.check_at = 0

    # -- set-up ---------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Forget what belonged to the parent process; the run stays."""
        self.check_at = self.failed = 0
        self.implicit = self._unannounced = ""
        self.fault = None
        self._elected.pop("run", None)
        self.cost = Cost()
        if type(self.writer) is Timed:
            self.writer = self.writer.plain

    def _start(self) -> None:
        """Find spool, config and run. Creates no file. Threads that are here at the same time find the same."""
        if self.writer is None:
            writer = Writer(identity.spool_dir(), self._head)
            config = os.environ.get("FLIGHTLOG_CONFIG") or switch.find_config()
            control = ControlReader(identity.control_path(config), config, writer.directory)
            writer, self._config, self.control = self._elected.setdefault("writer", (writer, config, control))
            self.writer = writer
        if self.scope is None:
            self._find_run()
            if self.implicit:  # else the shim has said it
                self._unheeded = redact.unheeded(identity.control_path(self._config or ""), self._config or "")

    def _find_run(self) -> None:
        """Choose the run that records of no other belong to; after a run of the program's own it is the one of before."""
        mine = scope, run = self._choose_run()
        if run:  # a keeper's is looked for anew each time: it may have ended
            found = self._elected.setdefault("run", mine)
            if found is mine:
                self._unannounced = run
            scope, self.implicit = found
        self.scope = scope

    def _choose_run(self) -> tuple[Scope, str]:
        """Return a scope, and its run when that is one of our own."""
        run = os.environ.get("FLIGHTLOG_RUN", "")
        carried = handed_on()
        if carried is not None:
            return carried, ""
        if identity.is_ulid(run) and keeper_lives():
            return Scope(run), ""
        run = identity.new_ulid()
        return Scope(run), run

    def _head(self) -> dict[str, Any]:
        """Return what goes into the header of a segment; its birth is also when to look at the disk where no agent does."""
        self.control.measure()
        self._size_segments()
        scope = self.scope
        return {"run": scope.run if scope else None, "pipeline": self.pipeline or program_name()}

    def _announce(self) -> None:
        """Record that the implicit run began; just before its first record."""
        run, self._unannounced = self._unannounced, ""
        if not run or self.writer is None:
            return
        data = run_data(self.pipeline or program_name(), "implicit")
        self.writer.append(encode(records.event(records.RUN_STARTED, run, data)), records.CRITICAL)

    def _tell(self, trouble: str) -> None:
        """Record that settings do not hold in this process, once for each reason."""
        self._told = trouble
        if not trouble or self.scope is None or self.writer is None:
            return
        self.errors += 1
        record = {
            "k": "log",
            "t": time.time_ns(),
            "lv": records.WARNING,
            "lg": LOGGER,
            "m": trouble,
            "r": self.scope.run,
            "src": "flightlog",
            "x": {"pid": os.getpid()},
        }
        self.writer.append(encode(record), records.WARNING)

    # -- admission ------------------------------------------------------------------------------------------------

    def admit(self, now: int, level: int, kept: bool = False) -> bool:
        """Tell whether a log record of *level* may be written now; also does what is due once a second. Never raises.

        Blocks only where the configuration says so, see `journal.patience`.

        Args:
            now: nanoseconds since the epoch.
            level: the record's level.
            kept: it is not to be shed at any pressure.
        """
        return self.admit_event(now, level, kept, not kept)

    def admit_event(self, now: int, level: int, kept: bool = False, by_level: bool = False) -> bool:
        """Do what `admit` says for a record of any kind; *by_level*: for one that `logging.level` speaks of. Never raises."""
        try:
            measured = False
            if now >= self.check_at or self.check_at - now > 10 * LOOK_EVERY_NS:  # the latter: the clock went back
                measured = self._see_to(now)
            state = self.control.page[STATE]
            if state & DISABLED or (by_level and level < self.least):
                return False
            if self._unannounced and self.scope is not None and self.scope.run == self._unannounced:
                self._announce()
            if (redact.trouble or self._unheeded) != self._told:
                self._tell(redact.trouble or self._unheeded)
            pressure = LEVELS[state & PRESSURE_MASK]
            if level < SHED_BELOW[pressure] and not kept:
                if not self.patience.wait(lambda: self._has_room(level)):
                    assert self.writer is not None
                    self.writer.drop(level, PRESSURE, pressure)
                    return False
                if self.control.page[STATE] & DISABLED:
                    return False
            if measured and type(self.writer) is Writer:
                self.writer = Timed(self.writer, self)
        except (*MISTAKES, OSError) as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            self.failed += 1
            self.check_at = 0
            return False
        return True

    def _see_to(self, now: int) -> bool:
        """Look, if it is time to; tell whether the record that comes is to be measured: the next one, or, where few come, this one."""
        waits = self.check_at == MEASURE
        if waits and now < self._look_at <= now + LOOK_EVERY_NS:
            self.check_at = self._look_at
            return True
        self._look(now)
        if not waits:
            self._look_at, self.check_at = self.check_at, MEASURE
        return waits

    def _look(self, now: int) -> None:
        """Do what is due once a second: see what the owner of the control page says, or the disk where there is none."""
        if type(self.writer) is Timed:  # the record that was to be measured never came
            self.writer = self.writer.plain
        if self.writer is None or self.scope is None:
            self._start()
        assert self.writer is not None
        if self.also is not None:
            self.also()
        self.control.pipeline = self.gated_by()
        self.control.look()
        redact.look(identity.control_path(self._config or ""))
        self.least = redact.least_level()
        page = self.control.page
        # Where levels count `admit` has to see every record: the page that loggers look at is then never zero.
        self.page = page if not self.least else bytes(STATE) + bytes((page[STATE] | LEVELS_COUNT,))
        self.check_at = now + LOOK_EVERY_NS
        if self.failed > 0:
            self._own_up()
        pressure = self.control.pressure
        self.patience.seconds = self.writer.patience.seconds = self.control.limits.block_ms / 1000.0
        if not pressure:
            self.patience.renew()
        self._size_segments()
        if pressure and self.control.is_owned():
            self.writer.turn(self.writer.rotate_bytes // 8)

    def gated_by(self) -> str:
        """Return whose place in the rollout counts here: the pipeline's that a keeper runs, or that handed its scope on, for all of its processes; else our own."""
        supervised = os.environ.get("FLIGHTLOG_PIPELINE", "") if os.environ.get("FLIGHTLOG_RUN") else ""
        return supervised or self._carried or self._pipeline or program_name()

    def _size_segments(self) -> None:
        """Let segments be small where the quota is."""
        quota = self.control.quota
        if quota != self._quota and type(self.writer) is Writer:
            self._quota = quota
            self.writer.rotate_bytes = segment_bytes(quota)

    def _has_room(self, level: int) -> bool:
        """Tell whether a record that has to wait need not wait any more."""
        now = time.time_ns()
        if now >= self.check_at or self.check_at - now > 10 * LOOK_EVERY_NS:
            self._look(now)
        state = self.control.page[STATE]
        return bool(state & DISABLED) or level >= SHED_BELOW[LEVELS[state & PRESSURE_MASK]]

    def _own_up(self) -> None:
        """Declare the records that we failed to write, most likely because the program's stack was full. Their level is not known."""
        # In this order: an exception from outside that breaks it off here makes one be declared twice, where the other way round they would be forgotten.
        # Two threads may do it at once; then the account is below zero, and what fails next has been declared already.
        try:
            while self.failed > 0:
                self.writer.drop(0, FAILED)  # type: ignore[union-attr]
                self.failed -= 1
        except MISTAKES as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            self.errors += 1  # what is still owed is declared at the next look: this record is not to be lost with it

    def event(self, name: str, data: dict[str, Any], scope: Scope | None = None) -> bool:
        """Record an event in *scope* (default: where we are) and tell whether it was. Durable like any record; never raises."""
        try:
            now = time.time_ns()
            level = records.EVENT_LEVELS.get(name, records.INFO)
            if not self.admit_event(now, level, name in records.KEPT_EVENTS):
                return False
            where = scope or current.get() or self.scope
            assert where is not None and self.writer is not None
            payload = encode(records.event(name, where.run, data, where.stage, now))
            return self.writer.append(payload, level, name in records.FINAL_EVENTS) > 0
        except (*MISTAKES, OSError) as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            self.failed += 1
            self.check_at = 0
            return False

    def numbered(self) -> int:
        """Return how many records this process has made so far."""
        return self.writer.numbered if self.writer is not None else 0

    def costs(self, since: int = 0) -> dict[str, int]:
        """Return what recording has cost this process, see `Cost.figures`; *since*: what `numbered` was when that began."""
        return self.cost.figures(self.numbered() - since)

    def close(self) -> None:
        """End the implicit run and declare drops; at exit of the process. Never raises."""
        try:
            if self.writer is None:
                return
            if self.failed > 0:
                self._own_up()
            if self.implicit and not self._unannounced and self.page[STATE] & DISABLED == 0:
                data: dict[str, Any] = {"status": "failed" if self.fault else "ok", "by": "sdk", "cost": self.costs()}
                data["error"] = self.fault
                self.writer.append(
                    encode(records.event(records.RUN_ENDED, self.implicit, data)), records.CRITICAL, True
                )
                self.implicit = ""
            self.writer.close()
        except Exception:
            self.errors += 1


def keeper_lives() -> bool:
    """Tell whether the run that FLIGHTLOG_RUN names still goes on: its keeper is told as pid:start time."""
    keeper = os.environ.get("FLIGHTLOG_KEEPER", "")
    try:
        pid, start = keeper.split(":")
        return identity.process_alive(int(pid), int(start))
    except ValueError:
        return True


def handed_on() -> Scope | None:
    """Return the scope that another process has handed to this one; what reads it is loaded only where there may be one."""
    if "FLIGHTLOG_SCOPE" not in os.environ and "multiprocessing.process" not in sys.modules:
        return None
    from .carry import inherited

    return inherited()


def program_name() -> str:
    """Return the name of this program, for runs and pipelines that got none."""
    name = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) and sys.argv[0] else ""
    if name == "__main__.py":
        name = os.path.basename(os.path.dirname(identity.absolute(sys.argv[0])))
    if name in ("", "-c", "-m", "-"):
        return "python"
    return name[:-3] if name.endswith(".py") else name


def run_data(pipeline: str, kind: str, parent: str = "", **more: object) -> dict[str, Any]:
    """Return what a run.started event says about this process."""
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = ""
    pid = os.getpid()
    data = {
        "pipeline": pipeline,
        "kind": kind,
        "parent": parent or None,
        "attempt": 1,
        "command": list(getattr(sys, "argv", [])),
        "pid": pid,
        "start": identity.process_start_time(pid),
        "cwd": cwd,
        "uid": os.geteuid(),
    }  # type: dict[str, Any]
    data.update(more)
    return data


recorder = Recorder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=recorder.after_fork)
