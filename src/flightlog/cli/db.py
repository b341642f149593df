"""`flightlog db`: the schema of the store. Owns: these commands' words. Leaves migrating to `store.migrate`."""

from __future__ import annotations

import json
import sys

import click

from ..errors import FlightlogError


@click.group()
def db() -> None:
    """Look at and migrate the database.

    \b
    Examples:
      flightlog db status
      flightlog db migrate
      flightlog db migrate --print > schema.sql      without any connection
    """


@db.command()
@click.option("--print", "only_print", is_flag=True, help="Print the SQL of all migrations; connect to nothing.")
def migrate(only_print: bool) -> None:
    """Bring the database to this version's schema. Safe to repeat, and when two start at once."""
    from ..store import migrate as migrations

    if only_print:
        click.echo(migrations.print_sql(), nl=False)
        return
    from .. import wiring

    before = wiring.store_dsn()
    applied = migrations.migrate(before)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to do: the database has this version's schema")


@db.command()
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(output: str) -> None:
    """Show which migrations the database has. Exit 1 when one is pending or was changed."""
    from .. import wiring
    from ..store import migrate as migrations
    from ..store.db import masked

    dsn = wiring.store_dsn()
    rows = migrations.status(dsn)
    if output == "json":
        found = [{"name": row.name, "applied_at": row.applied_at or None, "changed": row.changed} for row in rows]
        click.echo(json.dumps({"v": 1, "database": masked(dsn), "migrations": found}))
    else:
        click.echo(masked(dsn))
        for row in rows:
            click.echo(f"{row.name:45} {_word(row)}")
    if any(row.changed or not row.applied_at for row in rows):
        if output == "short":
            problem = FlightlogError("the database does not have this version's schema", "flightlog db migrate")
            click.echo(f"Error: {problem.message}\nTry: {problem.hint}", err=True)
        sys.exit(1)


def _word(row: object) -> str:
    from ..store.migrate import Status

    assert isinstance(row, Status)
    if row.changed:
        return "CHANGED since it was applied"
    return row.applied_at or "pending"
