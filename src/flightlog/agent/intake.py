"""What a tail brings its records to, and what makes rows of them: the database's `batch.Gathering`, or `file_rows.FileGathering`.

Invariant: a tail asks for nothing else, so that both destinations are read by the same code. A row is made where its record is met, and belongs to the
batch once it was handed over in a block. Owns: these two interfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..errors import PoisonRecord
from .decode import Record
from .facts import RunFacts
from .sites import Site, Sites

RawOf = Callable[[int], bytes]  # raw bytes of a block's row, by its index in the block


class Rows(Protocol):
    """Makes the rows of one writer, each a text with its line end."""

    def line(self, site: Site, record: Record, run: str, pos: int, seq: int) -> str:
        """Return one record. Raises DayMissing, PoisonRecord."""

    def captured(
        self,
        run: str,
        ns: int,
        pos: int,
        seq: int,
        level: int,
        message: str,
        source: str,
        fields: str | None,
        flags: int,
        logger: str | None = None,
    ) -> str:
        """Return one captured line, masked by the caller; *fields* is JSON text. Raises DayMissing."""

    def event(self, run: str, ns: int, pos: int, seq: int, name: str, stage: str | None, data: str) -> str:
        """Return an event; *data* is JSON text. Raises DayMissing."""


class Intake(Protocol):
    """One batch in the making."""

    @property
    def sites(self) -> Sites:
        """The call sites met before."""

    def rows_for(self, writer: str, pid: int) -> Rows:
        """Return what makes rows of the records of *writer*; of use beyond this batch."""

    def is_full(self) -> bool:
        """Whether nothing more is to be brought."""

    def run(self, run: str, pipeline: str) -> RunFacts:
        """Return the facts of *run*; *pipeline* is a guess. Raises RunUnknown."""

    def logs(self, lines: list[str], raw_of: RawOf, kept_bytes: int = 0) -> None:
        """Take a block of logs. Raises SinkError."""

    def event(self, line: str, raw: bytes) -> None:
        """Take an event."""

    def refuse(self, writer: str, seq: int, run: str, raw: bytes, problem: PoisonRecord) -> None:
        """Take a record that no row could be made of."""
