"""What was not kept, and was said to be so: dropped records by level and reason, bytes of output that no capture has.

Owns: these sums and their words. Leaves judging them to `audit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .. import records
from ..store.db import Connection
from .ask import ask


@dataclass
class Drops:
    """Of one run. `counts`: by "<level>/<reason>"; `records`: their sum, also where no reason was said."""

    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    lost_bytes: int = 0


def of_runs(connection: Connection, runs: Sequence[str]) -> dict[str, Drops]:
    """Return what each of *runs* did not keep. Raises SinkError."""
    found = {run: Drops() for run in runs}
    for run, counts, total in ask(connection, "drops", "of_runs", runs=list(runs)):
        found[run].records += total
        add(found[run].counts, counts)
    for (run, _), lost in lost_bytes(connection, runs).items():
        found[run].lost_bytes += lost
    return found


def lost_bytes(connection: Connection, runs: Sequence[str] | None) -> dict[tuple[str, str], int]:
    """Return how many bytes of output were not captured, by (run, writer of the capture), for *runs* or for all. Raises SinkError."""
    chosen = None if runs is None else list(runs)
    return {(run, writer): int(lost) for run, writer, lost in ask(connection, "drops", "lost_of_runs", runs=chosen)}


def of_node(connection: Connection, node: str) -> int:
    """Return how many records all writers of a node have dropped. Raises SinkError."""
    return int(ask(connection, "drops", "of_node", node=node)[0][0])


def add(sums: dict[str, int], counts: Mapping[str, int]) -> None:
    """Add *counts* to *sums*."""
    for key, count in counts.items():
        sums[key] = sums.get(key, 0) + count


def total(many: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of many counts."""
    sums: dict[str, int] = {}
    for counts in many:
        add(sums, counts)
    return sums


def words(counts: Mapping[str, int]) -> str:
    """Return counts for people: `pressure: DEBUG 120, INFO 4000; unwritable: INFO 1`."""
    by_reason: dict[str, dict[int, int]] = {}
    for key, count in counts.items():
        level, _, reason = key.partition("/")
        number = int(level) if level.lstrip("-").isdigit() else 0
        levels = by_reason.setdefault(reason or "no reason", {})
        levels[number] = levels.get(number, 0) + count
    return "; ".join(
        f"{reason}: " + ", ".join(f"{records.level_name(level)} {count}" for level, count in sorted(levels.items()))
        for reason, levels in sorted(by_reason.items())
    )
