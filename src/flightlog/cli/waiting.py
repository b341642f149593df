"""Runs that wait: those of this node's spool that the store has not heard of yet, or not all of, behind a backlog or because nothing ships.

Invariants: to know them only the headers of writers are read, of MOST_WRITERS at most, the newest. What a writer's later runs are called is not in its header: those are found when they are shipped. Owns: whose bytes wait, and
a catalogue of what store and spool know together. Leaves their records to `spooled`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import identity, records
from ..agent.capture_tail import CaptureTail
from ..agent.journal_tail import NO_RUN, JournalTail
from ..agent.sink import Position
from ..agent.spool import CAPTURE, Files, directories
from ..agent.spool_scan import look
from ..query.runs import list_runs
from ..query.selectors import SHORT, Catalogue, stored
from ..wiring import OPEN_LINE_BYTES
from . import output

if TYPE_CHECKING:
    from ..query.logs import Filter
    from ..wiring import Reading
    from .spooled import Spooled

MOST_WRITERS = 2000
SHOWN = 3  # runs that are named


class WaitingRun:
    """A run of which something waits: its names (a program may have given another one), the bytes, the writers whose they are."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.names: list[str] = []
        self.size = 0
        self.writers: set[str] = set()

    @property
    def words(self) -> str:
        """What people call it."""
        return output.one_line(f"{output.brief(self.names[-1])} {identity.short(self.run)}")


class Waiting:
    """See the module.

    Attributes:
        runs: of which the store has nothing, by id, the newest first.
        parts: of which the store has something, but not all.

    Raises SinkError.
    """

    def __init__(self, reading: Reading) -> None:
        self._connection = reading.connection
        waiting = {writer: size for writer, size in reading.pending.items() if size}
        late: set[str] = set()  # more than the rest of a line that is still being written
        found: dict[str, WaitingRun] = {}
        if waiting:
            spool = look(directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", "")))
            ours = sorted((files for writer, files in spool.items() if writer in waiting), key=_newest, reverse=True)
            for files in ours[:MOST_WRITERS]:
                run, name = _owner(files)
                if run != NO_RUN:
                    one = found.setdefault(run, WaitingRun(run))
                    one.names += [name] if name not in one.names else []
                    one.size += waiting[files.writer]
                    one.writers.add(files.writer)
                    if files.kind != CAPTURE or files.ended or waiting[files.writer] > OPEN_LINE_BYTES:
                        late.add(run)
        known = {run.run for run in list_runs(self._connection, list(found))} if found else set()
        self.runs = {run: found[run] for run in sorted(found, reverse=True) if run not in known}
        self.parts = {run: found[run] for run in sorted(found, reverse=True) if run in known and run in late}

    def catalogue(self) -> Catalogue:
        """Return what there is to choose from: the runs of the store and these."""
        known = stored(self._connection)
        return _Both(known, self.runs) if self.runs else known

    def among(self, runs: Sequence[str] | None) -> list[WaitingRun]:
        """Return those of *runs* of which the store has nothing."""
        return [self.runs[run] for run in runs or () if run in self.runs]

    def parts_of(self, runs: Sequence[str] | None) -> list[WaitingRun]:
        """Return those of *runs* of which the store has something, but not all."""
        return [self.parts[run] for run in runs or () if run in self.parts]

    def read(self, held: Sequence[WaitingRun], wanted: Filter | None = None, limit: int | None = 0) -> Spooled:
        """Return what the spool has of these runs, as far as it is *wanted*."""
        from .spooled import Spooled

        return Spooled(wanted, limit, {writer for one in held for writer in one.writers})


def words(held: Sequence[WaitingRun]) -> str:
    """Return runs for people: `orders 5SGBM2, orders NY3BKX and 3 more runs`."""
    named = [one.words for one in held[:SHOWN]]
    more = len(held) - len(named)
    return ", ".join(named) + (f" and {more} more run{'' if more == 1 else 's'}" if more else "")


class _Both:
    """The runs of the store, and those that wait."""

    def __init__(self, known: Catalogue, waiting: dict[str, WaitingRun]) -> None:
        self._stored, self._waiting = known, waiting

    def pipelines(self) -> list[str]:
        ours = [name for one in self._waiting.values() for name in one.names]
        return list(dict.fromkeys([*ours, *self._stored.pipelines()]))

    def runs_of(
        self,
        pipeline: str,
        skip: int = 0,
        limit: int | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> list[str]:
        ours = [
            one.run
            for one in self._waiting.values()
            if pipeline in one.names
            and (since is None or one.run >= _first_id(since))
            and (until is None or one.run < _first_id(until))
        ]
        most = None if limit is None else skip + limit
        both = sorted([*ours, *self._stored.runs_of(pipeline, 0, most, since, until)], reverse=True)
        return both[skip:most]

    def failed(self, pipelines: list[str] | None) -> list[str]:
        return self._stored.failed(pipelines)  # how the others ended is not known before they are read

    def by_id(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        ours = [
            (one.run, one.names[-1], "waiting")
            for one in self._waiting.values()
            if one.run.startswith(text) or (len(text) == SHORT and one.run.endswith(text))
        ]
        return [*ours, *self._stored.by_id(text, limit)][:limit]


def _first_id(moment: datetime.datetime) -> str:
    """Return what ids of runs that began then or later are not less than."""
    return identity.new_ulid(int(moment.timestamp() * 1e9))[:10]


def _newest(files: Files) -> float:
    return max(files.times.values(), default=0.0)


def _owner(files: Files) -> tuple[str, str]:
    """Return the run and the pipeline that a writer's header names."""
    tail = CaptureTail(files, Position()) if files.kind == CAPTURE else JournalTail(files, Position(), "")
    with contextlib.closing(tail):
        return tail.run, records.kept_name(tail.pipeline)
