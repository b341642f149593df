"""Log lines as typed rows: the newest of what matches, everything, and what comes after.

Invariants: memory is bounded by the number of lines asked for; all of a run's lines are read by its key. Owns: filters.
Times in and out are aware, UTC.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import UsageError
from ..store.db import Connection
from .ask import ask, stream

LOWEST, HIGHEST = -32768, 32767


class Line(NamedTuple):
    """One log line; names as in docs/reference/cli-json.md."""

    ts: datetime.datetime
    level: str
    levelno: int
    message: str
    logger: str | None
    pipeline: str | None
    run: str
    stage: str | None
    node: str
    pid: int | None
    thread: str | None
    writer: str
    seq: int
    pos: int
    source: str
    file: str | None
    line: int | None
    func: str | None
    fields: dict[str, Any] | None
    exception: dict[str, Any] | None
    ts_claimed: datetime.datetime | None
    flags: int


@dataclass(frozen=True)
class Filter:
    """What to show. None does not restrict; `low`, `high`: levels, inclusive; `grep`: PostgreSQL's regular expression,
    smart case: without a capital letter case does not matter; `stage`, `logger`: with everything below them.
    """

    runs: Sequence[str] | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    low: int = LOWEST
    high: int = HIGHEST
    grep: str | None = None
    stage: str | None = None
    logger: str | None = None
    source: str | None = None
    node: str | None = None

    def values(self) -> dict[str, Any]:
        """Return it as parameters of sql/queries/logs.sql."""
        smart = self.grep is not None and self.grep == self.grep.lower()
        return {
            "runs": None if self.runs is None else list(self.runs),
            "since": self.since,
            "until": self.until,
            "low": self.low,
            "high": self.high,
            "grep": None if smart else self.grep,
            "igrep": self.grep if smart else None,
            "stage": self.stage,
            "logger": self.logger,
            "source": self.source,
            "node": self.node,
        }


def newest(connection: Connection, wanted: Filter, limit: int) -> list[Line]:
    """Return the newest *limit* lines that match, oldest first. Raises SinkError, UsageError for a bad expression."""
    rows = _checked(connection, wanted)
    rows = ask(connection, "logs", "newest", limit=limit, **wanted.values())
    return [Line(*row) for row in reversed(rows)]


def everything(connection: Connection, wanted: Filter) -> Iterator[Line]:
    """Yield all lines that match, oldest first, in bounded memory."""
    _checked(connection, wanted)
    for row in stream(connection, "logs", "oldest", limit=None, **wanted.values()):
        yield Line(*row)


def heads(connection: Connection, wanted: Filter) -> dict[tuple[str, str], int]:
    """Return the next position by (run, node): of the filter's runs, else of all that go on or ended within the hour."""
    values = wanted.values()
    rows = ask(connection, "logs", "heads", runs=values["runs"], node=values["node"])
    return {(run, node): pos for run, node, pos in rows}


def behind(
    connection: Connection, wanted: Filter, seen: dict[tuple[str, str], int], upto: dict[tuple[str, str], int]
) -> list[Line]:
    """Return the lines from positions *seen* on and before *upto*, in the order of their time."""
    more = [(run, node, seen.get((run, node), 1), high) for (run, node), high in upto.items()]
    more = [item for item in more if item[2] < item[3]]
    if not more:
        return []
    values = wanted.values()
    values.update(runs=[item[0] for item in more], nodes=[item[1] for item in more])
    values.update(after=[item[2] for item in more], before=[item[3] for item in more])
    return [Line(*row) for row in ask(connection, "logs", "behind", **values)]


def _checked(connection: Connection, wanted: Filter) -> list[tuple[Any, ...]]:
    """Let the server judge the expression before anything else: its message is better than ours."""
    if wanted.grep is None:
        return []
    try:
        return connection.execute("SELECT '' ~ %s", (wanted.grep,)).fetchall()
    except Exception as problem:
        raise UsageError(
            f"-g {wanted.grep}: {' '.join(str(problem).split())}", "quote special characters by \\"
        ) from problem
