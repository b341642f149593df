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
from typing import NamedTuple, Protocol

import psycopg

from .. import records
from ..errors import NotFound, UsageError
from ..store.db import Connection
from .ask import ask

_ID = re.compile(r"[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{4,26}")
_NUMBER = re.compile(r"-\d{1,6}|0")
SHORT = 6  # characters of the short form
SHOWN_CHARACTERS = 100
SHOWN = 10  # candidates named when an id may mean several runs


class Selected(NamedTuple):
    """Ids of runs, newest first, each once; and the pipelines whose later runs the selectors mean as well."""

    runs: list[str]
    pipelines: list[str]


class Catalogue(Protocol):
    """The runs there are to choose from."""

    def pipelines(self) -> list[str]:
        """Return the names of all pipelines, those that ran last first."""

    def runs_of(
        self,
        pipeline: str,
        skip: int = 0,
        limit: int | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> list[str]:
        """Return the ids of a pipeline's runs, newest first."""

    def failed(self, pipelines: list[str] | None) -> list[str]:
        """Return the latest run that failed or was lost, of all or of some pipelines."""

    def by_id(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        """Return (id, pipeline, state) of runs whose id begins with *text*, or whose short form it is."""


class _Stored:
    """The runs of the store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pipelines(self) -> list[str]:
        return [row[0] for row in ask(self._connection, "runs", "pipelines")]

    def runs_of(
        self,
        pipeline: str,
        skip: int = 0,
        limit: int | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> list[str]:
        rows = ask(
            self._connection, "runs", "of_pipeline", pipeline=pipeline, skip=skip, limit=limit, since=since, until=until
        )
        return [row[0] for row in rows]

    def failed(self, pipelines: list[str] | None) -> list[str]:
        return [row[0] for row in ask(self._connection, "runs", "failed", pipelines=pipelines)]

    def by_id(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        names = ["by_prefix", "by_short_form"] if len(text) == SHORT else ["by_prefix"]
        return [
            (row[0], row[1], row[2])
            for name in names
            for row in ask(self._connection, "runs", name, id=text, limit=limit)
        ]


def stored(connection: Connection) -> Catalogue:
    """Return the runs of the store as a catalogue, whose methods raise SinkError."""
    return _Stored(connection)


def select(where: Connection | Catalogue, selectors: Sequence[str]) -> Selected:
    """Return what *selectors* name, in the store or in another catalogue.

    Raises NotFound (nothing, or several where one is meant), UsageError, SinkError.
    """
    runs: set[str] = set()
    pipelines: list[str] = []
    known = _catalogue(where)
    for selector in selectors:
        found, names = _one(known, _as_kept(selector))
        runs.update(found)
        pipelines += names
    return Selected(sorted(runs, reverse=True), pipelines)


def resolve(where: Connection | Catalogue, selectors: Sequence[str]) -> list[str]:
    """Return the ids of the runs that *selectors* name, newest first, each once. Raises as `select`."""
    return select(where, selectors).runs


def pipelines(where: Connection | Catalogue, names: Sequence[str]) -> list[str]:
    """Return the pipelines that *names*, exact or globs, stand for. Raises NotFound."""
    known = _catalogue(where).pipelines()
    found: list[str] = []
    for name in map(_as_kept, names):
        matching = [name] if name in known else _matching(known, name)
        if not matching:
            raise _unknown(known, name, "pipeline")
        found += matching
    return found


def _catalogue(where: Connection | Catalogue) -> Catalogue:
    return stored(where) if isinstance(where, psycopg.Connection) else where


def _one(runs: Catalogue, selector: str) -> Selected:
    rows = runs.runs_of(selector, limit=1)
    if rows:
        return Selected(rows, [selector])
    name, at, which = selector.rpartition("@")
    if at:
        return _at(runs, name, which, selector)
    if _is_glob(selector):
        names = _matching(runs.pipelines(), selector)
        if not names:
            raise NotFound(f"no pipeline matches {_shown(selector)}", "flightlog list --pipelines")
        return Selected([run for name in names for run in runs.runs_of(name, limit=1)], names)
    return Selected([_by_id(runs, selector)], [])


def _at(runs: Catalogue, name: str, which: str, selector: str) -> Selected:
    if not name:
        if which != "failed":
            raise UsageError(f"no such selector: {_shown(selector)}", "@failed is the latest run that failed")
        found = runs.failed(None)
        if not found:
            raise NotFound(f"{_shown(selector)}: no run has failed", "flightlog list shows what is recorded")
        return Selected(found, [])
    _check_which(which, selector)
    names = [name]
    if _is_glob(name) and not runs.runs_of(name, limit=1):
        names = _matching(runs.pipelines(), name)
    found = [run for one in names for run in _which(runs, one, which)]
    if found:
        return Selected(found, names if which == "all" else [])
    known = runs.pipelines()
    if name not in known and not (_is_glob(name) and names):
        raise _unknown(known, name, "pipeline")
    raise NotFound(f"{_shown(selector)}: {_shown(name)} has no such run", f"flightlog list {_shown(name)}")


def _check_which(which: str, selector: str) -> None:
    if which in ("all", "failed") or _NUMBER.fullmatch(which) or _day(which):
        return
    raise UsageError(
        f"{_shown(selector)}: behind @ stands -1, -2 and so on, a day, `all` or `failed`",
        "orders@-1, orders@2026-11-22, orders@all",
    )


def _which(runs: Catalogue, pipeline: str, which: str) -> list[str]:
    if which == "all":
        return runs.runs_of(pipeline)
    if which == "failed":
        return runs.failed([pipeline])
    day = _day(which)
    if day is None:
        return runs.runs_of(pipeline, skip=-int(which), limit=1)
    begin = datetime.datetime.combine(day, datetime.time()).astimezone()
    end = datetime.datetime.combine(day + datetime.timedelta(1), datetime.time()).astimezone()
    return runs.runs_of(pipeline, since=begin, until=end)


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matching(known: list[str], pattern: str) -> list[str]:
    return [name for name in known if fnmatch.fnmatchcase(name, pattern)]


def _by_id(runs: Catalogue, text: str) -> str:
    rows = runs.by_id(text.upper(), SHOWN + 1) if _ID.fullmatch(text) else []
    if not rows:
        raise _unknown(runs.pipelines(), text, "run or pipeline")
    if len(rows) > 1:
        shown = ", ".join(f"{run} ({_shown(pipeline)}, {state})" for run, pipeline, state in rows[:SHOWN])
        raise NotFound(f"{text} may mean {shown}{' and more' if len(rows) > SHOWN else ''}", "give more of the id")
    return rows[0][0]


def _unknown(known: list[str], text: str, what: str) -> NotFound:
    message = f"no {what} is called {_shown(text) or repr(text)}"
    if not known:
        return NotFound(message, "the store knows no run yet: flightlog run -- COMMAND")
    lower = {name.lower(): name for name in known}
    near = [lower[name] for name in difflib.get_close_matches(text.lower(), lower, 3)]
    near += [name for name in known if text and text.lower() in name.lower() and name not in near]
    if near:
        return NotFound(message, ", ".join(_shown(name) for name in near[:3]))
    return NotFound(message, "flightlog list shows what is recorded")


def _as_kept(selector: str) -> str:
    """Return a selector with the name in it as the store keeps it."""
    name, at, which = selector.rpartition("@")
    if at and len(which) < SHOWN_CHARACTERS:
        return records.kept_name(name) + at + which
    return records.kept_name(selector)


def _shown(text: str) -> str:
    """Return a name or a selector for a message, of which the rest must stay in sight."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
