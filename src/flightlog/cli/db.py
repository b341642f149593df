"""`flightlog db`: the schema of the store, and who may do what in it.

Owns: these commands' words. Leaves migrating to `store.migrate`, rights to `store.roles`. No option takes a connection string: everybody
can read the arguments of a process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from ..errors import FlightlogError
from . import output

if TYPE_CHECKING:
    from ..store import roles


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
    """Bring the database to this version's schema, roles and rights included. Safe to repeat, and when two start at once.

    Exit 1 when the schema is there and a right that is wanted could not be given; the SQL for an administrator is printed.

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
    from ..store.roles import standing

    dsn = wiring.store_dsn()
    used = wiring.settings().database.roles
    _warn()
    applied = migrations.migrate(dsn, used)
    for name in applied:
        output.say(f"applied {name}")
    if not applied:
        output.say("nothing to do: the database has this version's schema")
    undone = standing(dsn, used).undone
    if undone:
        output.say("\n-- roles and rights that are still wanted:")
        for item in undone:
            output.say(item.statement + ";")
        _fail_for(undone)


@db.command(short_help="Show which migrations the database has, and the roles.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(form: str) -> None:
    """Show which migrations the database has, and as whom agent and reading commands act in it.

    Exit 1 when a migration is pending or was changed, or a right that is wanted is not there.

    \b
    Examples:
      flightlog db status
      flightlog db status -o json | jq -r '.migrations[].name'
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
    if form == "json":
        found = [
            {"name": row.name, "applied_at": row.applied_at or None, "changed": row.changed, "newer": row.newer}
            for row in rows
        ]
        rights = {
            "user": standing.user,
            "superuser": standing.superuser,
            "agent": standing.agent,
            "reading": standing.reading,
            "bindings": standing.bindings,
            "undone": [item.statement for item in standing.undone],
        }
        output.say(output.json_text({"v": 1, "database": masked(dsn), "migrations": found, "roles": rights}))
    else:
        output.say(output.one_line(masked(dsn)))
        for row in rows:
            output.say(f"{row.name:45} {_word(row)}")
        if not pending:
            _print_standing(standing, used)
    if pending:
        if form == "short":
            problem = FlightlogError("the database does not have this version's schema", "flightlog db migrate")
            output.note(f"Error: {problem.message}\nTry: {problem.hint}")
        sys.exit(1)
    if standing.undone:
        _fail_for(standing.undone)


def _print_standing(standing: roles.Standing, used: bool) -> None:
    output.say(f"{'login':45} {standing.user}{' (superuser)' if standing.superuser else ''}")
    for part, role in (("agent acts as", standing.agent), ("reading commands act as", standing.reading)):
        note = "" if role != standing.user else " (all its rights)"
        output.say(f"{part:45} {role}{note}")
    for role, nodes in standing.bindings.items():
        output.say(f"{'ships for ' + ', '.join(nodes) + ' only':45} {role}")
    if not used:
        output.say(f"{'roles':45} not used: database.roles is false")
    for item in standing.undone:
        output.say(f"still wanted: {item.statement};")


def _fail_for(undone: Sequence[roles.Undone]) -> NoReturn:
    output.note(f"Error: {len(undone)} of the rights that are wanted are not there")
    output.note(
        "Try: let an administrator execute the statements above, or do without: database.roles: false in config.yml"
    )
    sys.exit(1)


def _warn() -> None:
    from .. import wiring

    for text in wiring.settings().warnings:
        output.note(f"Warning: {text}")


def _word(row: object) -> str:
    from ..store.migrate import Status

    assert isinstance(row, Status)
    if row.changed:
        return "CHANGED since it was applied"
    if row.newer:
        return row.applied_at + " by a newer version of flightlog"
    return row.applied_at or "pending"
