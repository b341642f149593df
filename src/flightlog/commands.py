"""What operators want done to runs and programs: asking for it, and the agent's taking and answering it.

A command is a row in `pipeline_commands`. It names a run, or a program that is configured on its node; it cannot carry a command line, and the
database checks that again (migration 0005), because whoever reaches the table must not reach a shell (DESIGN D20).
Invariants: a command is claimed once, by the agent that holds its node; one that nobody claims in time is failed, not done late.
Owns: enqueue, claim, complete. Leaves acting on it to `process`, and who may ask to `sql/queries/roles.sql`.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import psycopg

from . import identity
from .errors import UsageError
from .store.db import Connection, translate
from .store.queries import query

VERBS = ("stop", "pause", "resume", "restart", "kill", "stacks", "checkpoint", "start")
SIGNALS = ("HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "STOP", "CONT")
MAX_GRACE_SECONDS = 86400
EXPIRES_SECONDS, MAX_EXPIRES_SECONDS = 600.0, 86400.0
_PROGRAM = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Command(NamedTuple):
    """One command, claimed.

    Attributes:
        id: a ULID.
        verb: one of VERBS.
        run: the run it is about, or empty.
        program: the configured program it is about, or empty.
        grace_seconds: how long to wait before force is used; None: as configured.
        signal: name of a signal without SIG, or empty.
        requested_by: who logged in to ask for it.
    """

    id: str
    verb: str
    run: str
    program: str
    grace_seconds: float | None
    signal: str
    requested_by: str


def enqueue(
    connection: Connection,
    verb: str,
    node: str,
    run: str = "",
    program: str = "",
    grace_seconds: float | None = None,
    signal: str = "",
    expires_seconds: float = EXPIRES_SECONDS,
) -> str:
    """Ask for a command; return its id.

    Args:
        connection: of a login that is a member of flightlog_operator, or the owner's.
        verb: one of VERBS.
        node: whose agent is to do it.
        run: the run it is about; or
        program: the name of a program that is configured on that node. `start` takes this one.
        grace_seconds: how long to wait before force is used.
        signal: one of SIGNALS.
        expires_seconds: after this time it is not done any more.

    Raises UsageError for what no command can be, SinkError.
    """
    if verb not in VERBS:
        raise UsageError(f"{verb!r} is no command", "it is one of " + ", ".join(VERBS))
    if bool(run) == bool(program):
        raise UsageError("a command is about one run or one program", "give either of them")
    if run and not identity.is_ulid(run):
        raise UsageError(f"{run!r} is no run's id", "give the whole id: 26 characters")
    if program and not _PROGRAM.fullmatch(program):
        raise UsageError(
            f"{program[:80]!r} is no name of a program",
            "a name has letters, digits, dot, dash and underscore, at most 64; a command line belongs into the node's configuration",
        )
    if verb == "start" and not program:
        raise UsageError("a run cannot be started again under its id", "give the program")
    if signal and signal not in SIGNALS:
        raise UsageError(f"{signal!r} is no signal that may be asked for", "it is one of " + ", ".join(SIGNALS))
    if grace_seconds is not None and not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise UsageError(f"{grace_seconds:g} s of grace are too many or too few", f"0 to {MAX_GRACE_SECONDS}")
    if not 0 < expires_seconds <= MAX_EXPIRES_SECONDS:
        raise UsageError(
            f"a command cannot wait {expires_seconds:g} s", f"more than 0, at most {MAX_EXPIRES_SECONDS:g}"
        )
    arguments: dict[str, Any] = {}
    if grace_seconds is not None:
        arguments["grace_seconds"] = grace_seconds
    if signal:
        arguments["signal"] = signal
    command = identity.new_ulid()
    _execute(
        connection,
        "enqueue",
        command=command,
        verb=verb,
        node=node,
        run=run or None,
        program=program or None,
        arguments=json.dumps(arguments),
        seconds=expires_seconds,
    )
    return command


def claim(connection: Connection, node: str, epoch: int, limit: int = 20) -> list[Command]:
    """Take what is waiting for *node*, oldest first; what was claimed is this agent's to do and to answer.

    Args:
        connection: the agent's.
        node: its node.
        epoch: under which it holds it; an older one gets Fenced.
        limit: at most so many.

    Raises SinkError.
    """
    rows = _execute(connection, "claim", node=node, epoch=epoch, limit=limit)
    return [
        Command(
            command,
            verb,
            run or "",
            program or "",
            arguments.get("grace_seconds"),
            arguments.get("signal", ""),
            requested_by,
        )
        for command, verb, run, program, arguments, requested_by in rows
    ]


def complete(connection: Connection, node: str, epoch: int, command: str, done: bool, result: str = "") -> bool:
    """Say what became of a claimed command; False when it was not this node's to answer. Raises SinkError."""
    rows = _execute(connection, "complete", node=node, epoch=epoch, command=command, done=done, result=result)
    return bool(rows and rows[0][0])


def answer(connection: Connection, command: str) -> tuple[str, str]:
    """Return (state, result) of a command: pending, claimed, done or failed, and what its agent said. Raises SinkError."""
    rows = _execute(connection, "answer", command=command)
    return (str(rows[0][0]), str(rows[0][1])) if rows else ("failed", "there is no such command")


def _execute(connection: Connection, name: str, **values: Any) -> list[tuple[Any, ...]]:
    try:
        cursor = connection.execute(query("commands", name).encode(), values)
        return cursor.fetchall() if cursor.description else []
    except psycopg.Error as problem:
        raise translate(problem, f"cannot {name} a command") from problem
