"""Counting what is dropped, and the two records that say so.

`drops` has the totals of a writer by "<level>/<reason>", for the audit; it comes with the next record that is accepted. The notice is a log line
for people, about one in five seconds and one at the end: how many, at which levels, why, and between when and when.
Invariants: totals only grow, and are exact under threads and signal handlers, without a lock: a count is an `itertools.count`, whose next step is
one operation, where `x = x + 1` would lose some. What is dropped while the others are being declared stays owed.
Owns: counts and words. Leaves writing to `writer`.
"""

from __future__ import annotations

import itertools
import os
import time

from .. import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_SECONDS, TELL_EVERY_SECONDS = 1.0, 5.0
PRESSURE, UNWRITABLE, FAILED = "pressure", "unwritable", "failed"
LOGGER = "flightlog.drops"


class Drops:
    """The account of one writer.

    Attributes:
        owed: there are drops that no record has declared yet.
        highest: the highest pressure since the last notice.
    """

    __slots__ = ("_counters", "_first_ns", "_last_ns", "_said", "_tell_at", "_telling", "_told", "highest", "owed")

    def __init__(self) -> None:
        self._counters: dict[str, itertools.count[int]] = {}
        self._said: dict[str, int] = {}  # the totals of the newest `record`
        self.owed = False
        self.highest = 0
        self._told: dict[str, int] = {}  # what notices have said
        self._telling: dict[str, int] = {}  # and will have, when the newest is written
        self._first_ns = self._last_ns = 0  # of what they have not
        self._tell_at = 0.0  # monotonic

    @property
    def totals(self) -> dict[str, int]:
        """How many since the writer's first record, by "<level>/<reason>"."""
        # What comes next can be seen without taking it only in the text: "count(8)".
        found = {key: int(repr(counter)[6:-1]) - 1 for key, counter in list(self._counters.items())}
        return {key: count for key, count in found.items() if count}

    def count(self, level: int, reason: str, pressure: int = 0) -> int:
        """Count one record; return how many there are of this level and reason now."""
        key = "%d/%s" % (level, reason)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters.setdefault(key, itertools.count(1))
        number = next(counter)
        self._last_ns = time.time_ns()
        if not self._first_ns:
            self._first_ns = self._last_ns
            self._tell_at = max(self._tell_at, time.monotonic() + FIRST_SECONDS)
        if pressure > self.highest:
            self.highest = pressure
        self.owed = True
        return number

    @property
    def untold(self) -> bool:
        """Whether there are drops that no notice has told."""
        return bool(self._first_ns)

    def overdue(self) -> bool:
        """Tell whether a notice is due, although no record comes that could bring one: the process may be killed at any time."""
        return bool(self._first_ns) and time.monotonic() >= self._tell_at

    def record(self) -> dict[str, Any]:
        """Return the record of the totals."""
        self._said = self.totals
        return {"k": "drops", "t": time.time_ns(), "dropped": self._said}

    def notice(self, run: object, last: bool = False) -> dict[str, Any] | None:
        """Return the line for people, when one is due; *last*: whatever the time is."""
        if not self._first_ns or not (last or time.monotonic() >= self._tell_at):
            return None
        self._telling = self.totals
        new = {key: count - self._told.get(key, 0) for key, count in self._telling.items()}
        new = {key: count for key, count in new.items() if count > 0}
        return {
            "k": "log",
            "t": time.time_ns(),
            "lv": records.WARNING,
            "lg": LOGGER,
            "m": words(new, self.highest, self._first_ns, self._last_ns),
            "r": run if isinstance(run, str) else "",
            "src": "flightlog",
            "x": {"dropped": new, "pressure": self.highest, "pid": os.getpid()},
        }

    def declared(self, told: bool, totals: dict[str, int] | None = None) -> None:
        """The record was written, or *totals* by a header; *told*: the notice as well."""
        if totals is not None:
            self._said = totals
        self.owed = False  # in this order: who counts meanwhile says so himself
        if self.totals != self._said:
            self.owed = True
        if told:
            self._told = self._telling
            self._first_ns = self._last_ns = self.highest = 0
            self._tell_at = time.monotonic() + TELL_EVERY_SECONDS


def words(counts: dict[str, int], pressure: int, first_ns: int, last_ns: int) -> str:
    """Return: 4120 records were dropped (pressure 2: DEBUG 120, INFO 4000) between 16:40:00 and 16:40:05 UTC."""
    parts = []
    for reason in (PRESSURE, UNWRITABLE, FAILED):
        levels: dict[str, int] = {}
        for key in sorted(counts, key=_level):
            if key.endswith("/" + reason):
                name = records.level_name(_level(key))
                levels[name] = levels.get(name, 0) + counts[key]
        if levels and reason == FAILED:
            parts.append("%d could not be made" % sum(levels.values()))  # of which level is not known
        elif levels:
            shown = ", ".join(["%s %d" % item for item in levels.items()])
            parts.append("%s: %s" % (_reason(reason, pressure), shown))
    total = sum(counts.values())
    what = "1 record was dropped" if total == 1 else "%d records were dropped" % total
    first, last = _moment(first_ns), _moment(last_ns)
    when = "at %s UTC" % first if first == last else "between %s and %s UTC" % (first, last)
    return "%s (%s) %s" % (what, "; ".join(parts), when)


def _reason(reason: str, pressure: int) -> str:
    if reason == UNWRITABLE:
        return "the spool could not be written"
    return "the spool was full" if pressure > 3 else "pressure %d" % pressure


def _level(key: str) -> int:
    number = key.partition("/")[0]
    return int(number) if number.lstrip("-").isdigit() else 0


def _moment(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ns // 1_000_000_000))
