"""The PostgreSQL side of shipping: a batch is one transaction of COPY, counts, and the advance of positions that raises.

Invariants: what `commit` returned from is durable; what it did not return from is undone or unknown, and said to be so; one connection,
used by one thread. Owns: the transaction and its SQL (`sql/queries/ingest.sql`). Leaves rows, order and retries to the agent, whose protocol
(`agent.sink`) this fulfils without importing it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import psycopg

from .._version import __version__
from ..errors import CommitUnknown, Fenced, PositionConflict, SinkError, SinkUnavailable
from . import partitions, roles
from .db import Connection, connect, masked, translate
from .queries import named

PIECE_BYTES = 64 << 10  # of COPY data, written at once


class StoredPosition(NamedTuple):
    """A writer's position; the fields are those of `agent.sink.Position`."""

    segno: int
    offset: int
    seq: int
    n: int
    dropped: int
    closed: bool


class PostgresSink:
    """A sink over one connection, opened when it is first needed and again after it broke.

    Args:
        dsn: libpq connection string.
        role: what to act as, when who logs in may; empty: as who logs in.
    """

    def __init__(self, dsn: str, role: str = roles.WRITER) -> None:
        self.dsn = dsn
        self.place = masked(dsn)
        self.role = role
        self.node = ""
        self.epoch = self.backend = 0
        self.store_id = ""
        self._connection: Connection | None = None
        self._sql = named("ingest")

    def open(self, node: str, pid: int, session: int = 0) -> int:
        """Take *node*; returns the epoch. Raises SinkError; Fenced when we had it as *session*, and another agent's session has it now."""
        self.close()
        self.node = node
        connection = connect(self.dsn, f"flightlog agent {node}"[:63], watched=True)
        try:
            if self.role:
                roles.take(connection, self.role)
            connection.execute(self._sql["durable"].encode())
            if session:
                taken = connection.execute(self._sql["taken"].encode(), {"node": node, "session": session}).fetchone()
                if taken is not None and taken[0]:
                    raise Fenced(f"a newer agent ships for node {node}", "", "FL001")
            row = connection.execute(
                self._sql["open"].encode(), {"node": node, "pid": pid, "version": __version__}
            ).fetchone()
        except Fenced:
            connection.close()
            raise
        except psycopg.Error as problem:
            connection.close()
            raise translate(problem, "cannot open the store for this node") from problem
        assert row is not None
        self._connection = connection
        self.backend = connection.info.backend_pid
        self.epoch, self.store_id = int(row[0]), str(row[1])
        return self.epoch

    def positions(self, writers: Sequence[str]) -> dict[str, Any]:
        """Return what is known of *writers*: writer -> StoredPosition."""
        rows = self._fetch("positions", writers=list(writers))
        return {row[0]: StoredPosition(*row[1:]) for row in rows}

    def owners(self, writers: Sequence[str]) -> dict[str, int]:
        """Return the uid of *writers* as it was first stored."""
        return dict(self._fetch("owners", writers=list(writers)))

    def run_positions(self, runs: Sequence[str]) -> dict[str, int]:
        """Return the next `pos` of *runs* on this node."""
        return dict(self._fetch("run_positions", node=self.node, runs=list(runs)))

    def prepare(self, days: Iterable[int]) -> set[int]:
        """Make partitions for *days* and the next ones; return all days there are."""
        connection = self._usable()
        try:
            partitions.ensure_ahead(connection)
            return partitions.ensure(connection, days)
        except psycopg.Error as problem:
            raise translate(problem, "cannot make day partitions") from problem

    def begin(self) -> PostgresBatch:
        """Begin a transaction."""
        connection = self._usable()
        try:
            connection.autocommit = False
            connection.execute("SAVEPOINT rows")
        except psycopg.Error as problem:
            raise translate(problem, "cannot begin a batch") from problem
        return PostgresBatch(connection, self._sql, self.node, self.epoch)

    def lost(self, known: Sequence[str]) -> list[str]:
        """Declare runs without end and without writers lost; return their ids."""
        return [row[0] for row in self._fetch("lost", node=self.node, known=list(known))]

    def self_check(self, since: str, after: str, limit: int, rows: int) -> list[tuple[str, int, bool, int, int, str]]:
        """Return what is wrong with writers of this node, in the order of their ids; see `agent.sink`."""
        return self._fetch("self_check", node=self.node, since=since, after=after, limit=limit, rows=rows)

    def beat(self, status: dict[str, Any]) -> None:
        """Say that this agent lives. Raises Fenced when a newer one has the node."""
        connection = self._usable()
        try:
            row = connection.execute(
                self._sql["beat"].encode(), {"node": self.node, "epoch": self.epoch, "status": json.dumps(status)}
            ).fetchone()
        except psycopg.Error as problem:
            raise translate(problem, "cannot write the heartbeat") from problem
        if row is None or not row[0]:
            raise Fenced(f"a newer agent ships for node {self.node}", "", "FL001")

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._connection is not None:
            try:
                self._connection.close()
            except psycopg.Error:
                pass
            self._connection = None

    def usable(self) -> Connection:
        """Return the connection, for what else the agent has to ask between two batches. Raises SinkUnavailable."""
        return self._usable()

    def _usable(self) -> Connection:
        connection = self._connection
        if connection is None or connection.closed or connection.broken:
            raise SinkUnavailable("the connection to the store is gone", "it is opened again by itself")
        if not connection.autocommit:
            connection.rollback()
            connection.autocommit = True
        return connection

    def _fetch(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._usable().execute(self._sql[name].encode(), values).fetchall()
        except psycopg.Error as problem:
            raise translate(problem, f"cannot read {name.replace('_', ' ')}") from problem


class PostgresBatch:
    """One transaction on its way; see `agent.sink.Batch`."""

    def __init__(self, connection: Connection, sql: dict[str, str], node: str, epoch: int) -> None:
        self._connection, self._sql, self._node, self._epoch = connection, sql, node, epoch
        self._context: AbstractContextManager[psycopg.Copy] | None = None
        self._copy: psycopg.Copy | None = None

    def write_logs(self, rows: bytes) -> None:
        """Stream COPY lines of logs."""
        try:
            if self._copy is None:
                self._context = self._connection.cursor().copy(self._sql["copy_logs"].encode())
                self._copy = self._context.__enter__()
            _write(self._copy, rows)
        except psycopg.Error as problem:
            raise translate(problem, "cannot store logs") from problem

    def end_logs(self) -> None:
        """End the stream. Raises PoisonRecord when a row was refused."""
        context, self._context, self._copy = self._context, None, None
        if context is None:
            return
        try:
            context.__exit__(None, None, None)
        except psycopg.Error as problem:
            raise translate(problem, "cannot store logs") from problem

    def write_events(self, rows: bytes) -> None:
        """Store COPY lines of events."""
        if not rows:
            return
        try:
            with self._connection.cursor().copy(self._sql["copy_events"].encode()) as copy:
                _write(copy, rows)
        except psycopg.Error as problem:
            raise translate(problem, "cannot store events") from problem

    def write_metrics(self, rows: bytes) -> None:
        """Store COPY lines of what was derived from events; what is refused is left out, the events have it."""
        self._execute("SAVEPOINT metrics", "cannot store metrics")
        try:
            with self._connection.cursor().copy(self._sql["copy_metrics"].encode()) as copy:
                _write(copy, rows)
        except psycopg.Error as problem:
            error = translate(problem, "cannot store metrics")
            if error.retryable:
                raise error from problem
            self._execute("ROLLBACK TO SAVEPOINT metrics", "cannot undo metrics")

    def forget_rows(self) -> None:
        """Undo all rows of this batch."""
        self._execute("ROLLBACK TO SAVEPOINT rows", "cannot undo rows")

    def try_rows(self, logs: bytes, events: bytes) -> None:
        """Store these rows or none of them."""
        self._execute("SAVEPOINT part", "cannot store rows")
        try:
            if logs:
                self.write_logs(logs)
                self.end_logs()
            self.write_events(events)
        except SinkError as problem:
            if problem.retryable:
                raise
            self._execute("ROLLBACK TO SAVEPOINT part", "cannot undo rows")
            raise
        self._execute("RELEASE SAVEPOINT part", "cannot store rows")

    def dead_letters(self, letters: Sequence[Any]) -> None:
        """Keep refused records."""
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    self._sql["dead_letter"].encode(), [dict(letter._asdict(), node=self._node) for letter in letters]
                )
        except psycopg.errors.UniqueViolation as problem:  # somebody else has shipped these
            raise PositionConflict("a refused record is kept already", "positions are read back", "FL002") from problem
        except psycopg.Error as problem:
            raise translate(problem, "cannot keep refused records") from problem

    def apply_runs(self, runs: Sequence[dict[str, Any]]) -> None:
        """Say what the rows mean for their runs."""
        self._execute("SAVEPOINT runs", "cannot update runs")
        try:
            self._connection.execute(self._sql["runs_apply"].encode(), {"runs": json.dumps(runs)})
        except psycopg.Error as problem:
            error = translate(problem, "cannot update runs")
            if not error.retryable:
                self._execute("ROLLBACK TO SAVEPOINT runs", "cannot undo")
            raise error from problem

    def advance(self, writers: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> None:
        """Move positions. Raises Fenced, PositionConflict."""
        values = {
            "node": self._node,
            "epoch": self._epoch,
            "writers": json.dumps(writers),
            "runs": json.dumps(runs),
        }
        try:
            self._connection.execute(self._sql["ship_commit"].encode(), values)
            drops = [{"writer": one["writer"], "drops": one["drops"]} for one in writers if one.get("drops")]
            if drops:
                apply = self._sql["drops_apply"].encode()
                self._connection.execute(apply, {"node": self._node, "drops": json.dumps(drops)})
        except psycopg.Error as problem:
            raise translate(problem, "cannot move positions") from problem

    def commit(self) -> None:
        """Commit. Raises CommitUnknown: whether it is in the store is then for `positions` to say."""
        try:
            self._connection.commit()
            self._connection.autocommit = True
        except psycopg.Error as problem:
            raise CommitUnknown(translate(problem, "the answer to COMMIT was lost").message) from problem

    def abort(self) -> None:
        """Undo everything; a connection on which that fails is closed. Never raises."""
        try:
            if self._context is not None:
                self._connection.close()  # in the middle of a COPY: the server undoes it
                return
            self._connection.rollback()
            self._connection.autocommit = True
        except psycopg.Error:
            self._connection.close()

    def _execute(self, statement: str, during: str) -> None:
        try:
            self._connection.execute(statement.encode())
        except psycopg.Error as problem:
            raise translate(problem, during) from problem


def _write(copy: psycopg.Copy, rows: bytes) -> None:
    """Write in pieces that go over a slow line before it is taken for a dead one."""
    for begin in range(0, len(rows), PIECE_BYTES):
        copy.write(rows[begin : begin + PIECE_BYTES])
