"""Runs as typed rows, and lists of them. Owns: what a run's columns mean to people. Leaves choosing by name to `selectors`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import identity
from ..errors import NotFound
from ..store.db import Connection
from .ask import ask

FINAL = frozenset(("succeeded", "failed", "lost"))
BAD = frozenset(("failed", "lost"))
SORTS = ("started", "ended", "duration", "lines", "warnings", "errors")


@dataclass(frozen=True)
class Run:
    """One run. Times are aware, UTC. `progress`: {done, total, stage} or None."""

    run: str
    pipeline: str
    node: str
    parent: str | None
    origin: str | None
    attempt: int
    kind: str
    state: str
    exit_code: int | None
    term_signal: str | None
    wait_status: int | None
    verdict: str | None
    confidence: str | None
    command: list[str] | None
    pid: int | None
    cwd: str | None
    os_user: str | None
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    lines: int
    warnings: int
    errors: int
    last_at: datetime.datetime | None
    stage: str | None
    progress: dict[str, Any] | None
    data: dict[str, Any]

    @property
    def short(self) -> str:
        """The id as people see it."""
        return identity.short(self.run)

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL

    @property
    def seconds(self) -> float:
        """How long it took, or has been going on."""
        end = self.ended_at or datetime.datetime.now(datetime.timezone.utc)
        return max(0.0, (end - self.started_at).total_seconds())

    @property
    def ending(self) -> str:
        """How it ended, with its verdict when that says more; empty while it goes on."""
        said = self.verdict and self.verdict not in ("ok", "exit-status", "unknown")
        return f"{self.end} ({self.verdict})" if said and self.end else self.end

    @property
    def end(self) -> str:
        """How it ended, in a word or two; empty while it goes on."""
        if self.state == "lost":
            return "no end was recorded"
        if self.term_signal:
            return self.term_signal
        if self.exit_code is not None:
            return f"exit {self.exit_code}"
        error = self.data.get("error")
        return str(error.get("type")) if isinstance(error, dict) else ""


def list_runs(
    connection: Connection,
    runs: Sequence[str] | None = None,
    pipelines: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    since: datetime.datetime | None = None,
    limit: int | None = None,
    sort: str = "started",
    smallest_first: bool = False,
) -> list[Run]:
    """Return runs, sorted by one of SORTS, the latest or largest first. What is None does not restrict. Raises SinkError."""
    assert sort in SORTS
    rows = ask(
        connection,
        "runs",
        "list",
        runs=None if runs is None else list(runs),
        pipelines=None if pipelines is None else list(pipelines),
        states=None if states is None else list(states),
        since=since,
        limit=limit,
        sort=sort,
        sign=-1 if smallest_first else 1,
    )
    return [Run(*row) for row in rows]


def get(connection: Connection, run: str) -> Run:
    """Return one run by its id. Raises NotFound, SinkError."""
    found = list_runs(connection, [run])
    if not found:
        raise NotFound(f"no run has the id {run}", "flightlog list shows what is recorded")
    return found[0]


def latest_of_each(connection: Connection) -> list[Run]:
    """Return the latest run of each pipeline, by the pipeline's name."""
    return [Run(*row) for row in ask(connection, "runs", "latest_of_each")]


def last_line(connection: Connection, run: str) -> tuple[str, str, datetime.datetime] | None:
    """Return (level, message, time) of a run's last log line."""
    rows = ask(connection, "runs", "last_line", run=run)
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None
