"""Ships what the spool holds: one transaction per batch, exactly once.

Invariants: positions are read from the sink, never from here; after any failure everything remembered is forgotten and read again, so that
no error path has a state of its own; a batch holds each writer's part from its committed position on, without a hole; nothing is read while
the sink is away, so memory is bounded by one batch. Owns: tails, batches, lost runs. Leaves when to do it to `agent`, removal to `retire`.
"""

from __future__ import annotations

import datetime
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from ..errors import FlightlogError, PoisonRecord, SegmentError
from ..system import os
from . import faults
from .aside import Aside, Mistake
from .batch import Gathering, RunUnknown
from .capture_tail import CaptureTail
from .copytext import SECONDS_OF_DAY, Clock, DayMissing
from .hint import Hint, Known
from .journal_tail import JournalTail
from .ready import Tail, ready, why
from .sink import Position, Sink
from .sites import Sites
from .spool import CAPTURE, Files
from .step import Step

MAX_OPEN = 256  # descriptors kept open between batches

PRESSING_ROWS = 2_000  # of a batch: more than that each half second is 4,000 a second


class Shipped(NamedTuple):
    """What one pass did: rows, writers that were closed, whether more may be waiting, and whether the batch ended before all that was there was in it."""

    rows: int
    closed: int
    more: bool
    cut: bool = False

    @property
    def presses(self) -> bool:
        """Whether to go on at once: the batch was cut, much of one came, or what is left needs no writer to bring it.

        A trickle can wait for the next pause: a round costs the same for ten rows as for a thousand, and the pipeline's machine pays for it.
        """
        return self.more and (self.cut or self.rows >= PRESSING_ROWS or self.rows == 0 or self.closed > 0)


class Shipper:
    """Ships one node's spool into one sink.

    Args:
        sink: opened.
        node: this node's name.
        home: where damage is kept.
        batch_rows, batch_bytes: when a batch is full.
        hint: is told what was committed.
    """

    def __init__(
        self,
        sink: Sink,
        node: str,
        home: str,
        batch_rows: int = 20_000,
        batch_bytes: int = 8 << 20,
        hint: Hint | None = None,
    ) -> None:
        self._sink, self._node, self._home, self._hint = sink, node, home, hint
        self._batch_rows, self._batch_bytes = batch_rows, batch_bytes
        self._tails: dict[str, Tail] = {}
        self._runs: dict[str, int] = {}  # next pos by run, as committed
        self._closed: set[str] = set()  # writers shipped to their end
        self.owners: dict[str, int] = {}  # whose a writer is, for `Scan.look`: somebody else may use its name
        self._clock = Clock(set())
        self._sites = Sites()
        self.unreadable: dict[str, str] = {}  # why what writers wrote cannot be read
        self._aside = Aside()

    def forget(self) -> None:
        """Drop everything remembered: after a failure, or when the sink was opened anew."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        self._runs.clear()
        self._closed.clear()
        self._clock.days.clear()

    def closed(self) -> AbstractSet[str]:
        """Return the writers that were shipped to their end and will write no more; for the thread that ships."""
        return self._closed

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer was shipped to its end and will write no more."""
        return writer in self._closed

    def position(self, writer: str) -> Position | None:
        """Return how far a writer was shipped, None when that is not known."""
        tail = self._tails.get(writer)
        return tail.position if tail is not None else None

    def backlog(self, found: dict[str, Files]) -> int:
        """Return how many bytes wait to be shipped."""
        return sum(tail.backlog(found[writer]) for writer, tail in self._tails.items() if writer in found)

    def ship(self, found: dict[str, Files], look_alive: bool) -> Shipped:
        """Ship one batch of what was *found*.

        Args:
            found: a fresh look at the spool.
            look_alive: whether to look which silent writers are dead; else that is left for another time.

        Blocks on disk and sink. Raises SinkError and OSError; then nothing of this batch is in the sink, or CommitUnknown.
        """
        try:
            return self._ship(found, look_alive)
        except Mistake as mistake:
            self.forget()
            self._aside.put(mistake)
            return Shipped(0, 0, True)
        except BaseException:
            self.forget()
            raise

    def living_runs(self, found: dict[str, Files]) -> list[str]:
        """Return the runs that somebody may still write into: those of writers not closed."""
        runs = {tail.run for writer, tail in self._tails.items() if writer in found}
        runs.update(tail.last_run for writer, tail in self._tails.items() if writer in found)
        return sorted(runs)

    def _ship(self, found: dict[str, Files], look_alive: bool) -> Shipped:
        self.unreadable = self._aside.among(found)
        self._meet(found)
        chosen, again = ready(self._tails, found, look_alive)
        chosen = [tail for tail in chosen if tail.writer not in self._aside]
        if not chosen:
            return Shipped(0, 0, False)
        faults.point("after_scan")
        self._clock.refresh()
        self._prepare({self._clock.now_ns // 1_000_000_000 // SECONDS_OF_DAY})
        self._learn({tail.run for tail in chosen})
        into = Gathering(
            self._sink, self._node, self._clock, self._sites, self._runs, self._batch_rows, self._batch_bytes
        )
        try:
            steps = self._gather(chosen, found, into)
            cut = into.is_full() or any(step.blocked for step in steps.values())
            for step in steps.values():
                step.finish()
            moved = [step for step in steps.values() if step.moved]
            if moved:
                self._commit(moved, into)
        except BaseException:
            into.abort()
            raise
        for step in steps.values():
            self._settle(step)
        if len(self._tails) > MAX_OPEN:
            for tail in chosen:
                tail.close()
        return Shipped(into.rows, sum(step.closed for step in moved), bool(moved) or again, cut)

    def _meet(self, found: dict[str, Files]) -> None:
        """Make tails of writers not met before, from the positions that the sink knows."""
        for writer in [writer for writer in self._tails if writer not in found]:
            self._tails.pop(writer).close()
        self._closed.intersection_update(found)
        tails, closed, aside = self._tails, self._closed, self._aside.among(found)
        new = [writer for writer in found if writer not in closed and writer not in tails and writer not in aside]
        if not new:
            return
        known = self._sink.positions(new)
        others = any(files.uid != os.geteuid() for files in found.values())
        self.owners = {writer: uid for writer, uid in self.owners.items() if writer in found}
        self.owners.update(self._sink.owners(list(known)) if others and known else {})
        for writer in new:
            position = Position(*known[writer]) if writer in known else Position()
            files = found[writer]
            if others and self.owners.setdefault(writer, files.uid) != files.uid:
                continue  # a stranger's file under a name that is in use: not shipped, not removed
            if position.closed:
                self._closed.add(writer)
                if self._hint is not None:
                    self._hint.note(Known(writer, files.kind, "", "", position))
            else:
                try:
                    tail = self._tails[writer] = self._follow(files, position)
                except (OSError, SegmentError) as problem:
                    self.unreadable[writer] = why(problem)
                    continue
                except Exception as problem:
                    raise Mistake(writer, problem) from problem
                if self._hint is not None and writer in known:  # to another agent of this home, perhaps
                    self._hint.note(Known(writer, tail.kind, tail.run, tail.pipeline, position))

    def _follow(self, files: Files, position: Position) -> Tail:
        return CaptureTail(files, position) if files.kind == CAPTURE else JournalTail(files, position, self._home)

    def _learn(self, runs: set[str]) -> None:
        unknown = sorted(run for run in runs if run not in self._runs)
        if unknown:
            known = self._sink.run_positions(unknown)
            self._runs.update((run, known.get(run, 1)) for run in unknown)

    def _prepare(self, days: set[int]) -> None:
        if not days <= self._clock.days:
            self._clock.days.update(self._sink.prepare(days))

    def _gather(self, chosen: list[Tail], found: dict[str, Files], into: Gathering) -> dict[str, Step]:
        """Read from every tail in turn until nothing comes or the batch is full."""
        steps = {tail.writer: Step(tail.writer, tail.position) for tail in chosen}
        turn = chosen
        while turn and not into.is_full():
            again = []
            for tail in turn:
                step = steps[tail.writer]
                try:
                    advanced = tail.read(found[tail.writer], into, step)
                except (OSError, SegmentError) as problem:  # holds up this writer and no other one
                    self.unreadable[tail.writer] = why(problem)
                    continue
                except FlightlogError:
                    raise
                except Exception as problem:
                    raise Mistake(tail.writer, problem) from problem
                finally:
                    if len(turn) > MAX_OPEN:  # else as many descriptors would be open at once
                        tail.close()
                if isinstance(step.wants, DayMissing) and not into.streaming:
                    self._prepare({step.wants.day})
                    step.wants = None
                    advanced = True
                if advanced and not step.closed and not step.blocked:
                    again.append(tail)
                if into.is_full():
                    break
            turn = again
        return steps

    def _commit(self, moved: list[Step], into: Gathering) -> None:
        transaction = into.store_rows()
        for step in moved:
            step.refused(into.refused.get(step.writer, []))
        if into.runs:
            try:
                transaction.apply_runs(into.run_rows())
            except PoisonRecord:
                transaction.apply_runs(into.run_rows(bare=True))
        faults.point("before_ship_commit")
        advances = []
        for step in moved:
            tail = self._tails[step.writer]
            described = tail.described()
            opened = datetime.datetime.fromtimestamp(
                _believable(described["opened_ns"], self._clock.now_ns) / 1e9, datetime.timezone.utc
            )
            advances.append(step.advance(tail.kind, tail.run, described, opened.isoformat()))
        transaction.advance(advances, into.run_advances())
        faults.point("after_ship_commit")
        faults.point("before_commit")
        transaction.commit()
        faults.point("after_commit")
        for facts in into.runs.values():
            self._runs[facts.run] = facts.pos

    def _settle(self, step: Step) -> None:
        """Take a committed step as the new position, and get what it waits for."""
        tail = self._tails[step.writer]
        tail.position = step.position()
        if self._hint is not None and step.moved:
            self._hint.note(Known(step.writer, tail.kind, tail.run, tail.pipeline, tail.position, step.gap))
        if step.moved:  # to the end of the queue: a batch may be full before everybody was read
            self._tails[step.writer] = self._tails.pop(step.writer)
        if step.closed:
            self._tails.pop(step.writer).close()
            self._closed.add(step.writer)
        elif isinstance(step.wants, DayMissing):
            self._prepare({step.wants.day})
        elif isinstance(step.wants, RunUnknown):
            self._learn({step.wants.run})


def _believable(ns: int, now_ns: int) -> int:
    return ns if 0 < ns <= now_ns + 86_400_000_000_000 else now_ns
