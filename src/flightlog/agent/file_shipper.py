"""Brings what the spool holds into text logs: the same tails as `shipper`, into a FileSink.

Invariants: positions are those of the sink; after any failure everything remembered is forgotten and read again; nothing is read while the sink is
closed, so memory is bounded by one batch. Owns: tails, batches. Leaves when to do it to `file_delivery`, removal to `retire`.
"""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet

from ..errors import FlightlogError, SegmentError
from . import faults
from .aside import Aside, Mistake
from .capture_tail import CaptureTail
from .file_positions import waiting
from .file_rows import GUESSED, NAMED, STARTED, FileGathering
from .file_sink import FileSink
from .journal_tail import JournalTail
from .ready import Tail, ready, why
from .shipper import Shipped
from .sink import Position
from .spool import CAPTURE, Files
from .step import Step

MAX_OPEN = 256  # descriptors of segments kept open between batches
GONE_SECONDS = 3600.0


class FileShipper:
    """Brings one node's spool into one directory.

    Args:
        sink: opened.
        node: this node's name.
        home: where damage is kept.
        batch_rows: when a batch is full.
        aside: writers that are not to be read; outlives this shipper.
    """

    def __init__(
        self, sink: FileSink, node: str, home: str, batch_rows: int = 20_000, aside: Aside | None = None
    ) -> None:
        self._sink, self._home = sink, home
        self._aside = Aside() if aside is None else aside
        self._tails: dict[str, Tail] = {}
        self.unreadable: dict[str, str] = {}  # why what writers wrote cannot be read
        wish = sink.wish
        self._into = FileGathering(node, wish.format == "jsonl", batch_rows, wish.batch_bytes)
        for run, (pipeline, sure) in sink.positions.runs.items():
            self._into.pipelines.take(run, pipeline, sure)

    def close(self) -> None:
        """Let go of what is open."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    @property
    def owners(self) -> dict[str, int]:
        """Whose a writer is, for `Scan.look`."""
        return self._sink.positions.owners

    def closed(self) -> AbstractSet[str]:
        """Return the writers that are in the logs to their end. May be asked from another thread."""
        return {writer for writer, position in list(self._sink.positions.writers.items()) if position.closed}

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer is in the logs to its end and will write no more."""
        position = self._sink.positions.writers.get(writer)
        return position is not None and position.closed

    def position(self, writer: str) -> Position | None:
        """Return how far a writer is in the logs, None when nothing is known of it."""
        return self._sink.positions.writers.get(writer)

    def backlog(self, found: dict[str, Files]) -> int:
        """Return how many bytes wait."""
        return waiting(found, self._sink.positions)

    def living_runs(self) -> set[str]:
        """Return the runs that somebody may still write into."""
        return {run for tail in self._tails.values() for run in (tail.run, tail.last_run)}

    def ship(self, found: dict[str, Files], look_alive: bool) -> Shipped:
        """Write one batch of what was *found*; see `shipper.Shipper.ship`. Raises SinkError, OSError: then this shipper is of no use any more."""
        self.unreadable = self._aside.among(found)
        self._meet(found)
        chosen, again = ready(self._tails, found, look_alive)
        chosen = [tail for tail in chosen if tail.writer not in self._aside]
        into = self._into
        into.begin()
        for tail in chosen:  # what is said about a writer that never got a record into a run belongs somewhere, too
            into.pipelines.take(tail.last_run, tail.pipeline, GUESSED)
        steps = self._gather(chosen, found, into)
        for step in steps:
            step.finish()
        moved = [step for step in steps if step.moved]
        if moved:
            self._commit(moved, into)
            if len(self._tails) > MAX_OPEN:
                for tail in chosen:
                    tail.close()
        return Shipped(into.rows, sum(step.closed for step in moved), bool(moved) or again, into.is_full())

    def _meet(self, found: dict[str, Files]) -> None:
        """Make tails of writers not met before, drop those of writers that are gone."""
        positions = self._sink.positions
        for writer in [writer for writer in self._tails if writer not in found]:
            self._tails.pop(writer).close()
        positions.prune(found.keys(), time.monotonic(), GONE_SECONDS)
        for writer, files in found.items():
            if writer in self._tails or writer in self._aside:
                continue
            position = positions.writers.get(writer, Position())
            if position.closed or positions.owners.setdefault(writer, files.uid) != files.uid:
                continue  # also a stranger's file under a name that is in use: not shipped, not removed
            try:
                tail = self._follow(files, position)
            except (OSError, SegmentError) as problem:
                self.unreadable[writer] = why(problem)
                continue
            except Exception as problem:
                raise Mistake(writer, problem) from problem
            self._tails[writer] = tail
            if isinstance(tail, CaptureTail):
                # What the command's own journal calls the run is the program's name, and it may fill a batch before the keeper's is read.
                self._into.pipelines.take(
                    tail.run, tail.meta.get("pipeline"), NAMED if tail.meta.get("named") else STARTED
                )

    def _follow(self, files: Files, position: Position) -> Tail:
        return CaptureTail(files, position) if files.kind == CAPTURE else JournalTail(files, position, self._home)

    def _gather(self, chosen: list[Tail], found: dict[str, Files], into: FileGathering) -> list[Step]:
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
                if advanced and not step.closed:
                    again.append(tail)
                if into.is_full():
                    break
            turn = again
        return list(steps.values())

    def _commit(self, moved: list[Step], into: FileGathering) -> None:
        positions = self._sink.positions
        advances = {}
        for step in moved:
            into.account(step, self._tails[step.writer].last_run)
            advances[step.writer] = step.position()
        if not positions.settled:
            times = [facts.first for facts in into.runs.values() if facts.first]
            positions.first_ns = min([*times, *([positions.first_ns] if positions.first_ns else [])], default=0)
        pipelines = into.pipelines
        if len(pipelines) > 2 * len(self._tails) + 100:
            pipelines.forget(self.living_runs() | into.runs.keys())
        positions.runs = {run: (name, pipelines.sure[run]) for run, name in pipelines.items()}
        faults.point("file_gathered")
        self._sink.write(into.texts(), advances)
        for step in moved:
            self._tails[step.writer].position = advances[step.writer]
            if step.closed:
                self._tails.pop(step.writer).close()
