"""The agent's life: look, ship, rest; back off when the sink is away; leave when nobody needs it.

The sink is the database, if that is wanted; text logs go their own way beside it (`destinations`).

Invariants: no error ends it except a newer agent (Fenced); what went wrong is said once, not in every round; a signal is heard within one batch.
Owns: the loop, its pauses, and its log. Leaves the work to `shipper`, `retire`, `upkeep`; which sink, and processes, to `wiring` and `daemons`.
"""

from __future__ import annotations

import datetime
import random
import resource
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from .. import identity, records, redact
from ..errors import Fenced, FlightlogError, PositionConflict, SinkError, SinkMisconfigured, SinkUnavailable
from ..system import os, time
from .board import HOLDING, SHIPPING, STARTING
from .destinations import Destinations, Wish
from .door import Door
from .errands import Errands
from .hint import Hint
from .notice import write_notice
from .regression import declare, recognise
from .retire import KEPT_SECONDS, retire
from .self_check import Result, SelfCheck
from .shipper import Shipper
from .sink import Sink
from .spool import Files, bytes_of, directories
from .spool_scan import Scan, look
from .upkeep import Upkeep

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
MAX_CONFLICTS = 3
BEAT_SECONDS, ALIVE_SECONDS, RETIRE_SECONDS = 5.0, 1.0, 10.0
PART_SECONDS = 60.0  # between two parts of the self-check while there is always something to ship


class Agent:
    """One node's agent. The caller holds the door.

    Args:
        home: FLIGHTLOG_HOME.
        spool: FLIGHTLOG_SPOOL or empty.
        make_sink: makes a sink, not opened; may start a server. Raises FlightlogError.
        door: taken.
        batch_rows, batch_bytes, flush_interval: settings.
        idle_exit: seconds without anything to do after which to leave; None: stay.
        upkeep: started by the caller; None in a short visit.
        destinations: where to ship to; None: into the sink only.
        self_check: minutes after midnight from which on a day's check is due; None: never.
        errands: what operators ask for through the store; None: nothing is taken from there.
    """

    def __init__(
        self,
        home: str,
        spool: str,
        make_sink: Callable[[], Sink],
        door: Door,
        batch_rows: int = 20_000,
        batch_bytes: int = 8 << 20,
        flush_interval: float = 0.5,
        idle_exit: float | None = None,
        upkeep: Upkeep | None = None,
        quota: int = 2 << 30,
        kept_seconds: float = KEPT_SECONDS,
        destinations: Destinations | None = None,
        self_check: int | None = None,
        errands: Errands | None = None,
    ) -> None:
        self._home, self._spool, self._make_sink, self._door = home, spool, make_sink, door
        self._batch = (batch_rows, batch_bytes)
        self._flush_interval, self._idle_exit, self._upkeep, self._quota = flush_interval, idle_exit, upkeep, quota
        self._kept_seconds = kept_seconds
        self.node = identity.node_name()
        self._destinations = destinations or Destinations(Wish, self.node, home, spool)
        self._destinations.say = self.say
        self.quiet = False
        self._hint = Hint(home)
        self._scan = Scan(self._settled)
        self._found: dict[str, Files] = {}  # when the last batch was made
        self._self_check = SelfCheck(home, self_check)
        self._errands = errands
        if errands is not None:
            errands.say = self.say
        if upkeep is not None:
            upkeep.hint = self._hint
        self._sink: Sink | None = None
        self._shipper: Shipper | None = None
        self._session = 0  # by which the store knew us last
        self._pause = 0.0
        self._said = ""
        self._next_beat = self._next_alive = self._next_retire = self._next_part = 0.0
        self._stopped = False
        self._rows = 0
        self._conflicts = 0  # in a row
        self._presses = True  # whether the last batch says to go on at once
        self._unreadable: dict[str, str] = {}  # as last said
        self._unsettled = True  # whether runs may have been lost since this was last looked at

    def stop(self) -> None:
        """Ask it to end after the batch in hand, and not to rest any more. Safe in a signal handler."""
        self._stopped = True
        self._door.wake()

    def run(self) -> None:
        """Work until stopped, fenced, or idle for long enough."""
        busy_at = worked_at = time.monotonic()
        self.say(f"agent of node {self.node} began")
        self._destinations.start()
        while not self._stopped:
            try:
                worked, needed = self.round()
            except Fenced as problem:
                self.say(f"leaving: {problem.message}")
                break
            except (FlightlogError, OSError) as problem:
                self._away(problem)
                self._door.wait(self._pause)
                continue
            now = time.monotonic()
            if worked:
                worked_at = now
            if worked or needed or self._destinations.busy:
                busy_at = now
            elif self._idle_exit is not None and now - busy_at > self._idle_exit:
                self.say(f"leaving: nothing to do for {self._idle_exit:g} s")
                break
            if not worked:
                self._door.wait(min(self._flush_interval, 0.05 + (now - worked_at) / 10))
            elif not self._presses:
                self._door.wait(self._flush_interval)  # ended by who wants to read
        self.close()

    def drain(self, seconds: float, files: bool = False) -> bool:
        """Ship everything there is, at most for *seconds*; tell whether all was shipped. Raises FlightlogError.

        *files*: into text logs as well, if they are wanted; without them only the database is served.
        """
        deadline = time.monotonic() + seconds
        if files and not self._destinations.drain_files(deadline):
            self._drain_sink(deadline)
            problem = self._destinations.files_problem()
            if problem:
                raise SinkUnavailable(problem, "flightlog agent status")
            return False
        return self._drain_sink(deadline)

    def _drain_sink(self, deadline: float) -> bool:
        if not self._destinations.wish.database:
            self._retire(self._look())
            return True
        while time.monotonic() < deadline and not self._stopped:
            self._next_alive = 0.0
            if not self._work():
                self._retire(self._look())
                return True
        return False

    def close(self) -> None:
        """Let go of the sink, and of text logs."""
        self._destinations.stop()
        self._destinations.close_files()
        self._hint.save()
        if self._shipper is not None:
            self._shipper.forget()
        if self._sink is not None:
            self._sink.close()
        self._sink = self._shipper = None

    def round(self) -> tuple[bool, bool]:
        """Do one round; tell whether there was something to do, and whether somebody may still bring some. Raises FlightlogError, OSError."""
        if not self._destinations.wish.database:
            return self._rest()
        worked = self._work()
        assert self._shipper is not None and self._sink is not None
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            self._sink.beat(self.status())
            self._hint.save()
        if self._errands is not None:
            self._errands.look(self._sink)
        self._pause = 0.0
        if self._said:
            self.say("the store is back")
            self._said = ""
        if self._self_check.is_due() and (not worked or now >= self._next_part):
            self._next_part = now + PART_SECONDS
            self._tell(self._self_check.step(self._sink))
        found = self._found
        self._destinations.board.say("database", SHIPPING, backlog_bytes=self._shipper.backlog(found))
        return worked, bool(self._shipper.living_runs(found)) or (self._errands is not None and self._errands.busy)

    def _tell(self, result: Result | None) -> None:
        """Say what the audit of this node has found; when something is wrong, also in a run of its own."""
        if result is None:
            return
        self.say(result.words())
        if not result.good:
            data = {**result._asdict(), "node": self.node}
            write_notice(self._spool or identity.spool_dir(), records.AUDIT_FAILED, result.words(), data)

    def _rest(self) -> tuple[bool, bool]:
        """Do a round without the database; needed is who has just written, when nobody ships."""
        if self._sink is not None:
            self._drop_sink()
        self._said = ""
        found = self._look()
        if time.monotonic() >= self._next_retire:
            self._retire(found)
            if self._upkeep is not None:
                self._upkeep.acknowledged.take(found, self._destinations.acknowledged(None))
        last = max((moment for files in found.values() for moment in files.times.values()), default=0.0)
        return False, self._idle_exit is not None and time.time() - last < self._idle_exit

    def status(self) -> dict[str, Any]:
        """Return what the store's page of agents shows."""
        found = self._look()
        shipper = self._shipper
        return {
            "spool_bytes": bytes_of(found),
            "backlog_bytes": shipper.backlog(found) if shipper else None,
            "rows": self._rows,
            "cpu_s": _cpu_seconds(),
            **(self._upkeep.status() if self._upkeep else {"pressure": 0}),
            "disabled": self._upkeep.disabled if self._upkeep else False,
            "self_check": self._self_check.last._asdict() if self._self_check.last else None,
        }

    def say(self, text: str) -> None:
        """Write a line of the agent's own log, to standard error, unless it is only a short visit. Never raises."""
        if self.quiet:
            return
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            sys.stderr.write(f"{stamp} {redact.text(text)}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass

    def _look(self) -> dict[str, Files]:
        owners = {**self._destinations.owners, **(self._shipper.owners if self._shipper else {})}
        return self._scan.look(directories(self._home, self._spool), owners)

    def _settled(self) -> AbstractSet[str]:
        if self._destinations.wish.database:
            return self._shipper.closed() if self._shipper is not None else frozenset()
        return self._destinations.in_files()

    def _work(self) -> bool:
        """Ship one batch; tell whether anything moved."""
        if self._sink is None or self._shipper is None:
            self._open()
        assert self._sink is not None and self._shipper is not None
        self._found = found = self._look()
        now = time.monotonic()
        look_alive = now >= self._next_alive
        if look_alive:
            self._next_alive = now + ALIVE_SECONDS
        try:
            done = self._shipper.ship(found, look_alive)
        except PositionConflict as problem:
            self._conflicts += 1
            if self._conflicts > MAX_CONFLICTS:  # it does not mend itself: rest before it is tried again
                self._drop_sink()
                raise
            self.say(f"positions are read back: {problem.message}")
            self._presses = True
            return True
        except SinkError:
            self._drop_sink()
            raise
        self._rows += done.rows
        self._presses = done.presses
        self._conflicts = 0
        for writer, why in self._shipper.unreadable.items():
            if self._unreadable.get(writer) != why:
                self.say(f"writer {writer} is held up: {why}")
        self._unreadable = dict(self._shipper.unreadable)
        if look_alive and self._upkeep is not None:
            self._upkeep.acknowledged.take(found, self._destinations.acknowledged(self._shipper))
        self._unsettled = self._unsettled or done.closed > 0
        if self._unsettled and look_alive and not done.more:
            for run in self._sink.lost(self._shipper.living_runs(found)):
                self.say(f"run {run} is lost: it has no end, and nobody is left who could say it")
            self._unsettled = False
        if now >= self._next_retire:
            self._retire(found)
        return done.more

    def _retire(self, found: dict[str, Files]) -> None:
        self._next_retire = time.monotonic() + RETIRE_SECONDS
        retire(
            found,
            self._destinations.acknowledged(self._shipper),
            bytes_of(found) < self._quota // 2,
            self._kept_seconds,
            self._hint,
        )
        self._hint.keep(found)

    def _open(self) -> None:
        self._destinations.board.say("database", STARTING)
        sink = self._make_sink()
        epoch = sink.open(self.node, os.getpid(), self._session)
        self._session = sink.backend
        self._sink = sink
        self._shipper = Shipper(sink, self.node, self._home, *self._batch, self._hint)
        self._unsettled = True
        self.say(f"connected, epoch {epoch}")
        self._recognise(sink)

    def _recognise(self, sink: Sink) -> None:
        """See whether the store has lost what it had acknowledged; say so, and declare what cannot be shipped again. Raises SinkError."""
        lost = recognise(sink, self._hint, look(directories(self._home, self._spool)))
        if lost is not None:
            message = (
                f"the store {'is a new one' if lost.renewed else 'went back'}: it has lost what it had acknowledged of at least"
                f" {lost.writers} writers; {lost.gone} of them are not in the spool any more: {lost.records} records are missing"
            )
            self.say(message)
            data = {
                "place": sink.place,
                "store": sink.store_id,
                "store_before": self._hint.store,
                "renewed": lost.renewed,
                "writers": lost.writers,
                "gone": lost.gone,
                "records": lost.records,
            }
            write_notice(self._spool or identity.spool_dir(), records.STORE_REGRESSED, message, data)
            gaps = [known.behind(step.position(), step.gap) for step, known in lost.steps]
            self._hint.write_down(
                gaps, sink.store_id
            )  # before: whoever dies in between, the next store that is a new one has to hear of them
            declare(sink, lost, time.time_ns())
            self._hint.forget()
            self._hint.begin(sink.store_id, sink.place)
            for known in gaps:
                self._hint.note(known)
        self._hint.begin(sink.store_id, sink.place)

    def _drop_sink(self) -> None:
        if self._shipper is not None:
            self._shipper.forget()
        if self._sink is not None:
            self._sink.close()
        self._sink = self._shipper = None

    def _away(self, problem: FlightlogError | OSError) -> None:
        """Say once what is wrong, and rest longer each time; slowly where a person has to mend it."""
        self._drop_sink()
        if self._upkeep is not None:
            self._upkeep.acknowledged.asked = True
        slow = isinstance(problem, SinkMisconfigured)
        self._pause = min(LONGEST_PAUSE, max(self._pause * 2, 5.0 if slow else FIRST_PAUSE)) * random.uniform(0.8, 1.0)
        text = getattr(problem, "message", "") or str(problem)
        hint = getattr(problem, "hint", "")
        self._destinations.board.say("database", HOLDING, text, hint)
        if text != self._said:
            self.say(f"holding everything: {text}" + (f" (try: {hint})" if hint else ""))
            self._said = text


def _cpu_seconds() -> float:
    """Return what this process has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round(usage.ru_utime + usage.ru_stime, 3)
