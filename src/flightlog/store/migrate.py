"""Migrations: numbered SQL files, each applied once, in order, in a transaction of its own, and remembered with its checksum.

`NNNN_pre_verb_noun.sql` runs before the new version of the program does, `NNNN_post_...` when the old one is gone.
Invariants: safe when two start at once (an advisory lock); idempotent; an applied file that has changed since is an error, not a guess;
tables that are not named pipeline_* are never touched. Owns: table pipeline_migrations. Leaves day partitions to `partitions`, rights to `roles`.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import NamedTuple

import psycopg

from .._version import __version__
from ..errors import SinkMisconfigured
from . import partitions, roles
from .db import Connection, connect, masked, translate

ADVISORY_LOCK = 0x666C6967  # "flig"
OLDEST_SERVER = 150000
_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z]+(_[a-z]+)+\.sql")
_RECORD = "INSERT INTO pipeline_migrations (name, checksum, version) VALUES ('{name}', '{checksum}', '{version}');"
_APPLIED = "SELECT name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM "
_FROM_TABLE, _FROM_FUNCTION = _APPLIED + "pipeline_migrations", _APPLIED + "pipeline_schema_v1()"
_TABLE = """
CREATE TABLE IF NOT EXISTS pipeline_migrations (
    name       text PRIMARY KEY,
    checksum   text NOT NULL,
    version    text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


class Migration(NamedTuple):
    """One file: its name, its text, and the SHA-256 of that text."""

    name: str
    text: str
    checksum: str


class Status(NamedTuple):
    """One migration as a database has it.

    Attributes:
        name: as its file.
        applied_at: UTC time as text, empty when it is pending.
        changed: it was applied in another form than this version has.
        newer: the database has it from another version, which this one does not know.
    """

    name: str
    applied_at: str
    changed: bool
    newer: bool = False


def migrations() -> list[Migration]:
    """Return all migrations of this version, in order."""
    folder = resources.files(__package__).joinpath("sql", "migrations")
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if _NAME.fullmatch(entry.name):
            text = entry.read_text("utf-8")
            found.append(Migration(entry.name[:-4], text, hashlib.sha256(text.encode()).hexdigest()))
    return found


def print_sql() -> str:
    """Return everything `migrate` would do to an empty database, as SQL; needs no connection."""
    parts = [_TABLE.strip() + ";"]
    for item in migrations():
        record = _RECORD.format(name=item.name, checksum=item.checksum, version=__version__)
        parts.append(f"BEGIN;\n-- {item.name}\n{item.text.strip()}\n{record}\nCOMMIT;")
    parts.append(
        f"BEGIN;\n-- roles and rights: may be repeated at any time; takes the right to create roles\n{roles.as_sql()}\nCOMMIT;"
    )
    return "\n\n".join(parts) + "\n"


def migrate(dsn: str, with_roles: bool = True) -> list[str]:
    """Bring the database to this version's schema, day partitions and rights included; return the names of what was applied.

    Args:
        dsn: whose tables are to be ours.
        with_roles: whether the roles are wanted; what our rights do not reach to is left undone, and `roles.standing` tells it.

    Blocks while another one migrates. Raises SinkUnavailable, SinkMisconfigured.
    """
    with connect(dsn, "flightlog migrate", statement_seconds=3600) as connection:
        try:
            return _migrate(connection, with_roles)
        except psycopg.Error as problem:
            raise translate(problem, f"cannot migrate {masked(dsn)}") from problem


def _migrate(connection: Connection, with_roles: bool) -> list[str]:
    if connection.info.server_version < OLDEST_SERVER:
        raise SinkMisconfigured(
            f"PostgreSQL {connection.info.server_version // 10000} is too old", "PostgreSQL 15 or newer is needed"
        )
    connection.execute("SET lock_timeout = 0")
    connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    connection.execute("SET lock_timeout = '30s'")
    try:
        connection.execute(_TABLE)
        known = _known(connection)
        done = []
        for item in migrations():
            if item.name in known:
                _same(item, known[item.name][0])
                continue
            with connection.transaction():
                connection.execute(item.text.encode())
                connection.execute(
                    "INSERT INTO pipeline_migrations (name, checksum, version) VALUES (%s, %s, %s)",
                    (item.name, item.checksum, __version__),
                )
            done.append(item.name)
        if with_roles:
            roles.ensure(connection)
        partitions.ensure_ahead(connection)
        return done
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


def status(dsn: str) -> list[Status]:
    """Return every migration of this version and whether the database has it, then those it has from newer versions; changes nothing."""
    with connect(dsn, "flightlog migrate") as connection:
        try:
            there = connection.execute(
                "SELECT to_regclass('pipeline_migrations') IS NOT NULL, to_regprocedure('pipeline_schema_v1()') IS NOT NULL"
            ).fetchone()
            known = _known(connection, _FROM_FUNCTION if there[1] else _FROM_TABLE) if there and there[0] else {}
        except psycopg.Error as problem:
            raise translate(problem, f"cannot look at {masked(dsn)}") from problem
    ours = [
        Status(item.name, known.get(item.name, ("", ""))[1], known.get(item.name, (item.checksum,))[0] != item.checksum)
        for item in migrations()
    ]
    names = {item.name for item in ours}
    return ours + [Status(name, known[name][1], False, True) for name in sorted(known) if name not in names]


def _known(connection: Connection, statement: str = _FROM_TABLE) -> dict[str, tuple[str, str]]:
    """Return what was applied; by the function where one may have no rights on the table."""
    return {name: (checksum, at) for name, checksum, at in connection.execute(statement.encode())}


def _same(item: Migration, applied: str) -> None:
    if item.checksum != applied:
        raise SinkMisconfigured(
            f"migration {item.name} was applied in another form than this version has",
            "the database was migrated by another build of flightlog; use that one, or restore the file",
        )
