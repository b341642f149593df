"""The audit: was every record that was written stored, once?

Three witnesses are compared for each writer: the rows that are there, counted; the writer's counts, kept with each batch; and the ledger, whose
stretches of bytes and numbers must join without a seam. What was written = stored + dead-lettered + dropped + corrupt; what is left is missing.
Where that cannot be known it is said: unproven, and why. Owns: the judgement. Leaves the spool's own facts to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import psycopg

from ..store.db import Connection, translate
from .ask import ask, take_time
from .drops import Lost, lost_output

SILENT_SECONDS = 60.0  # an agent says every 5 s that it lives
VANISHED = "its files left the spool before it had ended"
PIPE = "its run has no end: nobody can say what was left in the pipe when all who knew it were killed"


@dataclass(frozen=True)
class WriterAudit:
    """One writer's account, in records. `written` counts what the agent has read so far; `pending_bytes` are what the spool has beyond
    that, None where this node cannot know; `drops` is `dropped` by "<level>/<reason>"; `lost_bytes` are output that no capture has; `unproven` is the reason why the account cannot be
    trusted, empty when it can.
    """

    writer: str
    node: str
    kind: str
    run: str
    pipeline: str | None
    written: int
    stored: int
    dead: int
    dropped: int
    corrupt: int
    missing: int
    duplicates: int
    torn_bytes: int
    pending_bytes: int | None
    closed: bool
    unproven: str
    drops: dict[str, int] = field(default_factory=dict)
    lost_bytes: int = 0

    @property
    def good(self) -> bool:
        """Whether everything that was written is accounted for as stored, dead-lettered or still on its way."""
        return not (self.missing or self.duplicates or self.dropped or self.lost_bytes or self.corrupt or self.unproven)


@dataclass(frozen=True)
class Audit:
    """All writers that were asked for."""

    writers: list[WriterAudit]

    def total(self, name: str) -> int:
        """Return the sum of one count; `unproven` counts writers."""
        if name == "unproven":
            return sum(bool(item.unproven) for item in self.writers)
        return sum(getattr(item, name) or 0 for item in self.writers)

    @property
    def good(self) -> bool:
        """Whether every writer's account is."""
        return all(item.good for item in self.writers)


class _Row(NamedTuple):
    """What sql/queries/audit.sql returns of a writer."""

    writer: str
    node: str
    kind: str
    run: str
    pipeline: str | None
    stored: int
    dead: int
    dropped: int
    corrupt: int
    torn: int
    gap: int
    closed: bool
    rows: int
    numbers: int
    letters: int
    seams: int
    ends_elsewhere: bool
    sums_differ: bool
    silence: float | None
    drops: dict[str, int]
    state: str | None


def audit(
    connection: Connection,
    runs: Sequence[str] | None,
    node: str,
    pending: Mapping[str, int],
    waiting: Mapping[str, tuple[str, str]] | None = None,
) -> Audit:
    """Return the account of every writer that wrote into *runs* (None: of all writers, also those the store has not heard of).

    Args:
        connection: of the store.
        runs: ids.
        node: this node, whose spool can be seen.
        pending: unshipped bytes by writer, for writers that have files in this node's spool.
        waiting: run and pipeline of those writers that the store has not heard of, as far as they are asked for.

    Reads every row that it counts: seconds per some million. Raises SinkError.
    """
    try:
        with connection.transaction():
            take_time(connection)
            if runs is None:
                rows = ask(connection, "audit", "writers_of_all")
            else:
                rows = ask(connection, "audit", "writers_of_runs", runs=list(runs))
            lost = {(one.run, one.writer): one for one in lost_output(connection, runs)}
    except psycopg.Error as problem:
        raise translate(problem, "cannot read audit") from problem
    found = [_judge(_Row(*row), node, pending) for row in rows]
    found = [replace(item, lost_bytes=_taken(lost, item.run, item.writer)) for item in found]
    found += [_nothing_stored(one, pending) for one in lost.values()]
    known = {item.writer for item in found}
    whose = waiting or {}
    for writer, count in pending.items():
        if count and writer not in known and (runs is None or writer in whose):
            run, pipeline = whose.get(writer, ("", None))
            found.append(replace(_unheard_of(writer, node, count), run=run, pipeline=pipeline))
    return Audit(found)


def _judge(row: _Row, node: str, pending: Mapping[str, int]) -> WriterAudit:
    waiting = pending.get(row.writer, 0 if row.closed or row.node == node else None)
    return WriterAudit(
        writer=row.writer,
        node=row.node,
        kind=row.kind,
        run=row.run if row.run.strip("0") else "",  # the files of a birth that was cut short do not say whose they are
        pipeline=row.pipeline,
        written=row.stored + row.dead + row.dropped + row.corrupt + row.gap,
        stored=row.numbers,
        dead=row.letters,
        dropped=row.dropped,
        corrupt=row.corrupt,
        missing=max(0, row.stored - row.numbers) + max(0, row.dead - row.letters) + row.gap,
        duplicates=row.rows - row.numbers,
        torn_bytes=row.torn,
        pending_bytes=waiting,
        closed=row.closed,
        unproven=_doubt(row, node, pending),
        drops=row.drops,
    )


def _doubt(row: _Row, node: str, pending: Mapping[str, int]) -> str:
    """Return why this account proves nothing; empty when it does."""
    if row.seams:
        return "its ledger has a seam: what was shipped before it and after it does not join"
    if row.ends_elsewhere:
        return "its ledger does not end where its position is"
    if row.sums_differ:
        return "its numbers do not add up to its records"
    if row.closed:
        return PIPE if row.kind == "capture" and row.state == "lost" else ""
    if row.node == node:
        return "" if row.writer in pending else VANISHED
    if row.silence is None or row.silence > SILENT_SECONDS:
        return f"it has not ended, and the agent of its node {row.node} is silent"
    return ""


def _taken(lost: dict[tuple[str, str], Lost], run: str, writer: str) -> int:
    """Return how many bytes of output this writer's capture could not take; they are accounted for then."""
    one = lost.pop((run, writer), None)
    return one.size if one else 0


def _nothing_stored(one: Lost, pending: Mapping[str, int]) -> WriterAudit:
    """Return the account of a capture that could not take anything, or of those of a run whose end had no room to say which."""
    waiting = pending.get(one.writer, 0)
    empty = _unheard_of(one.writer, one.node, waiting)
    return replace(empty, kind="capture", run=one.run, pipeline=one.pipeline, lost_bytes=one.size)


def _unheard_of(writer: str, node: str, count: int) -> WriterAudit:
    """Return the account of a writer that the store knows nothing of: all of it lies in the spool."""
    return WriterAudit(
        writer=writer,
        node=node,
        kind="",
        run="",
        pipeline=None,
        written=0,
        stored=0,
        dead=0,
        dropped=0,
        corrupt=0,
        missing=0,
        duplicates=0,
        torn_bytes=0,
        pending_bytes=count,
        closed=False,
        unproven="",
    )
