"""The roles of PostgreSQL that flightlog's parts act as, and bringing them about.

    flightlog_owner        has tables and functions       flightlog_writer    the agent: INSERT, and functions
    flightlog_reader       looking: SELECT                flightlog_operator  asking for commands
    flightlog_maintenance  making and dropping day partitions

None of them can log in: an administrator grants them to who can. They are of the whole cluster, and shared by its databases.
Invariants: `sql/queries/roles.sql` says what is wanted, and what is missing is computed from what is there, so that this may be repeated at any time,
by several at once, and by somebody without the right to do all of it. Owns: ensuring, taking and showing roles. Leaves tables to `migrate`.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from .db import Connection, connect, masked, translate
from .queries import named

WRITER, READER = "flightlog_writer", "flightlog_reader"
TEMPORARY_FILES = "10GB"  # of one reading session, where the server lets us say so
ROUNDS = 20  # another database of the cluster may be changing the same roles in this moment
# somebody else was faster, changes the same row ("tuple concurrently updated"), or holds a table for longer than we wait
_AGAIN = ("23505", "40001", "40P01", "42704", "42710", "55P03", "XX000")


class Undone(NamedTuple):
    """A statement that is still to be executed. `reason`: why it was not, empty when nobody tried."""

    statement: str
    reason: str


class Standing(NamedTuple):
    """How the connection of a database stands with its roles.

    Attributes:
        user: who logs in.
        superuser: whether no rule holds for it.
        agent, reading: what agent and reading commands act as: a role, or the user itself.
        bindings: node names by login role that may ship for these only.
        undone: what is still to be executed.
    """

    user: str
    superuser: bool
    agent: str
    reading: str
    bindings: dict[str, list[str]]
    undone: list[Undone]


def ensure(connection: Connection) -> list[Undone]:
    """Bring about what is missing, as far as our rights reach; return what is left. The connection must be in autocommit mode.

    Blocks shortly for each table that changes its owner. Raises psycopg.Error when the connection fails.
    """
    reasons: dict[str, str] = {}
    for _ in range(ROUNDS):
        again = done = False
        for statement, automatic in _missing(connection):
            if not automatic:
                continue
            try:
                connection.execute(statement.encode())
                done = True
            except psycopg.Error as problem:
                if connection.closed:
                    raise
                again = again or problem.sqlstate in _AGAIN
                reasons[statement] = problem.diag.message_primary or str(problem)
        if not done and not again:
            break
    return [Undone(statement, reasons.get(statement, "")) for statement, _ in _missing(connection)]


def take(connection: Connection, role: str) -> bool:
    """Act as *role* from here on, if this login may and the schema knows it; False, and nothing changes, when not. Raises psycopg.Error."""
    return connection.execute(named("roles")["take"].encode(), {"role": role}).fetchone() is not None


def look_only(connection: Connection) -> bool:
    """Make a connection one for reading: in the reader's role where possible, read only in any case; tell whether in the role.

    Raises SinkError.
    """
    try:
        # The limit on files takes rights that the role has not.
        connection.execute(named("roles")["look_only"].encode(), {"temporary": TEMPORARY_FILES})
        return take(connection, READER)
    except psycopg.Error as problem:
        raise translate(problem, "cannot prepare for reading") from problem


def standing(dsn: str, used: bool = True) -> Standing:
    """Look how a database stands with its roles; *used*: whether agent and reading commands take theirs. Raises SinkError."""
    with connect(dsn, "flightlog roles") as connection:
        try:
            sql = named("roles")
            row = connection.execute(sql["who"].encode()).fetchone()
            assert row is not None
            user, _, superuser = row
            undone = [Undone(statement, "") for statement, _ in _missing(connection)] if used else []
            bindings = dict(connection.execute(sql["bindings"].encode()).fetchall()) if _may_see(connection) else {}
            acts = {}
            for role in (WRITER, READER):
                acts[role] = role if used and take(connection, role) else user
                connection.execute("RESET ROLE")
        except psycopg.Error as problem:
            raise translate(problem, f"cannot look at {masked(dsn)}") from problem
    return Standing(user, superuser, acts[WRITER], acts[READER], bindings, undone)


def as_sql() -> str:
    """Return what `ensure` does, as SQL that needs no program: for `flightlog db migrate --print`."""
    return (
        "DO $roles$\nDECLARE item record;\nBEGIN\n    FOR item IN\n"
        f"{_statement('missing')}\n    LOOP\n        IF item.automatic THEN EXECUTE item.statement; END IF;\n    END LOOP;\nEND $roles$;"
    )


def unlisted(connection: Connection) -> list[str]:
    """Return tables and functions of ours that nobody has rights on because sql/queries/roles.sql does not list them."""
    return [row[0] for row in connection.execute(_statement("unlisted").encode())]


def _missing(connection: Connection) -> list[tuple[str, bool]]:
    return [(row[0], row[1]) for row in connection.execute(_statement("missing").encode())]


def _statement(name: str) -> str:
    sql = named("roles")
    return sql[name].replace("{wanted}", sql["wanted"])


def _may_see(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT coalesce(has_table_privilege(to_regclass('pipeline_node_roles'), 'SELECT'), false)"
    ).fetchone()
    return bool(row and row[0])
