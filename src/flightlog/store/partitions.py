"""Day partitions of what high volume goes into: made ahead, never by default.

Invariants: a partition is created alone and then attached, because CREATE ... PARTITION OF waits for every open transaction on the
parent; there is no DEFAULT partition, in which one row dated tomorrow would block tomorrow's. Days are UTC.
Owns: names, bounds, creation. Leaves retention and sealing to a later part.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import psycopg

from .db import Connection

PARENTS = ("pipeline_logs", "pipeline_events")
DAYS_AHEAD = 3
OLDEST_DAYS = 30  # what claims to be older than this is not believed
SECONDS_OF_DAY = 86400
_LOCK = 0x666C6470  # "fldp"


def day_of(seconds: float) -> int:
    """Return the number of the UTC day (days since 1970-01-01) that a time in seconds since the epoch is in."""
    return int(seconds // SECONDS_OF_DAY)


def ensure_ahead(connection: Connection) -> set[int]:
    """Make today's partitions and those of the next days; return all days there are (days since 1970-01-01)."""
    row = connection.execute("SELECT extract(epoch FROM now())").fetchone()
    assert row is not None
    today = day_of(float(row[0]))
    return ensure(connection, range(today - 1, today + DAYS_AHEAD + 1))


def ensure(connection: Connection, days: Iterable[int]) -> set[int]:
    """Make the partitions of *days*; return all days there are. The connection must be in autocommit mode.

    Blocks shortly: attaching takes no lock that writers mind. Raises psycopg.Error.
    """
    missing = sorted(set(days) - existing(connection))
    if missing:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            for day in sorted(set(missing) - existing(connection)):
                for parent in PARENTS:
                    _create(connection, parent, day)
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return existing(connection)


def existing(connection: Connection) -> set[int]:
    """Return the days for which every parent has an attached partition."""
    rows = connection.execute(
        "SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE p.oid IN (SELECT to_regclass(x) FROM unnest(%s::text[]) x) AND NOT i.inhdetachpending",
        (list(PARENTS),),
    ).fetchall()
    of_parent: dict[str, set[int]] = {parent: set() for parent in PARENTS}
    for parent, child in rows:
        day = _parse(parent, child)
        if day is not None:
            of_parent[parent].add(day)
    return set.intersection(*of_parent.values())


def name_of(parent: str, day: int) -> str:
    """Return the name of a day's partition: pipeline_logs_20261124."""
    return f"{parent}_{_date(day):%Y%m%d}"


def _parse(parent: str, child: str) -> int | None:
    text = child[len(parent) + 1 :]
    if not child.startswith(parent + "_") or len(text) != 8 or not text.isdigit():
        return None
    try:
        return (datetime.datetime.strptime(text, "%Y%m%d").date() - datetime.date(1970, 1, 1)).days
    except ValueError:
        return None


def _date(day: int) -> datetime.date:
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=day)


def _create(connection: Connection, parent: str, day: int) -> None:
    child, low, high = name_of(parent, day), f"{_date(day)}", f"{_date(day + 1)}"
    bounds = f"ts >= '{low} 00:00:00+00' AND ts < '{high} 00:00:00+00'"
    with connection.transaction():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {child} (LIKE {parent} INCLUDING ALL)".encode())
        # The constraint says what the bounds will say, so that attaching need not read the table.
        connection.execute(f"ALTER TABLE {child} DROP CONSTRAINT IF EXISTS {child}_day".encode())
        connection.execute(f"ALTER TABLE {child} ADD CONSTRAINT {child}_day CHECK ({bounds})".encode())
    try:
        connection.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {child} "
            f"FOR VALUES FROM ('{low} 00:00:00+00') TO ('{high} 00:00:00+00')".encode()
        )
    except psycopg.errors.ObjectNotInPrerequisiteState:
        pass  # it is attached already: this parent had it, another had not
    except psycopg.errors.InvalidObjectDefinition:
        pass
    connection.execute(f"ALTER TABLE {child} DROP CONSTRAINT IF EXISTS {child}_day".encode())
