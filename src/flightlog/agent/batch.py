"""One batch in the making: rows that are streamed to the sink while more are decoded, and what is kept of them until it is committed.

Invariants: bounded by rows and bytes, in blocks and not in objects per row; a refused row can be found by bisecting, says itself which record
it is, and its raw bytes can be had, so that it becomes a dead letter; numbers given here hold only if the batch commits.
Owns: streaming, counts per run, bisecting. Leaves reading to the tails, retries to `shipper`.
"""

from __future__ import annotations

import bisect
from typing import Any

from .. import redact
from ..errors import PoisonRecord
from ..system import time
from . import faults
from .copytext import Clock
from .facts import RunFacts
from .intake import RawOf
from .metric_rows import metric_lines
from .rows import LogRows, identity_of, level_of
from .sink import Batch, DeadLetter, Sink
from .sites import Sites

BLOCK_ROWS = 125  # sent at once: while the server works on what fits between two processes, the next block is made
MAX_STREAM_SECONDS = 10.0  # over a slow line a batch is smaller: the server ends a statement of a minute
LOG, EVENT = "log", "event"


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
        sites: call sites met before.
        positions: next `pos` by run, as committed; runs met before the stream began are added.
        max_rows, max_bytes: when the batch is full.
    """

    def __init__(
        self,
        sink: Sink,
        node: str,
        clock: Clock,
        sites: Sites,
        positions: dict[str, int],
        max_rows: int,
        max_bytes: int,
    ) -> None:
        self.node, self.clock, self.sites = node, clock, sites
        self.runs: dict[str, RunFacts] = {}
        self.letters: list[DeadLetter] = []
        self.refused: dict[str, list[str]] = {}  # kinds of the rows refused after the fact, by writer
        self._sink, self._positions = sink, positions
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._transaction: Batch | None = None
        self._blocks: dict[str, list[bytes]] = {LOG: [], EVENT: []}  # COPY lines
        self._firsts: dict[str, list[int]] = {LOG: [], EVENT: []}  # index of each block's first row
        self._raws: dict[str, list[RawOf]] = {LOG: [], EVENT: []}
        self._counts = {LOG: 0, EVENT: 0}
        self._metrics: list[str] = []  # derived from events, and in no account
        self._bytes = 0
        self._begun_at = 0.0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._counts[LOG] + self._counts[EVENT]

    def rows_for(self, writer: str, pid: int) -> LogRows:
        """Return what makes rows of the records of *writer*; of use beyond this batch."""
        return LogRows(writer, self.node, pid, self.clock)

    def is_full(self) -> bool:
        """Whether it is time to commit."""
        return (
            self.rows >= self._max_rows
            or self._bytes >= self._max_bytes
            or (self.streaming and time.monotonic() - self._begun_at > MAX_STREAM_SECONDS)
        )

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

    def logs(self, lines: list[str], raw_of: RawOf, kept_bytes: int = 0) -> None:
        """Add logs' rows and stream them: about `BLOCK_ROWS` at once. *kept_bytes*: what *raw_of* holds in memory. Raises SinkError."""
        if lines:
            block = self._add(LOG, lines, raw_of, kept_bytes)
            self._begun().write_logs(block)
            if len(self._blocks[LOG]) == 1:
                faults.point("copy_half")

    def event(self, line: str, raw: bytes) -> None:
        """Add an event's row."""
        self._add(EVENT, [line], lambda _: raw, len(raw))
        derived = metric_lines(line)
        if derived:
            self._metrics += derived
            self._bytes += sum(map(len, derived))

    def refuse(self, writer: str, seq: int, run: str, raw: bytes, problem: PoisonRecord) -> None:
        """Keep a record that no row could be made of, its secrets masked: its raw bytes may be somebody else's, or captured."""
        raw = redact.raw(raw)
        self._bytes += len(raw)
        error = redact.cut(problem.message, 1000)
        self.letters.append(DeadLetter(writer, seq, run, raw, problem.sqlstate or "22000", error))

    def _add(self, kind: str, lines: list[str], raw_of: RawOf, kept_bytes: int) -> bytes:
        block = "".join(lines).encode()
        self._blocks[kind].append(block)
        self._firsts[kind].append(self._counts[kind])
        self._raws[kind].append(raw_of)
        self._counts[kind] += len(lines)
        self._bytes += len(block) + kept_bytes
        return block

    def store_rows(self) -> Batch:
        """Bring all rows into the transaction, refused ones into dead letters; return the transaction. Raises SinkError."""
        transaction = self._begun()
        try:
            transaction.end_logs()
            transaction.write_events(b"".join(self._blocks[EVENT]))
        except PoisonRecord:
            transaction.forget_rows()
            for kind in (LOG, EVENT):
                lines = b"".join(self._blocks[kind]).split(b"\n")[:-1]  # a line end ends a row and is nowhere else
                self._bisect(transaction, kind, lines, 0)
        if self._metrics:
            transaction.write_metrics("".join(self._metrics).encode())
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
            self._begun_at = time.monotonic()
            faults.point("after_begin")
        return self._transaction

    def _bisect(self, transaction: Batch, kind: str, lines: list[bytes], first: int) -> None:
        """Store *lines*, rows *first* and following, in parts, until those that are refused stand alone."""
        if not lines:
            return
        data = b"\n".join([*lines, b""])
        try:
            transaction.try_rows(data if kind == LOG else b"", data if kind == EVENT else b"")
        except PoisonRecord as problem:
            if len(lines) == 1:
                run, seq, writer = identity_of(lines[0])
                self.refuse(writer, seq, run, self._raw(kind, first), problem)
                self.refused.setdefault(writer, []).append(kind)
                self.runs[run].refused(kind == EVENT, level_of(lines[0]) if kind == LOG else 0)
                return
            middle = len(lines) // 2
            self._bisect(transaction, kind, lines[:middle], first)
            self._bisect(transaction, kind, lines[middle:], first + middle)

    def _raw(self, kind: str, index: int) -> bytes:
        """Return the raw bytes of a row. Raises OSError, SegmentError."""
        block = bisect.bisect_right(self._firsts[kind], index) - 1
        return self._raws[kind][block](index - self._firsts[kind][block])
