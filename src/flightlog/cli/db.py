"""`flightlog db`: the schema of the store, and who may do what in it.

Owns: these commands' words. Leaves migrating to `store.migrate`, rights to `store.roles`. No option takes a connection string: everybody
can read the arguments of a process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from ..errors import FlightlogError

if TYPE_CHECKING:
    from ..store import roles


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
    """Bring the database to this version's schema, roles and rights included. Safe to repeat, and when two start at once.

    Exit 1 when the schema is there and a right that is wanted could not be given; the SQL for an administrator is printed.
    """
    from ..store import migrate as migrations

    if only_print:
        click.echo(migrations.print_sql(), nl=False)
        return
    from .. import wiring
    from ..store.roles import standing

    dsn = wiring.store_dsn()
    used = wiring.settings().database.roles
    _warn()
    applied = migrations.migrate(dsn, used)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to do: the database has this version's schema")
    undone = standing(dsn, used).undone
    if undone:
        click.echo("\n-- roles and rights that are still wanted:")
        for item in undone:
            click.echo(item.statement + ";")
        _fail_for(undone)


@db.command()
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(output: str) -> None:
    """Show which migrations the database has, and as whom agent and reading commands act in it.

    Exit 1 when a migration is pending or was changed, or a right that is wanted is not there.
    """
    from .. import wiring
    from ..store import migrate as migrations
    from ..store.db import masked
    from ..store.roles import standing as look

    dsn = wiring.store_dsn()
    used = wiring.settings().database.roles
    _warn()
    rows = migrations.status(dsn)
    pending = any(row.changed or not row.applied_at for row in rows)
    standing = look(dsn, used)
    if output == "json":
        found = [{"name": row.name, "applied_at": row.applied_at or None, "changed": row.changed} for row in rows]
        rights = {
            "user": standing.user,
            "superuser": standing.superuser,
            "agent": standing.agent,
            "reading": standing.reading,
            "bindings": standing.bindings,
            "undone": [item.statement for item in standing.undone],
        }
        click.echo(json.dumps({"v": 1, "database": masked(dsn), "migrations": found, "roles": rights}))
    else:
        click.echo(masked(dsn))
        for row in rows:
            click.echo(f"{row.name:45} {_word(row)}")
        if not pending:
            _print_standing(standing, used)
    if pending:
        if output == "short":
            problem = FlightlogError("the database does not have this version's schema", "flightlog db migrate")
            click.echo(f"Error: {problem.message}\nTry: {problem.hint}", err=True)
        sys.exit(1)
    if standing.undone:
        _fail_for(standing.undone)


def _print_standing(standing: roles.Standing, used: bool) -> None:
    click.echo(f"{'login':45} {standing.user}{' (superuser)' if standing.superuser else ''}")
    for part, role in (("agent acts as", standing.agent), ("reading commands act as", standing.reading)):
        note = "" if role != standing.user else " (all its rights)"
        click.echo(f"{part:45} {role}{note}")
    for role, nodes in standing.bindings.items():
        click.echo(f"{'ships for ' + ', '.join(nodes) + ' only':45} {role}")
    if not used:
        click.echo(f"{'roles':45} not used: database.roles is false")
    for item in standing.undone:
        click.echo(f"still wanted: {item.statement};")


def _fail_for(undone: Sequence[roles.Undone]) -> NoReturn:
    click.echo(f"Error: {len(undone)} of the rights that are wanted are not there", err=True)
    click.echo(
        "Try: let an administrator execute the statements above, or do without: database.roles: false in config.yml",
        err=True,
    )
    sys.exit(1)


def _warn() -> None:
    from .. import wiring

    for text in wiring.settings().warnings:
        click.echo(f"Warning: {text}", err=True)


def _word(row: object) -> str:
    from ..store.migrate import Status

    assert isinstance(row, Status)
    if row.changed:
        return "CHANGED since it was applied"
    return row.applied_at or "pending"
