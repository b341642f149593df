"""Once a day the agent audits its own node: are the records that were stored since yesterday all there, once?

    HOME/self-check.json    when it was done last, and what came out; for `flightlog agent status`

Invariants: in parts of a bounded number of rows, between batches, so that shipping never waits for more than one of them; a check that fails is
given up until the next night, so that it never keeps anything from being shipped. Nothing here changes what is stored. Owns: when, the sums, and that file. Leaves counting to the store, telling people to `notice`.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, NamedTuple

from ..system import os, time
from .sink import Sink

PART = 200  # writers asked about at once, and the rows that may have to be read for them: some seconds
PART_ROWS = 2_000_000
FIRST = "00000000-0000-0000-0000-000000000000"
NAMED = 20  # writers that are told by name
FILE = "self-check.json"
_NOTHING: tuple[int, ...] = (0, 0, 0, 0, 0, 0)


class Result(NamedTuple):
    """What a check has found.

    Attributes:
        at: when it ended, seconds since 1970.
        since: the first day that was looked at, UTC.
        writers, records: how many were looked at.
        uncounted: of these, records of runs too large to be counted beside shipping: only sums and ledger were compared.
        missing, duplicates: records that are said to be stored and are not, or are there more than once.
        doubtful: writers whose account proves nothing.
        bad: some of the writers concerned, as "id: reason".
    """

    at: float
    since: str
    writers: int
    records: int
    uncounted: int
    missing: int
    duplicates: int
    doubtful: int
    bad: list[str]

    @property
    def good(self) -> bool:
        """Whether everything is accounted for."""
        return not (self.missing or self.duplicates or self.doubtful)

    def words(self) -> str:
        """Return the result for people."""
        seen = f"{self.records} records of {self.writers} writers since {self.since}"
        if self.uncounted:
            seen += f", {self.uncounted} of them not counted"
        if self.good:
            return f"self-check: {seen} are all there, once"
        counts = ((self.missing, "missing"), (self.duplicates, "doubled"), (self.doubtful, "writers unproven"))
        wrong = ", ".join(f"{count} {what}" for count, what in counts if count)
        return f"self-check: of {seen}: {wrong} (try: flightlog audit)"


class SelfCheck:
    """The checks of one home.

    Args:
        home: FLIGHTLOG_HOME.
        minutes: after local midnight, from when on a new day's check is due; None: never.
    """

    def __init__(self, home: str, minutes: int | None) -> None:
        self._path = os.path.join(home, FILE)
        self._minutes = minutes
        self._after = ""  # the writer up to which the check that goes on has come
        self._sums = _NOTHING
        self._bad: list[str] = []
        self._since = ""
        self.last = load(home)
        self._checked_at = (
            self.last.at if self.last is not None else time.time()
        )  # a new home waits for its first night

    def is_due(self) -> bool:
        """Tell whether there is something to do: a check goes on, or the hour has passed since the last one."""
        if self._minutes is None:
            return False
        return bool(self._after) or self._checked_at < _latest(self._minutes, time.time())

    def step(self, sink: Sink) -> Result | None:
        """Do one part; return the result with the last one. Raises SinkError: then the next check is that of the next night."""
        if not self._after:
            yesterday = datetime.datetime.fromtimestamp(time.time() - 86400, datetime.timezone.utc).date()
            self._since, self._sums, self._bad = yesterday.isoformat(), _NOTHING, []
        after, self._after = self._after or FIRST, ""
        self._checked_at = time.time()
        rows = sink.self_check(self._since, after, PART, PART_ROWS)
        for writer, records, counted, missing, duplicates, doubt in rows:
            more = (1, records, 0 if counted else records, missing, duplicates, int(bool(doubt)))
            self._sums = tuple(map(sum, zip(self._sums, more)))
            if (missing or duplicates or doubt) and len(self._bad) < NAMED:
                self._bad.append(f"{writer}: {doubt or f'{missing} missing, {duplicates} doubled'}")
        if rows:
            self._after = rows[-1][0]
            return None
        writers, all_records, uncounted, all_missing, doubled, doubtful = self._sums
        self.last = Result(
            self._checked_at, self._since, writers, all_records, uncounted, all_missing, doubled, doubtful, self._bad
        )
        self._save(self.last)
        return self.last

    def _save(self, result: Result) -> None:
        try:
            fd = os.open(self._path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, json.dumps(result._asdict()).encode())
            finally:
                os.close(fd)
            os.replace(self._path + ".new", self._path)
        except OSError:
            pass  # a full disk; the next agent checks once more


def load(home: str) -> Result | None:
    """Return the last result of this home; None when there is none, or it cannot be read."""
    try:
        fd = os.open(os.path.join(home, FILE), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data: dict[str, Any] = json.loads(os.read(fd, 1 << 16))
        finally:
            os.close(fd)
        return Result(**data)
    except (OSError, ValueError, TypeError):
        return None


def _latest(minutes: int, now: float) -> float:
    """Return when it was *minutes* after local midnight the last time."""
    local = datetime.datetime.fromtimestamp(now)
    begun = local.replace(hour=minutes // 60, minute=minutes % 60, second=0, microsecond=0)
    if begun > local:
        begun -= datetime.timedelta(days=1)
    return begun.timestamp()
