"""What the agent needs of the place it ships to, as protocols; `store.ingest` is the one there is.

Errors are those of `errors.SinkError`; nothing else leaves a sink. A position is (segment number, byte offset) of a writer, and is kept
by the sink, beside the rows it speaks of. COPY lines are in PostgreSQL's text format, columns in the order of ADR 0008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol


class Position(NamedTuple):
    """How far a writer was shipped.

    Attributes:
        segno: the segment to read next.
        offset: the byte in it.
        seq: the number its next record gets, from 1.
        n: the writer's own highest number so far.
        dropped: how many records it had said it dropped.
        closed: whether it was shipped to its end.
    """

    segno: int = 0
    offset: int = 0
    seq: int = 1
    n: int = 0
    dropped: int = 0
    closed: bool = False


class DeadLetter(NamedTuple):
    """A record that the sink refuses for what it contains. `raw`: its bytes as they were in the spool."""

    writer: str
    seq: int
    run: str
    raw: bytes
    sqlstate: str
    error: str


# Of a writer that was checked: its id, the records said to be stored, whether they were counted, how many are missing, how many are there
# more than once, and why its account proves nothing (empty: it does).
Checked = tuple[str, int, bool, int, int, str]


class Batch(Protocol):
    """One transaction. Rows first, then what they mean, then the advance of positions, then the end."""

    def write_logs(self, rows: bytes) -> None:
        """Stream COPY lines of logs. Blocks on the network. May raise PoisonRecord only from `end_logs`."""

    def end_logs(self) -> None:
        """End the stream of logs. Raises PoisonRecord when a row was refused: nothing of this batch's rows is there then."""

    def write_events(self, rows: bytes) -> None:
        """Store COPY lines of events. Raises PoisonRecord like `end_logs`."""

    def write_metrics(self, rows: bytes) -> None:
        """Store COPY lines of metrics, which events carry as well: nothing of them is counted, what is refused is left out."""

    def forget_rows(self) -> None:
        """Undo all rows of this batch, to try again with fewer."""

    def try_rows(self, logs: bytes, events: bytes) -> None:
        """Store these rows or none of them. Raises PoisonRecord."""

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep refused records."""

    def apply_runs(self, runs: Sequence[dict[str, Any]]) -> None:
        """Say what the rows mean for their runs. Raises PoisonRecord and leaves the rest of the batch as it was."""

    def advance(self, writers: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> None:
        """Move positions. Raises Fenced, PositionConflict."""

    def commit(self) -> None:
        """Make it so. Durable on return. Raises CommitUnknown when the answer was lost."""

    def abort(self) -> None:
        """Undo everything. Never raises."""


class Sink(Protocol):
    """Where an agent ships to.

    Attributes:
        store_id: which store this is, once it was opened: another one after it was made anew.
        place: where it is, without secrets: what one would call the same store.
        backend: the number that the store has for this connection, once it was opened.
    """

    store_id: str
    place: str
    backend: int

    def open(self, node: str, pid: int, session: int = 0) -> int:
        """Take the node; an older agent's transaction is ended and its epoch is over. Returns the epoch.

        *session*: the one that this agent had the node by before. Raises Fenced when another agent's session has it now: two that took it from
        each other would ship nothing.
        """

    def positions(self, writers: Sequence[str]) -> dict[str, Position]:
        """Return the positions of those writers that it knows."""

    def owners(self, writers: Sequence[str]) -> dict[str, int]:
        """Return whose files (uid) the writers' were when they were first shipped, as far as that is known."""

    def run_positions(self, runs: Sequence[str]) -> dict[str, int]:
        """Return the next `pos` of those runs that it knows on this node."""

    def prepare(self, days: Iterable[int]) -> set[int]:
        """Make room for these days (since 1970-01-01, UTC); return all days it has room for."""

    def begin(self) -> Batch:
        """Begin a batch."""

    def lost(self, known: Sequence[str]) -> list[str]:
        """Declare runs lost that have no end and nobody left to say it, except those *known* to go on; return their ids."""

    def self_check(self, since: str, after: str, limit: int, rows: int) -> Sequence[Checked]:
        """Count what is there of this node's writers that were shipped since a day (ISO, UTC), in the order of their ids, behind *after*.

        At most *limit* writers, and as many as have no more than *rows* rows to read between them; empty: there are no more. Blocks for as
        long as that takes. Raises SinkError.
        """

    def beat(self, status: dict[str, Any]) -> None:
        """Say that this agent lives. Raises Fenced."""

    def close(self) -> None:
        """Let go. Never raises."""
