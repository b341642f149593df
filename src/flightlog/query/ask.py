"""Executing named statements for reading. Owns: translating errors. Leaves shapes to the modules that ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from ..store.db import Connection, translate
from ..store.queries import query


def ask(connection: Connection, subject: str, name: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return all rows of a named statement. Raises SinkError."""
    try:
        return connection.execute(query(subject, name).encode(), values, prepare=False).fetchall()
    except psycopg.Error as problem:
        raise translate(problem, f"cannot read {subject}") from problem


def stream(connection: Connection, subject: str, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a named statement in bounded memory. Raises SinkError."""
    try:
        with connection.transaction(), connection.cursor(name="flightlog") as cursor:
            cursor.itersize = 5000
            cursor.execute(query(subject, name).encode(), values)
            yield from cursor
    except psycopg.Error as problem:
        raise translate(problem, f"cannot read {subject}") from problem
