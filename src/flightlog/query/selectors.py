"""RUN selectors: what people type to name runs.

    orders  its latest run      orders@-1  the one before      orders@2026-11-22  those that began that day (local time)      orders@all
    @failed  the latest that failed or was lost      orders@failed  the latest of orders that did
    an id, its beginning, its last six characters      team/*  of each pipeline that matches; team/*@all and so on as well

Owns: the grammar. An exact pipeline name stands before anything else that the text could mean.
"""

from __future__ import annotations

import datetime
import difflib
import fnmatch
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import NotFound, UsageError
from ..store.db import Connection
from .ask import ask

_ID = re.compile(r"[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4,26}")
_NUMBER = re.compile(r"-\d{1,6}|0")
SHORT = 6  # characters of the short form
SHOWN = 10  # candidates named when an id may mean several runs


class Selected(NamedTuple):
    """Ids of runs, newest first, each once; and the pipelines whose later runs the selectors mean as well."""

    runs: list[str]
    pipelines: list[str]


def select(connection: Connection, selectors: Sequence[str]) -> Selected:
    """Return what *selectors* name.

    Raises NotFound (nothing, or several where one is meant), UsageError, SinkError.
    """
    runs: set[str] = set()
    pipelines: list[str] = []
    for selector in selectors:
        found, names = _one(connection, selector)
        runs.update(found)
        pipelines += names
    return Selected(sorted(runs, reverse=True), pipelines)


def resolve(connection: Connection, selectors: Sequence[str]) -> list[str]:
    """Return the ids of the runs that *selectors* name, newest first, each once. Raises as `select`."""
    return select(connection, selectors).runs


def pipelines(connection: Connection, names: Sequence[str]) -> list[str]:
    """Return the pipelines that *names*, exact or globs, stand for. Raises NotFound."""
    known = _pipelines(connection)
    found: list[str] = []
    for name in names:
        matching = [name] if name in known else _matching(known, name)
        if not matching:
            raise _unknown(known, name, "pipeline")
        found += matching
    return found


def _one(connection: Connection, selector: str) -> Selected:
    rows = _runs_of(connection, selector, limit=1)
    if rows:
        return Selected(rows, [selector])
    name, at, which = selector.rpartition("@")
    if at:
        return _at(connection, name, which, selector)
    if _is_glob(selector):
        names = _matching(_pipelines(connection), selector)
        if not names:
            raise NotFound(f"no pipeline matches {selector}", "flightlog list --pipelines")
        return Selected([run for name in names for run in _runs_of(connection, name, limit=1)], names)
    return Selected([_by_id(connection, selector)], [])


def _at(connection: Connection, name: str, which: str, selector: str) -> Selected:
    if not name:
        if which != "failed":
            raise UsageError(f"no such selector: {selector}", "@failed is the latest run that failed")
        found = _failed(connection, None)
        if not found:
            raise NotFound(f"{selector}: no run has failed", "flightlog list shows what is recorded")
        return Selected(found, [])
    _check_which(which, selector)
    names = [name]
    if _is_glob(name) and not _runs_of(connection, name, limit=1):
        names = _matching(_pipelines(connection), name)
    found = [run for one in names for run in _which(connection, one, which)]
    if found:
        return Selected(found, names if which == "all" else [])
    known = _pipelines(connection)
    if name not in known and not (_is_glob(name) and names):
        raise _unknown(known, name, "pipeline")
    raise NotFound(f"{selector}: {name} has no such run", f"flightlog list {name}")


def _check_which(which: str, selector: str) -> None:
    if which in ("all", "failed") or _NUMBER.fullmatch(which) or _day(which):
        return
    raise UsageError(
        f"{selector}: behind @ stands -1, -2 and so on, a day, `all` or `failed`",
        "orders@-1, orders@2026-11-22, orders@all",
    )


def _which(connection: Connection, pipeline: str, which: str) -> list[str]:
    if which == "all":
        return _runs_of(connection, pipeline)
    if which == "failed":
        return _failed(connection, [pipeline])
    day = _day(which)
    if day is None:
        return _runs_of(connection, pipeline, skip=-int(which), limit=1)
    begin = datetime.datetime.combine(day, datetime.time()).astimezone()
    end = datetime.datetime.combine(day + datetime.timedelta(1), datetime.time()).astimezone()
    return _runs_of(connection, pipeline, since=begin, until=end)


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _runs_of(
    connection: Connection,
    pipeline: str,
    skip: int = 0,
    limit: int | None = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
) -> list[str]:
    rows = ask(connection, "runs", "of_pipeline", pipeline=pipeline, skip=skip, limit=limit, since=since, until=until)
    return [row[0] for row in rows]


def _failed(connection: Connection, names: list[str] | None) -> list[str]:
    return [row[0] for row in ask(connection, "runs", "failed", pipelines=names)]


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matching(known: list[str], pattern: str) -> list[str]:
    return [name for name in known if fnmatch.fnmatchcase(name, pattern)]


def _by_id(connection: Connection, text: str) -> str:
    rows: list[tuple[str, str, str]] = []
    if _ID.fullmatch(text):
        for name in ["by_prefix", "by_short_form"] if len(text) == SHORT else ["by_prefix"]:
            rows += [
                (row[0], row[1], row[2]) for row in ask(connection, "runs", name, id=text.upper(), limit=SHOWN + 1)
            ]
    if not rows:
        raise _unknown(_pipelines(connection), text, "run or pipeline")
    if len(rows) > 1:
        shown = ", ".join(f"{run} ({pipeline}, {state})" for run, pipeline, state in rows[:SHOWN])
        raise NotFound(f"{text} may mean {shown}{' and more' if len(rows) > SHOWN else ''}", "give more of the id")
    return rows[0][0]


def _pipelines(connection: Connection) -> list[str]:
    """Return the names of all pipelines, those that ran last first."""
    return [row[0] for row in ask(connection, "runs", "pipelines")]


def _unknown(known: list[str], text: str, what: str) -> NotFound:
    message = f"no {what} is called {text or repr(text)}"
    if not known:
        return NotFound(message, "nothing is recorded yet: flightlog run -- COMMAND")
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in difflib.get_close_matches(text.lower(), lower, 3)]
    near += [name for name in known if text and text.lower() in name.lower() and name not in near]
    if near:
        return NotFound(message, ", ".join(near[:3]))
    return NotFound(message, "flightlog list shows what is recorded")
