"""Counting what is dropped, and the two records that say so.

`drops` has the totals of a writer by "<level>/<reason>", for the audit; it comes with the next record that is accepted. The notice is a log line
for people, about one in five seconds and one at the end: how many, at which levels, why, and between when and when.
Invariants: totals only grow; counting takes no lock (a race between threads may at worst count one drop too few, never one too many).
Owns: counts and words. Leaves writing to `writer`.
"""

from __future__ import annotations

import os
import time

from .. import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_SECONDS, TELL_EVERY_SECONDS = 1.0, 5.0
PRESSURE, UNWRITABLE = "pressure", "unwritable"
LOGGER = "flightlog.drops"


class Drops:
    """The account of one writer.

    Attributes:
        totals: since its first record, by "<level>/<reason>".
        owed: there are drops that no record has declared yet.
        highest: the highest pressure since the last notice.
    """

    __slots__ = ("_first_ns", "_last_ns", "_tell_at", "_told", "highest", "owed", "totals")

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.owed = False
        self.highest = 0
        self._told: dict[str, int] = {}  # what notices have said
        self._first_ns = self._last_ns = 0  # of what they have not
        self._tell_at = 0.0  # monotonic

    def count(self, level: int, reason: str, pressure: int = 0) -> None:
        """Count one record."""
        key = "%d/%s" % (level, reason)
        self.totals[key] = self.totals.get(key, 0) + 1
        self._last_ns = time.time_ns()
        if not self._first_ns:
            self._first_ns = self._last_ns
            self._tell_at = max(self._tell_at, time.monotonic() + FIRST_SECONDS)
        if pressure > self.highest:
            self.highest = pressure
        self.owed = True

    @property
    def untold(self) -> bool:
        """Whether there are drops that no notice has told."""
        return bool(self._first_ns)

    def overdue(self) -> bool:
        """Tell whether a notice is due, although no record comes that could bring one: the process may be killed at any time."""
        return bool(self._first_ns) and time.monotonic() >= self._tell_at

    def record(self) -> dict[str, Any]:
        """Return the record of the totals."""
        return {"k": "drops", "t": time.time_ns(), "dropped": dict(self.totals)}

    def notice(self, run: object, last: bool = False) -> dict[str, Any] | None:
        """Return the line for people, when one is due; *last*: whatever the time is."""
        if not self._first_ns or not (last or time.monotonic() >= self._tell_at):
            return None
        new = {key: count - self._told.get(key, 0) for key, count in self.totals.items()}
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

    def declared(self, told: bool) -> None:
        """The record was written; *told*: the notice as well."""
        self.owed = False
        if told:
            self._told = dict(self.totals)
            self._first_ns = self._last_ns = self.highest = 0
            self._tell_at = time.monotonic() + TELL_EVERY_SECONDS


def words(counts: dict[str, int], pressure: int, first_ns: int, last_ns: int) -> str:
    """Return: 4120 records were dropped (pressure 2: DEBUG 120, INFO 4000) between 16:40:00 and 16:40:05 UTC."""
    parts = []
    for reason in (PRESSURE, UNWRITABLE):
        levels: dict[str, int] = {}
        for key in sorted(counts, key=_level):
            if key.endswith("/" + reason):
                name = records.level_name(_level(key))
                levels[name] = levels.get(name, 0) + counts[key]
        if levels:
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
