"""One batch in the making: rows that are streamed to the sink while more are decoded, and what is kept of them until it is committed.

Invariants: bounded by rows and bytes; a row's origin stays known, so that a refused one can be found by bisecting and kept as a dead letter;
numbers given here hold only if the batch commits. Owns: streaming, counts per run, bisecting. Leaves reading to the tails, retries to `shipper`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import PoisonRecord
from . import faults
from .facts import RunFacts
from .rows import Clock, LogRows
from .sink import Batch, DeadLetter, Sink

BLOCK_ROWS = 500
LOG, EVENT = "log", "event"


class Origin(NamedTuple):
    """Where a row came from."""

    writer: str
    seq: int
    run: str
    raw: bytes


class RunUnknown(Exception):
    """A run whose position is not known yet was met while rows are being streamed; the rest has to wait for the next batch."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run


class Gathering:
    """Rows of one batch.

    Args:
        sink: where they go.
        node: of this agent.
        clock: which days there are.
        positions: next `pos` by run, as committed; runs met before the stream began are added.
        max_rows, max_bytes: when the batch is full.
    """

    def __init__(
        self, sink: Sink, node: str, clock: Clock, positions: dict[str, int], max_rows: int, max_bytes: int
    ) -> None:
        self.node, self.clock = node, clock
        self.runs: dict[str, RunFacts] = {}
        self.letters: list[DeadLetter] = []
        self.refused: dict[str, list[str]] = {}  # kinds of the rows refused after the fact, by writer
        self._sink, self._positions = sink, positions
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._transaction: Batch | None = None
        self._lines: dict[str, list[str]] = {LOG: [], EVENT: []}
        self._origins: dict[str, list[Origin]] = {LOG: [], EVENT: []}
        self._sent = self._bytes = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._lines[LOG]) + len(self._lines[EVENT])

    def rows_for(self, writer: str, pid: int) -> LogRows:
        """Return what makes rows of the records of *writer*; of use beyond this batch."""
        return LogRows(writer, self.node, pid, self.clock)

    def is_full(self) -> bool:
        """Whether it is time to commit."""
        return self.rows >= self._max_rows or self._bytes >= self._max_bytes

    @property
    def streaming(self) -> bool:
        """Whether rows are on their way, so that nothing can be asked of the sink."""
        return self._transaction is not None

    def run(self, run: str, pipeline: str) -> RunFacts:
        """Return the facts of *run*, whose position must be known or is asked for. Raises RunUnknown."""
        facts = self.runs.get(run)
        if facts is None:
            if run not in self._positions:
                if self.streaming:
                    raise RunUnknown(run)
                self._positions[run] = self._sink.run_positions([run]).get(run, 1)
            facts = self.runs[run] = RunFacts(run, self._positions[run], pipeline)
        return facts

    def log(self, line: str, origin: Origin) -> None:
        """Add a log's row."""
        lines = self._lines[LOG]
        lines.append(line)
        self._origins[LOG].append(origin)
        self._bytes += len(line)
        if len(lines) - self._sent >= BLOCK_ROWS:
            self.flush()

    def event(self, line: str, origin: Origin) -> None:
        """Add an event's row."""
        self._lines[EVENT].append(line)
        self._origins[EVENT].append(origin)
        self._bytes += len(line)

    def refuse(self, origin: Origin, problem: PoisonRecord) -> None:
        """Keep a record that no row could be made of."""
        self.letters.append(
            DeadLetter(
                origin.writer, origin.seq, origin.run, origin.raw, problem.sqlstate or "22000", problem.message[:1000]
            )
        )

    def flush(self) -> None:
        """Stream the log rows that have not been sent."""
        lines = self._lines[LOG]
        if self._sent < len(lines):
            transaction = self._begun()
            transaction.write_logs("".join(lines[self._sent :]).encode())
            self._sent = len(lines)
            faults.point("copy_half")

    def store_rows(self) -> Batch:
        """Bring all rows into the transaction, refused ones into dead letters; return the transaction. Raises SinkError."""
        transaction = self._begun()
        try:
            self.flush()
            transaction.end_logs()
            transaction.write_events("".join(self._lines[EVENT]).encode())
        except PoisonRecord:
            transaction.forget_rows()
            for kind in (LOG, EVENT):
                self._bisect(transaction, kind, 0, len(self._lines[kind]))
        faults.point("after_copy")
        if self.letters:
            transaction.dead_letters(self.letters)
        return transaction

    def abort(self) -> None:
        """Undo what was streamed. Never raises."""
        if self._transaction is not None:
            self._transaction.abort()
            self._transaction = None

    def run_rows(self, bare: bool = False) -> list[dict[str, Any]]:
        """Return what the batch says about its runs."""
        make = RunFacts.bare_row if bare else RunFacts.row
        return [make(facts, self.node, self.clock.now_ns) for facts in self.runs.values()]

    def run_advances(self) -> list[dict[str, Any]]:
        """Return how positions of runs move, and who wrote into them."""
        return [
            {"run": facts.run, "pos": facts.pos_from, "to_pos": facts.pos, "writers": sorted(facts.writers)}
            for facts in self.runs.values()
        ]

    def _begun(self) -> Batch:
        if self._transaction is None:
            self._transaction = self._sink.begin()
            faults.point("after_begin")
        return self._transaction

    def _bisect(self, transaction: Batch, kind: str, low: int, high: int) -> None:
        """Store rows *low* to *high* (exclusive) in parts, until those that are refused stand alone."""
        if low >= high:
            return
        data = "".join(self._lines[kind][low:high]).encode()
        try:
            transaction.try_rows(data if kind == LOG else b"", data if kind == EVENT else b"")
        except PoisonRecord as problem:
            if high - low == 1:
                origin = self._origins[kind][low]
                self.refuse(origin, problem)
                self.refused.setdefault(origin.writer, []).append(kind)
                return
            middle = (low + high) // 2
            self._bisect(transaction, kind, low, middle)
            self._bisect(transaction, kind, middle, high)
