"""The audit: was every record that was written stored, once?

Three witnesses are compared for each writer: the rows that are there, counted; the writer's counts, kept with each batch; and the ledger, whose
stretches of bytes and numbers must join without a seam. What was written = stored + dead-lettered + dropped + corrupt; what is left is missing.
Where that cannot be known it is said: unproven, and why. Owns: the judgement. Leaves the spool's own facts to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..store.db import Connection
from .ask import ask

SILENT_SECONDS = 60.0


@dataclass(frozen=True)
class WriterAudit:
    """One writer's account, in records; `pending`: bytes in the spool that are not shipped yet."""

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
    torn: int
    pending: int
    closed: bool
    unproven: str

    @property
    def good(self) -> bool:
        """Whether everything that was written is accounted for as stored, dead-lettered or still on its way."""
        return not (self.missing or self.duplicates or self.dropped or self.corrupt or self.unproven)


@dataclass(frozen=True)
class Audit:
    """All writers that were asked for."""

    writers: list[WriterAudit]

    def total(self, name: str) -> int:
        """Return the sum of one count; `unproven` counts writers."""
        if name == "unproven":
            return sum(bool(item.unproven) for item in self.writers)
        return sum(getattr(item, name) for item in self.writers)

    @property
    def good(self) -> bool:
        """Whether every writer's account is."""
        return all(item.good for item in self.writers)


def audit(connection: Connection, runs: Sequence[str] | None, node: str, pending: Mapping[str, int]) -> Audit:
    """Return the account of every writer that wrote into *runs* (None: of all writers).

    Args:
        connection: of the store.
        runs: ids.
        node: this node, whose spool can be seen.
        pending: unshipped bytes by writer, for writers that have files in this node's spool.

    Reads every row that it counts: seconds per some million. Raises SinkError.
    """
    rows = ask(connection, "audit", "writers", runs=None if runs is None else list(runs))
    return Audit([_judge(row, node, pending) for row in rows])


def _judge(row: tuple[object, ...], node: str, pending: Mapping[str, int]) -> WriterAudit:
    writer, home, kind, run, pipeline = (str(row[0]), str(row[1]), str(row[2]), str(row[3]), row[4])
    stored, dead, dropped, corrupt, torn = (int(str(value)) for value in row[5:10])
    closed = bool(row[10])
    rows, numbers, letters, seams = (int(str(value)) for value in row[11:15])
    silence = None if row[15] is None else float(str(row[15]))
    unproven = ""
    if seams:
        unproven = "its ledger has a seam"
    elif not closed and home == node and writer not in pending:
        unproven = "its files left the spool before it had ended"
    elif not closed and home != node and (silence is None or silence > SILENT_SECONDS):
        unproven = f"the agent of {home} is silent"
    return WriterAudit(
        writer=writer,
        node=home,
        kind=kind,
        run=run,
        pipeline=None if pipeline is None else str(pipeline),
        written=stored + dead + dropped + corrupt,
        stored=numbers,
        dead=letters,
        dropped=dropped,
        corrupt=corrupt,
        missing=max(0, stored - numbers) + max(0, dead - letters),
        duplicates=rows - numbers,
        torn=torn,
        pending=pending.get(writer, 0),
        closed=closed,
        unproven=unproven,
    )
