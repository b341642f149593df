"""Runs as typed rows."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import identity
from ..store.db import Connection
from .ask import ask

FINAL = frozenset(("succeeded", "failed", "lost"))
BAD = frozenset(("failed", "lost"))


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
        """How it ended, in a few words; empty while it goes on."""
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
) -> list[Run]:
    """Return runs, newest first. What is None does not restrict."""
    rows = ask(
        connection,
        "runs",
        "list",
        runs=None if runs is None else list(runs),
        pipelines=None if pipelines is None else list(pipelines),
        states=None if states is None else list(states),
        since=since,
        limit=limit,
    )
    return [Run(*row) for row in rows]


def latest_of_each(connection: Connection) -> list[Run]:
    """Return the latest run of each pipeline, by the pipeline's name."""
    return [Run(*row) for row in ask(connection, "runs", "latest_of_each")]


def last_line(connection: Connection, run: Run) -> tuple[str, str, datetime.datetime] | None:
    """Return (level, message, time) of a run's last log line."""
    rows = ask(connection, "runs", "last_line", run=run.run, since=run.started_at)
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None
