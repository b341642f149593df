"""What was not kept, and was said to be so: dropped records by level and reason, bytes of output that no capture has.

A capture's loss is told by events as it grows, and by the end of its run: the newest word holds, so that nothing is counted twice.
Owns: these sums and their words. Leaves judging them to `audit`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .. import records
from ..store.db import Connection
from .ask import ask

MOST = 1 << 62  # what a count may be: it is the word of a pipeline's own machine


@dataclass
class Drops:
    """Of one run. `counts`: by "<level>/<reason>"; `records`: their sum, also where no reason was said."""

    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    lost_bytes: int = 0


class Lost(NamedTuple):
    """Bytes of output that a capture does not have. `writer`: the capture's, empty where nobody could say which it was."""

    run: str
    writer: str
    node: str
    pipeline: str | None
    size: int


def of_runs(connection: Connection, runs: Sequence[str]) -> dict[str, Drops]:
    """Return what each of *runs* did not keep. Raises SinkError."""
    found = {run: Drops() for run in runs}
    if not runs:
        return found
    for run, counts, total in ask(connection, "drops", "of_runs", runs=list(runs)):
        found[run].records += total
        add(found[run].counts, counts)
    for one in lost_output(connection, runs):
        found[one.run].lost_bytes += one.size
    return found


def lost_output(connection: Connection, runs: Sequence[str] | None) -> list[Lost]:
    """Return what the captures of *runs* (None: of all runs) could not take. Raises SinkError."""
    chosen = None if runs is None else list(runs)
    return settled(Lost(*row) for row in ask(connection, "drops", "lost_of_runs", runs=chosen))


def settled(words: Iterable[Lost]) -> list[Lost]:
    """Return what *words*, the newest of each capture last, come to: of a whole run's word, what no capture's own word accounts for."""
    newest = {(word.run, word.writer): word for word in words}
    told: dict[str, int] = {}
    for word in newest.values():
        if word.writer:
            told[word.run] = told.get(word.run, 0) + _size(word)
    sizes = [
        word._replace(size=_size(word) if word.writer else max(0, _size(word) - told.get(word.run, 0)))
        for word in newest.values()
    ]
    return [word for word in sizes if word.size]


def _size(word: Lost) -> int:
    return max(0, min(int(word.size), MOST))


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
        number = int(level) if re.fullmatch(r"-?[0-9]{1,9}", level) else 0
        levels = by_reason.setdefault(reason or "no reason", {})
        levels[number] = levels.get(number, 0) + count
    return "; ".join(
        f"{reason}: " + ", ".join(f"{records.level_name(level)} {count}" for level, count in sorted(levels.items()))
        for reason, levels in sorted(by_reason.items())
    )
