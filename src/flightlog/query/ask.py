"""Executing named statements for reading.

Owns: putting a statement together, translating errors, streams in bounded memory. Leaves shapes to the modules that ask.
A statement may take in another one of its file: `{columns}` stands for the statement of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import psycopg

from ..errors import UsageError
from ..store.db import Connection, translate
from ..store.queries import named

STREAM_ROWS = 2000
LONG_SECONDS = 3600  # for what reads a lot, and for a pager in which somebody reads while a stream waits


@cache
def statement(subject: str, name: str) -> bytes:
    """Return a statement of `sql/queries/<subject>.sql` with everything it takes in."""
    known = named(subject)
    return re.sub(r"\{(\w+)\}", lambda found: statement(subject, found[1]).decode(), known[name]).encode()


def ask(connection: Connection, subject: str, name: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return all rows of a named statement. Raises SinkError; UsageError for a value that is no text."""
    try:
        # Never prepared: with its values known, the planner drops the conditions that do not restrict.
        return connection.execute(statement(subject, name), values, prepare=False).fetchall()
    except psycopg.Error as problem:
        raise translate(problem, f"cannot read {subject}") from problem
    except UnicodeEncodeError as problem:
        raise _no_text(problem) from problem


def stream(connection: Connection, subject: str, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a named statement in bounded memory. Raises SinkError; UsageError for a value that is no text."""
    try:
        with connection.transaction(), connection.cursor(name="flightlog") as cursor:
            take_time(connection)
            cursor.itersize = STREAM_ROWS
            cursor.execute(statement(subject, name), values)
            yield from cursor
    except psycopg.Error as problem:
        raise translate(problem, f"cannot read {subject}") from problem
    except UnicodeEncodeError as problem:
        raise _no_text(problem) from problem


def _no_text(problem: UnicodeEncodeError) -> UsageError:
    return UsageError(f"{problem.object} is no text in UTF-8", "names and patterns are UTF-8, whatever the locale is")


def take_time(connection: Connection) -> None:
    """Let the rest of this transaction last for long."""
    milliseconds = str(LONG_SECONDS * 1000)
    connection.execute(
        "SELECT set_config('statement_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)",
        (milliseconds, milliseconds),
    )
