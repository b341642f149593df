"""A checkpoint inside the pipeline's own transaction: it holds exactly when the data hold that it speaks of.

    checkpoint.create_table(connection)                                     once, before any work
    checkpoint.in_transaction(connection, run, "loaded", {"row": 41000})    between the inserts and the commit
    checkpoint.in_transaction(connection, run, "loaded")                    read back; on any node

Works with every DB-API connection. Unlike everything else in this SDK it raises, what the driver raises: the transaction is the caller's and is broken then;
swallowed, the data would be committed without their checkpoint and loaded twice. Nothing is committed, rolled back or created in between here.
Owns: the table's shape and its statements. Leaves transactions to the caller.
"""

from __future__ import annotations

import json
import re
import sys

from ..errors import UsageError
from . import checkpoint, telling
from .checkpoint import MAX_VALUE_BYTES
from .resumable import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .run import Run

TABLE = "flightlog_checkpoints"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,2}")
_CREATE = (
    "CREATE TABLE %s (origin VARCHAR(26) NOT NULL, name VARCHAR(200) NOT NULL, run VARCHAR(26) NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (origin, name))"
)


def create_table(connection: Any, table: str = TABLE) -> None:
    """Create the table unless it can be read already. Not inside a transaction with work in it: many databases commit what went before.

    Commits, or rolls back when there is no such table yet. Raises what the driver raises; UsageError for a name that is none.
    """
    name = _checked(table)
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT origin FROM %s WHERE 1 = 0" % name)  # noqa: S608  a name that was checked
        cursor.fetchall()
        connection.commit()
    except Exception:  # each driver has its own words for a table that is not there
        connection.rollback()
        cursor = connection.cursor()
        cursor.execute(_CREATE % name)
        connection.commit()
    finally:
        cursor.close()


def in_transaction(
    connection: Any,
    run: Run,
    key: str,
    value: object = MISSING,
    *,
    default: object = None,
    table: str = TABLE,
    paramstyle: str = "",
) -> Any:
    """Keep *value* under *key* in the transaction that *connection* is in, or, without a value, return what is kept there.

    Args:
        connection: a DB-API connection that does not commit by itself.
        run: the run, entered. What an earlier attempt kept is read when this run resumes it.
        key: at most 200 characters.
        value: what JSON can carry, at most 1 MiB of it.
        default: what is returned when nothing is kept.
        table: the caller's own; `create_table` makes it, or: origin VARCHAR(26), name VARCHAR(200), run VARCHAR(26), value TEXT, primary key (origin, name).
        paramstyle: of the driver (PEP 249), where its module does not say.

    Returns True when it was written. Raises what the driver raises, TypeError or ValueError for what JSON cannot carry or what is too long, UsageError for a
    run that is not entered, a name that is none, a driver that is not known.
    """
    if not run.id:
        raise UsageError("the run has not begun", "with flightlog.run(...) as run: ...")
    name, place = _checked(table), _places(connection, paramstyle)
    line = checkpoint.of(run)
    key = str(key)[: checkpoint.MAX_KEY]
    cursor = connection.cursor()
    try:
        if value is MISSING:
            statement = "SELECT value FROM %s WHERE origin = {0} AND name = {1}" % name  # noqa: S608
            cursor.execute(*place(statement, line.origin, key))
            row = cursor.fetchone()
            return default if row is None else json.loads(row[0])
        text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        if len(text) > MAX_VALUE_BYTES:
            raise ValueError("checkpoint %r has %d bytes, %d are allowed" % (key, len(text), MAX_VALUE_BYTES))
        _remember(run)
        cursor.execute(*place("DELETE FROM %s WHERE origin = {0} AND name = {1}" % name, line.origin, key))  # noqa: S608
        statement = "INSERT INTO %s (origin, name, run, value) VALUES ({0}, {1}, {2}, {3})" % name  # noqa: S608
        cursor.execute(*place(statement, line.origin, key, run.id, text))
        return True
    finally:
        cursor.close()


def _remember(run: Run) -> None:
    """See that a later run finds this one to resume; otherwise what is in the table would never be asked for."""
    try:
        checkpoint.begin(checkpoint.of(run))
    except (OSError, ValueError) as problem:
        telling.warn("this run cannot be found on this node to be resumed: %s" % problem, run.id, loud=True)


def _checked(table: str) -> str:
    if not _NAME.fullmatch(table):
        raise UsageError("%r is no name of a table" % table, "letters, digits and _, with a schema before a dot")
    return table


def _places(connection: Any, paramstyle: str) -> Any:
    """Return what makes the arguments of `execute` of a statement with {0}, {1} ... and its values."""
    style = paramstyle or _paramstyle(connection)

    def place(statement: str, *values: object) -> tuple[str, object]:
        numbers = range(len(values))
        if style == "qmark":
            return statement.format(*["?" for _ in numbers]), values
        if style == "format":
            return statement.format(*["%s" for _ in numbers]), values
        if style == "numeric":
            return statement.format(*[":%d" % (n + 1) for n in numbers]), values
        shape = ":v%d" if style == "named" else "%%(v%d)s"
        return statement.format(*[shape % n for n in numbers]), {"v%d" % n: v for n, v in enumerate(values)}

    if style not in ("qmark", "format", "numeric", "named", "pyformat"):
        raise UsageError(
            "the paramstyle of %s is not known" % type(connection).__module__, 'paramstyle="qmark", as its module says'
        )
    return place


def _paramstyle(connection: Any) -> str:
    """Return what the driver's module says: the connection's class is defined in it or below it."""
    for kind in type(connection).__mro__:
        name = kind.__module__
        while name:
            style = getattr(sys.modules.get(name), "paramstyle", "")
            if isinstance(style, str) and style:
                return style
            name = name.rpartition(".")[0]
    return ""
