"""`flightlog db`: the schema of the store. Owns: these commands' words. Leaves migrating to `store.migrate`."""

from __future__ import annotations

import sys

import click

from ..errors import FlightlogError
from . import output


@click.group(short_help="Look at and migrate the database.")
def db() -> None:
    """Look at and migrate the database.

    \b
    Examples:
      flightlog db status
      flightlog db migrate
      flightlog db migrate --print > schema.sql      without any connection
    """


@db.command(short_help="Bring the database to this version's schema.")
@click.option("--print", "only_print", is_flag=True, help="Print the SQL of all migrations; connect to nothing.")
def migrate(only_print: bool) -> None:
    """Bring the database to this version's schema. Safe to repeat, and when two start at once.

    \b
    Examples:
      flightlog db migrate
      flightlog db migrate --print > schema.sql
    """
    from ..store import migrate as migrations

    if only_print:
        output.say(migrations.print_sql().rstrip("\n"))
        return
    from .. import wiring

    applied = migrations.migrate(wiring.store_dsn())
    for name in applied:
        output.say(f"applied {name}")
    if not applied:
        output.say("nothing to do: the database has this version's schema")


@db.command(short_help="Show which migrations the database has.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(form: str) -> None:
    """Show which migrations the database has. Exit 1 when one is pending or was changed since it was applied.

    \b
    Examples:
      flightlog db status
      flightlog db status -o json | jq -r '.migrations[].name'
    """
    from .. import wiring
    from ..store import migrate as migrations
    from ..store.db import masked

    dsn = wiring.store_dsn()
    rows = migrations.status(dsn)
    if form == "json":
        found = [{"name": row.name, "applied_at": row.applied_at or None, "changed": row.changed} for row in rows]
        output.say(output.json_text({"v": 1, "database": masked(dsn), "migrations": found}))
    else:
        output.say(output.one_line(masked(dsn)))
        for row in rows:
            output.say(f"{row.name:45} {_word(row)}")
    if not any(row.changed or not row.applied_at for row in rows):
        return
    if form == "json":
        sys.exit(1)
    raise FlightlogError("the database does not have this version's schema", "flightlog db migrate")


def _word(row: object) -> str:
    from ..store.migrate import Status

    assert isinstance(row, Status)
    if row.changed:
        return "CHANGED since it was applied"
    return row.applied_at or "pending"
