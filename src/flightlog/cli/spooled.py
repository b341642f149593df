"""What the spool of this node knows, for when the store cannot be reached: runs and lines as the agent would have shipped them.

Invariants: nothing is changed; memory is bounded by the lines asked for per run, time by READ_BYTES, and it is said when older bytes were left out.
The spool holds what is not shipped yet, and what was shipped within the last hour or so. Owns: a sink that keeps rows instead of storing them.
Leaves reading bytes to `agent`, the grammar of selectors to `query.selectors`.
"""

from __future__ import annotations

import datetime
import heapq
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import identity
from ..agent.shipper import Shipper
from ..agent.sink import DeadLetter, Position
from ..agent.spool import Files, directories, look
from ..errors import NotFound, UsageError
from ..query.logs import Filter, Line
from ..query.runs import BAD, Run
from . import output

READ_BYTES = 256 << 20  # seconds of reading
MOST_LINES = 100_000
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "t": "\t", "r": "\r"}


class Spooled:
    """Runs and lines that lie in the spool of this node, the newest first; chosen from by `query.selectors`.

    Args:
        wanted: which lines to keep; its runs do not restrict.
        limit: lines to keep of each run.

    Raises NotFound when the spool is empty; UsageError.
    """

    def __init__(self, wanted: Filter | None = None, limit: int | None = 0) -> None:
        self._match = _matcher(wanted or Filter())
        self._limit = MOST_LINES if limit is None else min(limit, MOST_LINES)
        self._lines: dict[str, list[tuple[datetime.datetime, int, str, int, Line]]] = {}  # heaps, the oldest on top
        self._rows: dict[str, dict[str, Any]] = {}
        alive = self._read()
        if not self._rows:
            raise NotFound("there is nothing in it", "flightlog run -- COMMAND")
        self.all = [_run(row, alive) for _, row in sorted(self._rows.items(), reverse=True)]

    def lines(self, runs: Sequence[str] | None, limit: int | None) -> list[Line]:
        """Return the newest *limit* lines of *runs* (None: of all), oldest first. They have no position: the store gives it."""
        names = {run.run: run.pipeline for run in self.all}
        found = sorted(item for run in names if runs is None or run in runs for item in self._lines.get(run, ()))
        kept = found if limit is None else found[len(found) - min(limit, len(found)) :]
        return [line._replace(pipeline=names[line.run], pos=None) for *_, line in kept]

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

    def _read(self) -> set[str]:
        """Read everything; return the runs that somebody may still write into."""
        folders = directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", ""))
        found, left = _newest(look(folders))
        if left:
            output.note(f"-- {output.size(left)} of older segments were not read --")
        with tempfile.TemporaryDirectory(prefix="flightlog-") as damage:  # the agent will keep it in its own place
            shipper = Shipper(_Kept(self._keep, self._learn), identity.node_name(), damage)
            while shipper.ship(found, look_alive=True).more:
                pass
            found, _ = _newest(look(folders))  # who was found dead is at his end only by a later look
            while shipper.ship(found, look_alive=True).more:
                pass
            alive = set(shipper.living_runs(found))
            shipper.forget()
        return alive

    def _keep(self, row: str) -> None:
        if not self._limit:
            return
        line = _line(row)
        if self._match(line):
            kept = self._lines.setdefault(line.run, [])
            heapq.heappush(kept, (line.ts, line.pos or 0, line.writer, line.seq, line))
            if len(kept) > self._limit:
                heapq.heappop(kept)

    def _learn(self, row: dict[str, Any]) -> None:
        known = self._rows.setdefault(row["run"], row)
        if known is not row:
            counts = {name: known[name] + row[name] for name in ("lines", "warnings", "errors")}
            data = {**known.get("data", {}), **row.get("data", {})}
            began = {} if "kind" in row else {"started": known["started"], "pipeline": known["pipeline"]}
            self._rows[row["run"]] = {**known, **row, **counts, **began, "data": data}


class _Kept:
    """Sink and batch in one: hands each row on, refuses nothing, remembers nothing."""

    store_id = place = ""
    backend = 0

    def __init__(self, keep: Callable[[str], None], learn: Callable[[dict[str, Any]], None]) -> None:
        self._keep, self._learn = keep, learn

    def open(self, node: str, pid: int, session: int = 0) -> int:
        return 1

    def positions(self, writers: Sequence[str]) -> dict[str, Position]:
        return {}

    def run_positions(self, runs: Sequence[str]) -> dict[str, int]:
        return {}

    def prepare(self, days: Iterable[int]) -> set[int]:
        return set(days)

    def self_check(self, since: str, after: str, limit: int) -> list[tuple[str, int, int, int, str]]:
        return []

    def begin(self) -> _Kept:
        return self

    def write_logs(self, rows: bytes) -> None:
        for row in rows.decode().split("\n")[:-1]:
            self._keep(row)

    def end_logs(self) -> None:
        pass

    def write_events(self, rows: bytes) -> None:
        pass

    def forget_rows(self) -> None:
        pass

    def try_rows(self, logs: bytes, events: bytes) -> None:
        pass

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        pass

    def apply_runs(self, runs: Sequence[dict[str, Any]]) -> None:
        for row in runs:
            self._learn(row)

    def advance(self, writers: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> None:
        pass

    def commit(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def owners(self, writers: Sequence[str]) -> dict[str, int]:
        return {}

    def lost(self, known: Sequence[str]) -> list[str]:
        return []

    def beat(self, status: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


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


def _line(row: str) -> Line:
    """Return a COPY line of `agent.rows` as a typed one."""
    (
        run, ts, pos, seq, writer, levelno, level, logger, message, stage, source, pid, thread, file, line, func, fields, error, node,
        claimed, flags,
    ) = (None if field == "\\N" else _ESCAPE.sub(_meant, field) if "\\" in field else field for field in row.split("\t"))  # fmt: skip
    return Line(
        _moment(ts), level or "", int(levelno or 0), message or "", logger, None, run or "", stage, node or "", _number(pid), thread,
        writer or "", int(seq or 0), int(pos or 0), source or "", file, _number(line), func, json.loads(fields) if fields else None,
        json.loads(error) if error else None, _moment(claimed) if claimed else None, int(flags or 0),
    )  # fmt: skip


def _meant(found: re.Match[str]) -> str:
    return _MEANING.get(found[1], found[1])


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _moment(text: str | None) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text or "1970-01-01 00:00:00+00")


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
        started_at=_moment(row["started"]),
        ended_at=_moment(row["ended"]) if known("ended") else None,
        lines=row["lines"],
        warnings=row["warnings"],
        errors=row["errors"],
        last_at=_moment(row["last_at"]),
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
