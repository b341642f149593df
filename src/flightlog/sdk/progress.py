"""Counting what is done, exactly and for next to nothing, and knowing when it is time to tell.

Invariants: no lock, no thread; counts of several threads add up; told at most twice a second, by the clock and never by the pipeline. The clock is not
read for each item: while items are fast, once in 32; after one that took long, at the next. So what is told may be 31 items late, until the end.
Owns: counts. Leaves records to `stage`.
"""

from __future__ import annotations

import time
from _thread import get_ident
from math import isfinite
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, TypeVar

    T = TypeVar("T")

EVERY_NS = 500_000_000  # between two records of progress
SLOW_NS = 20_000_000  # items of which a few take longer than this are looked at one by one
MOST_STEP = 32
LARGEST = 1 << 63
_clock = time.monotonic_ns


def finite(value: object) -> int | float | None:
    """Return *value* if it is a finite real number (what has an index counts as one), else None: records and sums are made of nothing else. Never raises."""
    try:
        if isinstance(value, float):
            return float(value) if isfinite(value) else None
        whole = index(value)  # type: ignore[arg-type]
        return whole if -LARGEST < whole < LARGEST else None
    except Exception:
        return None


class Count:
    """A number that several threads add to: each has a part of its own, so that none waits and none is lost."""

    __slots__ = ("_base", "_cells", "_looked_at", "_skip", "_step", "_threads", "told_at")

    def __init__(self) -> None:
        self._base: int | float = 0
        self._threads: dict[int, int | float] = {}
        self._cells: dict[int, list[int]] = {}  # of loops that go on
        self.told_at = 0  # by time.monotonic_ns
        self._skip = self._step = 1  # calls until the clock is read; a race between threads costs nothing but a look
        self._looked_at = 0

    def value(self) -> int | float:
        """Return what was counted so far."""
        return self._base + self._counted()

    def add(self, count: int | float = 1) -> None:
        """Count *count* more."""
        me = get_ident()
        self._threads[me] = self._threads.get(me, 0) + count

    def put(self, value: int | float) -> None:
        """Let the count be *value* from here on."""
        self._base = value - self._counted()

    def due(self) -> int:
        """Return the time, by time.monotonic_ns, when what was counted is to be told; else 0. Reads the clock now and then only, as `track` does."""
        self._skip -= 1
        if self._skip > 0:
            return 0
        now = _clock()
        step = 1 if now - self._looked_at > SLOW_NS else min(MOST_STEP, self._step * 2)
        self._skip = self._step = step
        self._looked_at = now
        return now if now - self.told_at >= EVERY_NS else 0

    def track(self, items: Iterable[T], due: Callable[[int], None]) -> Iterator[T]:
        """Yield *items*, counting each when the next is asked for; *due* is called with the time when it is time to tell, and must not raise."""
        cell = [0]
        self._cells[id(cell)] = cell
        n = looked_at = 0
        look_at = step = 1
        try:
            for item in items:
                yield item
                n += 1
                cell[0] = n
                if n >= look_at:
                    now = _clock()
                    step = 1 if now - looked_at > SLOW_NS else min(MOST_STEP, step * 2)
                    looked_at, look_at = now, n + step
                    if now - self.told_at >= EVERY_NS:
                        due(now)
        finally:
            del self._cells[id(cell)]
            self.add(n)

    def _counted(self) -> int | float:
        while True:
            try:
                return sum(list(self._threads.values())) + sum([cell[0] for cell in list(self._cells.values())])
            except RuntimeError:  # it grew meanwhile, which PyPy minds
                continue
