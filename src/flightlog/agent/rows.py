"""COPY lines in PostgreSQL's text format; the columns and their order are ADR 0008's, held together by a test.

Invariants: one line per record, whatever is in it; a time that cannot be believed becomes the time of shipping, and what was claimed is kept.
Owns: escaping, times, levels. Format: PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

import re
import time

from .. import records
from .decode import Frame

LOG_COLUMNS = [
    "run_id",
    "ts",
    "pos",
    "seq",
    "writer_id",
    "levelno",
    "level",
    "logger",
    "message",
    "stage",
    "source",
    "pid",
    "thread",
    "file",
    "line",
    "func",
    "fields",
    "exception",
    "node",
    "ts_claimed",
    "flags",
]
EVENT_COLUMNS = ["run_id", "ts", "pos", "seq", "writer_id", "node", "event", "stage", "data"]
TRUNCATED, PARTIAL_LINE, REDACTED, AFTER_END = 1, 2, 4, 8
SECONDS_OF_DAY = 86400
OLDEST_SECONDS = 30 * SECONDS_OF_DAY  # what claims to be older is not believed
AHEAD_SECONDS = SECONDS_OF_DAY  # nor what claims to be further ahead
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\\\x00"})
_special = re.compile(r"[\\\n\r\t\0]").search
_MEMO_SIZE = 8192


def escape(text: str | None) -> str:
    r"""Return *text* as one COPY field; None as \N."""
    if text is None:
        return "\\N"
    return text if _special(text) is None else text.translate(_ESCAPES)


class DayMissing(Exception):
    """A row belongs to a day that has no partition yet; `day` counts from 1970-01-01."""

    def __init__(self, day: int) -> None:
        super().__init__(day)
        self.day = day


class Clock:
    """Times as COPY text, and which are believed.

    Args:
        days: the days there are partitions for; shared, may grow.
    """

    def __init__(self, days: set[int]) -> None:
        self.days = days
        self.refresh()

    def refresh(self) -> None:
        """Look at the clock again: before each batch."""
        self.now_ns = time.time_ns()
        now = self.now_ns // 1_000_000_000
        self._low, self._high = now - OLDEST_SECONDS, now + AHEAD_SECONDS
        self._prefixes: dict[int, str] = {}

    def text(self, ns: int) -> tuple[str, str]:
        """Return (ts, ts_claimed) of nanoseconds since the epoch. Raises DayMissing."""
        second = ns // 1_000_000_000
        prefix = self._prefixes.get(second)
        if prefix is None:
            if not self._low <= second <= self._high:
                claimed = _plain(ns)
                return self.text(self.now_ns)[0], claimed
            prefix = self._prefix(second)
        return f"{prefix}.{ns // 1000 % 1_000_000:06d}+00", "\\N"

    def _prefix(self, second: int) -> str:
        day = second // SECONDS_OF_DAY
        if day not in self.days:
            raise DayMissing(day)
        prefix = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        if len(self._prefixes) > _MEMO_SIZE:
            self._prefixes.clear()
        self._prefixes[second] = prefix
        return prefix


def _plain(ns: int) -> str:
    """Return a time nobody believes, where PostgreSQL can hold it."""
    try:
        moment = time.gmtime(ns // 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        return "\\N"
    if not 1 <= moment.tm_year <= 9999:
        return "\\N"
    return f"{moment.tm_year:04d}{time.strftime('-%m-%d %H:%M:%S', moment)}.{ns // 1000 % 1_000_000:06d}+00"


class LogRows:
    """Makes log lines for one writer; keeps what is the same in most of its records.

    Args:
        writer: 32 hexadecimal digits.
        node: name of this node.
        pid: of the writing process, 0 when unknown.
        clock: shared by all writers of a batch.
    """

    def __init__(self, writer: str, node: str, pid: int, clock: Clock) -> None:
        self._writer = writer
        self._pid = str(pid) if 0 < pid < 2**31 else "\\N"
        self._node = escape(node)
        self._clock = clock
        self._levels: dict[int, str] = {}
        self._words: dict[str | None, str] = {None: "\\N"}
        self._places: dict[tuple[str | None, int | None, str | None], str] = {}

    def line(self, frame: Frame, run: str, pos: int, seq: int) -> str:
        """Return one record as a COPY line. Raises DayMissing, UnicodeDecodeError."""
        ts, claimed = self._clock.text(frame.t)
        level = self._levels.get(frame.lv) or self._level(frame.lv)
        words = self._words
        logger = words.get(frame.lg) or self._word(frame.lg)
        thread = words.get(frame.th) or self._word(frame.th)
        stage = words.get(frame.s) or self._word(frame.s)
        source = words.get(frame.src) or self._word(frame.src)
        key = (frame.f, frame.ln, frame.fn)
        place = self._places.get(key) or self._place(key)
        message = frame.m
        if _special(message) is not None:
            message = message.translate(_ESCAPES)
        fields = str(memoryview(frame.x), "utf-8").replace("\\", "\\\\") or "\\N"
        error = str(memoryview(frame.e), "utf-8").replace("\\", "\\\\") or "\\N"
        return (
            f"{run}\t{ts}\t{pos}\t{seq}\t{self._writer}\t{level}\t{logger}\t{message}\t{stage}\t{source}\t{self._pid}\t{thread}\t"
            f"{place}\t{fields}\t{error}\t{self._node}\t{claimed}\t{'1' if frame.tr else '0'}\n"
        )

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
    ) -> str:
        """Return one captured line as a COPY line; *fields* is JSON text. Raises DayMissing."""
        ts, claimed = self._clock.text(ns)
        return (
            f"{run}\t{ts}\t{pos}\t{seq}\t{self._writer}\t{self._levels.get(level) or self._level(level)}\t\\N\t{escape(message)}\t\\N\t"
            f"{source}\t{self._pid}\t\\N\t\\N\t\\N\t\\N\t{escape(fields)}\t\\N\t{self._node}\t{claimed}\t{flags}\n"
        )

    def event(self, run: str, ns: int, pos: int, seq: int, name: str, stage: str | None, data: str) -> str:
        """Return an event as a COPY line; *data* is JSON text. Raises DayMissing."""
        ts = self._clock.text(ns)[0]
        return f"{run}\t{ts}\t{pos}\t{seq}\t{self._writer}\t{self._node}\t{escape(name)}\t{escape(stage)}\t{escape(data)}\n"

    def _level(self, number: int) -> str:
        text = f"{max(-32768, min(32767, number))}\t{records.level_name(number)}"
        if len(self._levels) < _MEMO_SIZE:
            self._levels[number] = text
        return text

    def _word(self, word: str | None) -> str:
        text = escape(word)
        if len(self._words) > _MEMO_SIZE:
            self._words = {None: "\\N"}
        self._words[word] = text
        return text

    def _place(self, key: tuple[str | None, int | None, str | None]) -> str:
        line = "\\N" if key[1] is None or not -(2**31) <= key[1] < 2**31 else str(key[1])
        text = f"{escape(key[0])}\t{line}\t{escape(key[2])}"
        if len(self._places) > _MEMO_SIZE:
            self._places = {}
        self._places[key] = text
        return text
