"""Log lines as typed rows: the newest of what matches, and everything.

Invariants: memory is bounded by the number of lines asked for, for everything by a constant; a run's newest lines are found by its index.
Owns: lines, filters. Times in and out are aware, UTC. Leaves following to `live`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg

from ..errors import UsageError
from ..store.db import Connection, translate
from .ask import ask, stream

# How far back the newest lines of all runs are looked for before the search goes further: there is no index by time alone.
_LOOKS_BACK = (60, 600, 7200, 86400, 864000)


class Line(NamedTuple):
    """One log line; names as in docs/reference/cli/logs.md."""

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
    pos: int | None
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
    low: int | None = None
    high: int | None = None
    grep: str | None = None
    stage: str | None = None
    logger: str | None = None
    source: str | None = None
    node: str | None = None

    def values(self) -> dict[str, Any]:
        """Return it as parameters of sql/queries/logs.sql."""
        plain = re.sub(r"\\.", "", self.grep or "")  # the capital of an escape such as \S is none that was meant
        smart = plain == plain.lower()
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
    """Return the newest *limit* lines that match, oldest first. Raises SinkError."""
    if wanted.runs is not None:
        rows = ask(connection, "logs", "newest_of_runs", limit=limit, **wanted.values())
    else:
        rows = _newest_of_all(connection, wanted, limit)
    return [Line(*row) for row in reversed(rows)]


def _newest_of_all(connection: Connection, wanted: Filter, limit: int) -> list[tuple[Any, ...]]:
    end = wanted.until or datetime.datetime.now(datetime.timezone.utc)
    for seconds in _LOOKS_BACK:
        since = end - datetime.timedelta(seconds=seconds)
        if wanted.since is not None and since <= wanted.since:
            break
        rows = ask(connection, "logs", "newest_of_all", limit=limit, **replace(wanted, since=since).values())
        if len(rows) >= limit:
            return rows
    return ask(connection, "logs", "newest_of_all", limit=limit, **wanted.values())


def everything(connection: Connection, wanted: Filter, newest_first: bool = False) -> Iterator[Line]:
    """Yield all lines that match, oldest first unless *newest_first*, in bounded memory. Raises SinkError.

    Holds a transaction open until it is exhausted or closed.
    """
    values = wanted.values()
    name = "all"
    if wanted.runs is not None and len(wanted.runs) == 1:
        name, values["run"] = "all_of_run", wanted.runs[0]
    for row in stream(connection, "logs", name + ("_reversed" if newest_first else ""), **values):
        yield Line(*row)


def check(connection: Connection, wanted: Filter) -> None:
    """Let the server judge the regular expression before lines are looked for. Raises UsageError, SinkError."""
    if wanted.grep is None:
        return
    try:
        connection.execute("SELECT '' ~ %s", (wanted.grep,))
    except UnicodeEncodeError as problem:
        raise UsageError(f"no regular expression: {wanted.grep}: no text in UTF-8", "type it in UTF-8") from problem
    except psycopg.DataError as problem:
        reason = problem.diag.message_primary or str(problem)
        raise UsageError(
            f"no regular expression: {wanted.grep}: {reason}", r"put a \ before a character that stands for itself"
        ) from problem
    except psycopg.Error as problem:
        raise translate(problem, "cannot read logs") from problem
