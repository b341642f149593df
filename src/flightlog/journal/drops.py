"""How many records a writer had to drop, by "LEVEL/reason": counted without a lock, exact under threads and signal handlers.

Owns: the counts. A count is an `itertools.count`, whose next step is one operation; `x = x + 1` would lose some. Leaves declaring them to `journal.writer`.
"""

from __future__ import annotations

import itertools


class Drops:
    """Counts by key. `add` may be called from anywhere at any time."""

    __slots__ = ("_counters",)

    def __init__(self) -> None:
        self._counters: dict[str, itertools.count[int]] = {}

    def add(self, key: str) -> int:
        """Count one; return how many there are of this key now."""
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters.setdefault(key, itertools.count(1))
        return next(counter)

    def counts(self) -> dict[str, int]:
        """Return all counts that are not zero."""
        # What comes next can be seen without taking it only in the text: "count(8)".
        found = {key: int(repr(counter)[6:-1]) - 1 for key, counter in list(self._counters.items())}
        return {key: count for key, count in found.items() if count}
