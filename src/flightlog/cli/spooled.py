"""What the spool of this node knows, for when the store does not know it or cannot be reached: runs and lines as the agent would have shipped them.

Invariants: nothing is changed; memory is bounded by the lines asked for per run, time by READ_BYTES, and it is said when older bytes were left out.
The spool holds what is not shipped yet, and what was shipped within the last hour or so. Owns: which rows are kept, and what they come to.
Leaves reading bytes to `agent`, rows to `kept`, the grammar of selectors to `query.selectors`.
"""

from __future__ import annotations

import datetime
import heapq
import os
import re
import tempfile
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from .. import identity
from ..agent.shipper import Shipper
from ..agent.spool import Files, directories
from ..agent.spool_scan import look
from ..errors import NotFound, UsageError
from ..query.drops import Drops, Lost, add, settled
from ..query.logs import Filter, Line
from ..query.runs import BAD, Run
from . import output
from .kept import Kept, event, moment
from .kept import line as kept_line

if TYPE_CHECKING:
    from .waiting import WaitingRun

READ_BYTES = 256 << 20  # seconds of reading
MOST_LINES = 100_000


class Spooled:
    """Runs and lines that lie in the spool of this node, the newest first; chosen from by `query.selectors`.

    Args:
        wanted: which lines to keep; its runs do not restrict.
        limit: lines to keep of each run.
        writers: whose records to read; None reads everybody's.

    Raises NotFound when the spool is empty; UsageError.
    """

    def __init__(
        self, wanted: Filter | None = None, limit: int | None = 0, writers: Collection[str] | None = None
    ) -> None:
        self._match = _matcher(wanted or Filter())
        self._limit = MOST_LINES if limit is None else min(limit, MOST_LINES)
        self._lines: dict[str, list[tuple[datetime.datetime, int, str, int, Line]]] = {}  # heaps, the oldest on top
        self._rows: dict[str, dict[str, Any]] = {}
        self._gaps: list[tuple[str, Lost]] = []  # what events say of captures, with their time
        self._dropped: dict[str, tuple[str, int, dict[str, int]]] = {}  # by writer: (run, records, by level and reason)
        alive = self._read(writers)
        if not self._rows:
            raise NotFound("there is nothing in it", "flightlog run -- COMMAND")
        self.all = [_run(row, alive) for _, row in sorted(self._rows.items(), reverse=True)]
        self.dropped = self._sums()

    def _sums(self) -> dict[str, Drops]:
        """Return what each run did not keep, as far as this spool knows."""
        found = {run.run: Drops() for run in self.all}
        for owner, count, counts in self._dropped.values():
            if owner in found:
                found[owner].records += count
                add(found[owner].counts, counts)
        words = list(self._gaps)
        for run in self.all:
            end = run.data.get("end")
            captures = end.get("captures") if isinstance(end, dict) else None
            for one in captures if isinstance(captures, list) else []:
                words += [_gap(run.run, run.ended_at, one)]
            if isinstance(end, dict) and "lost" in end:
                words += [_gap(run.run, run.ended_at, {"lost": end["lost"]})]
        for lost in settled(word for _, word in sorted(words, key=lambda item: item[0])):
            if lost.run in found:
                found[lost.run].lost_bytes += lost.size
        return found

    def lines(self, runs: Sequence[str] | None, limit: int | None) -> list[Line]:
        """Return the newest *limit* lines of *runs* (None: of all), oldest first. They have no position: the store gives it."""
        names = {run.run: run.pipeline for run in self.all}
        found = sorted(item for run in names if runs is None or run in runs for item in self._lines.get(run, ()))
        kept = found if limit is None else found[len(found) - min(limit, len(found)) :]
        return [line._replace(pipeline=names[line.run], pos=None) for *_, line in kept]

    def only(self, held: Sequence[WaitingRun]) -> list[Run]:
        """Return those of the runs that are *held*."""
        wanted = {one.run for one in held}
        return [run for run in self.all if run.run in wanted]

    def pipelines(self) -> list[str]:
        """Return the names of all pipelines, those that ran last first."""
        return list(dict.fromkeys(run.pipeline for run in self.all))

    def runs_of(
        self,
        pipeline: str,
        skip: int = 0,
        limit: int | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> list[str]:
        """Return the ids of a pipeline's runs, newest first."""
        found = [
            run.run
            for run in self.all
            if run.pipeline == pipeline
            and (since is None or run.started_at >= since)
            and (until is None or run.started_at < until)
        ]
        return found[skip : None if limit is None else skip + limit]

    def failed(self, pipelines: list[str] | None) -> list[str]:
        """Return the latest run that failed."""
        bad = [run.run for run in self.all if run.state in BAD and (pipelines is None or run.pipeline in pipelines)]
        return bad[:1]

    def by_id(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        """Return (id, pipeline, state) of runs whose id begins with *text*, or ends with it."""
        found = [run for run in self.all if run.run.startswith(text) or (len(text) == 6 and run.run.endswith(text))]
        return [(run.run, run.pipeline, run.state) for run in found[:limit]]

    def _read(self, writers: Collection[str] | None) -> set[str]:
        """Read everything; return the runs that somebody may still write into."""
        found, left = _newest(_look(writers))
        if left:
            output.note(f"-- {output.size(left)} of older segments were not read --")
        with tempfile.TemporaryDirectory(prefix="flightlog-") as damage:  # the agent will keep it in its own place
            shipper = Shipper(Kept(self._keep, self._heed, self._learn, self._account), identity.node_name(), damage)
            while shipper.ship(found, look_alive=True).more:
                pass
            found, _ = _newest(_look(writers))  # who was found dead is at his end only by a later look
            while shipper.ship(found, look_alive=True).more:
                pass
            for writer, why in shipper.unreadable.items():
                output.note(f"-- what writer {writer} wrote cannot be read: {output.one_line(why)} --")
            alive = set(shipper.living_runs(found))
            shipper.forget()
        return alive

    def _keep(self, row: str) -> None:
        if not self._limit:
            return
        line = kept_line(row)
        if self._match(line):
            kept = self._lines.setdefault(line.run, [])
            heapq.heappush(kept, (line.ts, line.pos or 0, line.writer, line.seq, line))
            if len(kept) > self._limit:
                heapq.heappop(kept)

    def _heed(self, row: str) -> None:
        if "\tcapture.gap\t" in row:
            self._gaps.append(_gap(*event(row)))

    def _account(self, writer: dict[str, Any]) -> None:
        if writer["dropped"]:
            self._dropped[writer["writer"]] = (writer["run"], writer["dropped"], writer.get("drops") or {})

    def _learn(self, row: dict[str, Any]) -> None:
        known = self._rows.setdefault(row["run"], row)
        if known is not row:
            counts = {name: known[name] + row[name] for name in ("lines", "warnings", "errors")}
            data = {**known.get("data", {}), **row.get("data", {})}
            began = {} if "kind" in row else {"started": known["started"], "pipeline": known["pipeline"]}
            self._rows[row["run"]] = {**known, **row, **counts, **began, "data": data}


def _look(writers: Collection[str] | None) -> dict[str, Files]:
    spool = look(directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", "")))
    return {key: files for key, files in spool.items() if writers is None or key in writers}


def _newest(found: dict[str, Files]) -> tuple[dict[str, Files], int]:
    """Return the writers that wrote last, as many as can be read in some seconds, and the bytes of the others."""
    kept: dict[str, Files] = {}
    taken = left = 0
    for writer, files in sorted(found.items(), key=lambda item: max(item[1].times.values(), default=0), reverse=True):
        size = sum(files.sizes.values())
        if taken and taken + size > READ_BYTES:
            left += size
        else:
            kept[writer] = files
            taken += size
    return kept, left


def _gap(run: str, at: datetime.datetime | None, word: object) -> tuple[str, Lost]:
    """Return what is said of a capture, with its time to be sorted by. Anything may be missing: whoever wrote it may be anybody."""
    known = word if isinstance(word, dict) else {}
    count = known.get("lost")
    number = count if isinstance(count, int) and not isinstance(count, bool) else 0
    return output.iso(at) or "", Lost(run, str(known.get("writer") or ""), identity.node_name(), None, number)


def _run(row: dict[str, Any], alive: set[str]) -> Run:
    if not row.get("state") and row["run"] not in alive:  # as the agent declares it
        row = {**row, "state": "lost", "verdict": "unknown", "confidence": "unknown", "ended": row["last_at"]}
    known = row.get
    return Run(
        run=row["run"],
        pipeline=row["pipeline"],
        node=row["node"],
        parent=known("parent"),
        origin=known("origin"),
        attempt=known("attempt") or 1,
        kind=known("kind") or "implicit",
        state=known("state") or "running",
        exit_code=known("exit_code"),
        term_signal=known("term_signal"),
        wait_status=known("wait_status"),
        verdict=known("verdict"),
        confidence=known("confidence"),
        command=known("command"),
        pid=known("pid"),
        cwd=known("cwd"),
        os_user=known("os_user"),
        started_at=moment(row["started"]),
        ended_at=moment(row["ended"]) if known("ended") else None,
        lines=row["lines"],
        warnings=row["warnings"],
        errors=row["errors"],
        last_at=moment(row["last_at"]),
        stage=known("last_stage"),
        progress=known("last_progress"),
        data=known("data") or {},
    )


def _matcher(wanted: Filter) -> Callable[[Line], bool]:
    """Return the filter as a function. A regular expression is Python's here, the server's there: they differ in rare places."""
    values = wanted.values()
    pattern = None
    if wanted.grep:
        try:
            pattern = re.compile(wanted.grep, re.IGNORECASE if values["igrep"] else 0)
        except re.error as problem:
            raise UsageError(
                f"no regular expression: {wanted.grep}: {problem}", r"put a \ before a character that stands for itself"
            ) from problem

    def below(name: str | None, top: str | None, joint: str) -> bool:
        return top is None or (name is not None and (name == top or name.startswith(top + joint)))

    def matches(line: Line) -> bool:
        return (
            (wanted.since is None or line.ts >= wanted.since)
            and (wanted.until is None or line.ts < wanted.until)
            and (wanted.low is None or line.levelno >= wanted.low)
            and (wanted.high is None or line.levelno <= wanted.high)
            and (pattern is None or pattern.search(line.message) is not None)
            and below(line.stage, wanted.stage, "/")
            and below(line.logger, wanted.logger, ".")
            and wanted.source in (None, line.source)
            and wanted.node in (None, line.node)
        )

    return matches
