"""Connections to PostgreSQL, and what its errors mean to us.

Invariants: a connection that says nothing is found dead within 30 s; every statement and every wait for a lock has a bound; a DSN is
never printed with its password. Owns: opening connections and translating SQLSTATEs into the tree of `errors`. Leaves SQL to its callers, which
server is the right one to `tls`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.types.json import set_json_loads

from .. import redact
from ..errors import (
    Fenced,
    PoisonRecord,
    PositionConflict,
    SinkError,
    SinkMisconfigured,
    SinkUnavailable,
)
from . import tls
from .watch import WatchedConnection, watch

Connection = psycopg.Connection[Any]
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
LOCK_SECONDS = 5
_DEFAULTS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "client_encoding": "UTF8",
}
_SETTINGS = (
    "SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, YMD', false),"
    " set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
    " set_config('idle_in_transaction_session_timeout', %s, false)"
)
# Classes of SQLSTATE (PostgreSQL documentation, appendix A).
_POISON = ("22", "23", "54")  # the data itself: too long, not valid, out of range
_POISON_EXACT = ("21000",)
_GONE = ("08", "40", "53", "55", "57", "58", "XX")
_GONE_EXACT = ("25006", "25P03")  # read only: a standby, or a server short of disk
_WRONG = ("28", "42", "3D", "3F", "0A", "2F")


def connect(
    dsn: str,
    name: str,
    autocommit: bool = True,
    statement_seconds: float = STATEMENT_SECONDS,
    row_factory: Any = None,
    watched: bool = False,
) -> Connection:
    """Open a connection. Times are UTC in it.

    Args:
        dsn: a libpq connection string or URI; a `config.dsn.Dsn` says whether insecure connections are allowed.
        name: application_name, by which the server's operator knows us.
        autocommit: whether each statement commits by itself.
        statement_seconds: the longest a statement may take.
        row_factory: psycopg's; tuples by default.
        watched: end a wait in which nothing moves, see `watch`.

    Blocks for at most 5 s per address. Raises SinkUnavailable, SinkMisconfigured.
    """
    _known(dsn)
    known = tls.secured(dsn, getattr(dsn, "insecure", False))
    options = {key: value for key, value in _DEFAULTS.items() if key not in known}
    more = {"row_factory": row_factory} if row_factory is not None else {}
    try:
        kind: type[Connection] = WatchedConnection if watched else psycopg.Connection
        connection = kind.connect(
            conninfo.make_conninfo("", **{**known, **options, "application_name": name}), autocommit=True, **more
        )
    except psycopg.Error as problem:
        error = translate(problem, f"cannot connect to {masked(dsn)}")
        hint = tls.explained(error.message)
        if "failed to resolve host '@" in error.message:  # psycopg asks the resolver for it before libpq sees it
            hint = "psycopg, the driver, does not reach abstract sockets: host=/DIRECTORY of the server's socket"
        if hint:
            raise SinkMisconfigured(error.message, hint, error.sqlstate) from problem
        raise error from problem
    set_json_loads(parsed, connection)
    if isinstance(connection, WatchedConnection):
        watch(connection)
    try:
        milliseconds = str(int(statement_seconds * 1000))
        connection.execute(_SETTINGS, (milliseconds, str(LOCK_SECONDS * 1000), "120000"))
        connection.autocommit = autocommit
    except psycopg.Error as problem:
        connection.close()
        raise translate(problem, f"cannot use {masked(dsn)}") from problem
    return connection


def parsed(text: str | bytes) -> Any:
    """Return stored JSON as data; a number that Python or the readers of our own JSON would refuse (jsonb has 131,072 digits) as text."""
    try:
        return json.loads(text, parse_float=_finite)
    except ValueError:
        return json.loads(text, parse_float=_finite, parse_int=_short)


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _short(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def _known(dsn: str) -> dict[str, Any]:
    """Return a DSN's parameters. Raises SinkMisconfigured, without what libpq says: it quotes from the middle of a password."""
    try:
        known = {key: value for key, value in conninfo.conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        known = {}
        wrong = True
    else:
        # A URL whose password has a character that must be written as %XX is taken apart at the wrong place.
        # One @ at the beginning of a host is an abstract Unix socket; in a URL it stands there as %40, or behind `?host=`.
        hosts = str(known.get("host", "")).split(",")
        wrong = (
            any("@" in host[1:] for host in hosts)
            or ("://" in dsn and "@@" in dsn)
            or ("password" not in known and "@" in dsn and redact.text(dsn) != dsn)
        )
    if wrong:
        raise SinkMisconfigured(
            "the connection string of the database cannot be read",
            "in a URL, write @ / : ? # of a password as %40 %2F %3A %3F %23; in key=value form, put quotes around it",
        )
    return known


def masked(dsn: str) -> str:
    """Return *dsn* as it may be printed: no password, no other secret parameter."""
    try:
        known = tls.parse(dsn)
    except SinkMisconfigured:
        return "the configured database"
    shown = [f"{key}={known[key]}" for key in ("service", "host", "port", "dbname", "user") if known.get(key)]
    return " ".join(shown) or "the default database"


def translate(problem: psycopg.Error, during: str) -> SinkError:
    """Return our error for psycopg's; *during* says what failed."""
    state = problem.sqlstate or ""
    text = redact.text(f"{during}: {_text(problem)}")
    if state == "FL001":
        return Fenced(text, "another agent took over this node; nothing needs to be done", state)
    if state == "FL002":
        return PositionConflict(text, "positions are read back", state)
    if state.startswith(_POISON) or state in _POISON_EXACT:
        return PoisonRecord(text, "", state)
    if state.startswith(_WRONG):
        missing = state in ("42P01", "42883", "3F000")
        hint = "run: flightlog db migrate" if missing else "check the DSN, the password and the rights of its user"
        return SinkMisconfigured(text, hint, state)
    if state == "57014":
        return SinkUnavailable(text, "ask for less, or allow more time: database.read_timeout in config.yml", state)
    if state.startswith(_GONE) or state in _GONE_EXACT or not state:
        if re.search(r"password authentication failed|no password supplied|does not exist", text):
            return SinkMisconfigured(text, "check the DSN, the password and the rights of its user", state)
        return SinkUnavailable(text, "is the server running, and can it be reached from here?", state)
    return SinkUnavailable(text, "", state)


def _text(problem: psycopg.Error) -> str:
    """Return the first lines of the server's or libpq's message, in one line."""
    words = problem.diag.message_primary or str(problem) or type(problem).__name__
    detail = problem.diag.message_detail
    words = re.sub(r"\s*Is the server running[^?]*\?", "", words)  # libpq asks; the hint does
    return " ".join((words + (f" ({detail})" if detail else "")).split())[:500]
