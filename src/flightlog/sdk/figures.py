"""Figures of a run: gauges, counters, histograms, summed up in the process and written now and then.

Invariants: no thread, no lock: each thread adds to figures of its own, and whoever writes puts them together; what is written are totals since the
process began, so that writing twice or never changes nothing but how fresh they are. Written at most once a second, by whoever comes by. After a
fork the child counts from nothing. A process keeps MAX_FIGURES of one run; what is beyond is counted and told.
Owns: adding up, percentiles, when to write. Leaves rows to the agent (`agent.metric_rows`).
"""

from __future__ import annotations

import math
import os
import time
from _thread import get_ident

from .. import records
from .context import Scope
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Tuple

    Key = Tuple[str, str, str, str, str]  # run, stage, name, kind, unit
    Figures = Dict[Key, "Figure"]

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
KINDS = frozenset((GAUGE, COUNTER, HISTOGRAM))
EVERY_NS = 1_000_000_000
MAX_FIGURES = 1000
MAX_NAME = 100  # characters of a name and of a unit
AT_ONCE = 20  # figures of one record
PARTS = 8  # of a histogram between a number and its double: a value is known within 4.5 %
_NONE = -(1 << 20)  # where what is not above zero is counted
_clock = time.monotonic_ns


class Figure:
    """What one thread has said of one name."""

    __slots__ = ("at", "buckets", "count", "last", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = self.last = 0.0
        self.least, self.most = math.inf, -math.inf
        self.at = 0
        self.buckets: dict[int, int] = {}

    def add(self, value: float, now: int, kind: str) -> None:
        """Take one more value."""
        self.total += value
        self.last, self.at = value, now
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        if kind == HISTOGRAM:
            place = math.floor(math.log2(value) * PARTS) if value > 0 else _NONE
            self.buckets[place] = self.buckets.get(place, 0) + 1
        self.count += 1

    def merge(self, other: Figure) -> None:
        """Take what another thread has said."""
        self.count += other.count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        if other.at >= self.at:
            self.last, self.at = other.last, other.at
        for place, count in list(other.buckets.items()):
            self.buckets[place] = self.buckets.get(place, 0) + count

    def percentile(self, share: float) -> float:
        """Return the value that *share* of all are not above, within 5 %."""
        left = share * sum(self.buckets.values())
        for place in sorted(self.buckets):
            left -= self.buckets[place]
            if left <= 0:
                value = 2.0 ** ((place + 0.5) / PARTS) if place != _NONE else min(0.0, self.most)
                return min(self.most, max(self.least, value))
        return self.most

    def said(self, kind: str) -> dict[str, Any]:
        """Return what is recorded of it."""
        if kind == COUNTER:
            return {"value": self.total, "count": self.count}
        if kind == GAUGE:
            return {"value": self.last, "count": self.count, "min": self.least, "max": self.most}
        data = {"value": self.total, "count": self.count, "min": self.least, "max": self.most}  # type: dict[str, Any]
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            data[name] = self.percentile(share)
        return data


_threads: dict[int, Figures] = {}
_written: dict[Key, int] = {}  # how many values had been taken in when it was written last
_due = 0
_writing = False
_refused = 0
_hooked = False


def add(scope: Scope | None, name: str, value: Any, kind: str, unit: str) -> None:
    """Take one value; write what is due. Raises nothing but for a mistake in *value*, *kind* or *scope*, which the caller counts."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    if scope is None:
        scope = _somewhere()
    mine = _threads.get(get_ident())
    figure = mine.get((scope.run, scope.stage, name, kind, unit)) if mine is not None else None
    if figure is None:
        figure = _new(scope, name, kind, unit)
        if figure is None:
            return
    now = _clock()
    figure.add(number, now, kind)
    if now >= _due:
        flush()


def _new(scope: Scope, name: Any, kind: Any, unit: Any) -> Figure | None:
    """Return the figure that this thread has under a name, made if need be; None when there are too many."""
    global _refused
    if kind not in KINDS:
        raise ValueError(kind)
    if not _hooked:
        _hook()
    mine = _threads.setdefault(get_ident(), {})
    key = (scope.run, scope.stage, records.safe_text(name)[:MAX_NAME], kind, records.safe_text(unit)[:MAX_NAME])
    figure = mine.get(key)
    if figure is None:
        if len(mine) >= MAX_FIGURES:
            _refused += 1
            return None
        figure = mine[key] = Figure()
    return figure


def flush() -> None:
    """Write what has changed since it was written. Never raises."""
    global _due, _writing
    if _writing:
        return
    _writing = True
    try:
        _due = _clock() + EVERY_NS
        merged = _merged()
        groups: dict[tuple[str, str], list[tuple[Key, Figure]]] = {}
        for key, figure in merged.items():
            if figure.count != _written.get(key):
                groups.setdefault(key[:2], []).append((key, figure))
        for (run, stage), figures in groups.items():
            for begin in range(0, len(figures), AT_ONCE):
                _write(Scope(run, stage), figures[begin : begin + AT_ONCE])
    except Exception:
        recorder.errors += 1
    finally:
        _writing = False


def end_of(run: str) -> dict[str, int]:
    """Write the last of *run* and forget it; return how many rows it has read and written in this process. Never raises."""
    rows: dict[str, int] = {}
    if not _threads:
        return rows
    flush()
    for key, figure in _merged().items():
        if key[0] == run and key[3] == COUNTER and key[2] in ("rows_read", "rows_written"):
            name = key[2][5:]
            rows[name] = rows.get(name, 0) + int(figure.total)
    for figures in list(_threads.values()):
        for key in [key for key in list(figures) if key[0] == run]:
            figures.pop(key, None)
            _written.pop(key, None)
    return rows


def _write(scope: Scope, figures: list[tuple[Key, Figure]]) -> None:
    told = []
    for key, figure in figures:
        one = {"name": key[2], "kind": key[3]}  # type: dict[str, Any]
        if key[4]:
            one["unit"] = key[4]
        one.update(figure.said(key[3]))
        told.append(one)
    data = {"stage": scope.stage, "figures": told}  # type: dict[str, Any]
    if _refused:
        data["refused"] = _refused
    if recorder.event(records.FIGURES, data, scope):
        for key, figure in figures:
            _written[key] = figure.count


def _merged() -> Figures:
    merged: Figures = {}
    for figures in _copied(_threads).values():
        for key, figure in _copied(figures).items():
            merged.setdefault(key, Figure()).merge(figure)
    return merged


def _copied(mapping: Any) -> Any:
    while True:
        try:
            return dict(mapping)
        except RuntimeError:  # it grew meanwhile, which PyPy minds
            continue


def _somewhere() -> Scope:
    """Return the scope of a process that has begun no run."""
    recorder.admit(time.time_ns(), records.CRITICAL, True)  # makes the implicit run
    if recorder.scope is None:
        raise ValueError("nowhere")
    return recorder.scope


def _hook() -> None:
    """Have what is left written: with the records of others, and at the end of the process."""
    global _hooked
    from . import attach, ending

    _hooked = True
    attach.install()
    ending.at_end.append(flush)
    before = recorder.also

    def also() -> None:
        if before is not None:
            before()
        if _threads and _clock() >= _due:
            flush()

    recorder.also = also
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """What was counted before the fork is the parent's to write."""
    global _due, _writing, _refused
    _threads.clear()
    _written.clear()
    _due = _refused = 0
    _writing = False
