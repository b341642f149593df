"""Day partitions of what high volume goes into: made ahead, never by default.

Invariants: there is no DEFAULT partition, in which one row dated tomorrow would block tomorrow's; days are UTC; they are made by a function of the
database, because who ships may not create tables. Owns: which days. Leaves making them to `pipeline_partitions_ensure_v1` (migration 0004),
retention and sealing to a later part.
"""

from __future__ import annotations

from collections.abc import Iterable

from .db import Connection
from .queries import query

DAYS_AHEAD = 3
SECONDS_OF_DAY = 86400


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
    rows = connection.execute(query("ingest", "partitions").encode(), {"days": sorted(set(days))})
    return {row[0] for row in rows}
