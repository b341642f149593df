"""RUN selectors: what people type to name runs.

    orders  its latest run      orders@-1  the one before      orders@2026-11-22  those that began that day (local time)      orders@all
    @failed  the latest that failed or was lost      an id, its beginning, its last six characters      team/*  latest of each that matches

Owns: the grammar. An exact pipeline name stands before anything an id could mean.
"""

from __future__ import annotations

import datetime
import difflib
import fnmatch
import re
from collections.abc import Sequence

from .. import identity
from ..errors import NotFound, UsageError
from ..store.db import Connection
from .ask import ask

_ID = re.compile(r"[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4,26}")
MAX_RUNS = 10_000


def resolve(connection: Connection, selectors: Sequence[str]) -> list[str]:
    """Return the ids of the runs that *selectors* name, newest first, each once.

    Raises NotFound (nothing, or several where one is meant), UsageError, SinkError.
    """
    found: set[str] = set()
    for selector in selectors:
        found.update(_one(connection, selector))
    return sorted(found, reverse=True)


def plain_pipelines(connection: Connection, selectors: Sequence[str]) -> list[str]:
    """Return those selectors that are just a pipeline's name: their later runs belong to them, too."""
    known = _pipelines(connection)
    return [selector for selector in selectors if selector in known]


def _one(connection: Connection, selector: str) -> list[str]:
    name, at, which = selector.rpartition("@")
    if at:
        if not name:
            if which != "failed":
                raise UsageError(f"no such selector: {selector}", "@failed is the latest run that failed")
            return _must(ask(connection, "runs", "failed"), selector, "no run has failed")
        return _of_pipeline(connection, name, which, selector)
    rows = _runs_of(connection, selector, limit=1)
    if rows:
        return rows
    if any(character in selector for character in "*?["):
        return _matching(connection, selector)
    return _by_id(connection, selector)


def _of_pipeline(connection: Connection, name: str, which: str, selector: str) -> list[str]:
    if which == "all":
        rows = _runs_of(connection, name, limit=MAX_RUNS)
    elif re.fullmatch(r"-?\d{1,6}", which):
        rows = _runs_of(connection, name, skip=abs(int(which)), limit=1)
    else:
        try:
            day = datetime.date.fromisoformat(which)
        except ValueError as problem:
            raise UsageError(
                f"{selector}: what stands behind @ is no day, number or `all`",
                "orders@-1, orders@2026-11-22, orders@all",
            ) from problem
        begin = datetime.datetime.combine(day, datetime.time()).astimezone()
        end = datetime.datetime.combine(day + datetime.timedelta(1), datetime.time()).astimezone()
        rows = _runs_of(connection, name, since=begin, until=end, limit=MAX_RUNS)
    if rows:
        return rows
    if name in _pipelines(connection):
        raise NotFound(f"{selector}: {name} has no such run", f"flightlog list {name}")
    raise _unknown(connection, name)


def _runs_of(
    connection: Connection,
    pipeline: str,
    skip: int = 0,
    limit: int = 1,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> list[str]:
    rows = ask(connection, "runs", "of_pipeline", pipeline=pipeline, skip=skip, limit=limit, since=since, until=until)
    return [row[0] for row in rows]


def _matching(connection: Connection, pattern: str) -> list[str]:
    found = []
    for name in _pipelines(connection):
        if fnmatch.fnmatchcase(name, pattern):
            found += _runs_of(connection, name, limit=1)
    if not found:
        raise NotFound(f"no pipeline matches {pattern}", "flightlog list --pipelines")
    return found


def _by_id(connection: Connection, text: str) -> list[str]:
    if not _ID.fullmatch(text):
        raise _unknown(connection, text)
    upper = text.upper()
    suffix = upper if len(upper) == 6 else "\0 none"
    rows = ask(connection, "runs", "by_id", id=upper, suffix=suffix.replace("\0", ""))
    rows = [row for row in rows if row[0].startswith(upper) or (len(upper) == 6 and row[0].endswith(upper))]
    if len(rows) > 1:
        shown = ", ".join(f"{row[0]} ({row[1]}, {row[2]})" for row in rows[:10])
        raise NotFound(f"{text} may mean {shown}{' and more' if len(rows) > 10 else ''}", "give more of the id")
    if not rows:
        raise _unknown(connection, text)
    return [rows[0][0]]


def _pipelines(connection: Connection) -> list[str]:
    return [row[0] for row in ask(connection, "runs", "pipelines")]


def _unknown(connection: Connection, text: str) -> NotFound:
    known = _pipelines(connection)
    near = difflib.get_close_matches(text, known, 3)
    if near:
        return NotFound(f"no run or pipeline is called {text}", f"did you mean {', '.join(near)}?")
    if not known:
        return NotFound(f"no run or pipeline is called {text}", "nothing is recorded yet: flightlog run -- COMMAND")
    return NotFound(f"no run or pipeline is called {text}", "flightlog list shows what is recorded")


def _must(rows: list[tuple[str]] | list[tuple[object, ...]], selector: str, reason: str) -> list[str]:
    if not rows:
        raise NotFound(f"{selector}: {reason}", "flightlog list shows what is recorded")
    return [str(row[0]) for row in rows]


def short_ids(runs: Sequence[str]) -> list[str]:
    """Return the short forms of run ids."""
    return [identity.short(run) for run in runs]
