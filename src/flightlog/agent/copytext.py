"""PostgreSQL's text format for COPY: escaping, and times.

Invariants: a field never holds a raw tab or line end; a time that cannot be believed becomes the time of shipping, and what was claimed is kept.
Format: PostgreSQL documentation, COPY, "Text Format". Owns nothing else; which columns there are is for `rows` to say.
"""

from __future__ import annotations

import msgspec

from ..system import time
from .decode import raw_text

SECONDS_OF_DAY = 86400
OLDEST_SECONDS = 30 * SECONDS_OF_DAY  # what claims to be older is not believed
AHEAD_SECONDS = SECONDS_OF_DAY  # nor what claims to be further ahead
NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\\\x00"})
_BLANKS = str.maketrans("\n\r\t", "   ")
_MEMO_SIZE = 8192


def escape(text: str | None) -> str:
    r"""Return *text* as one COPY field; None as \N."""
    if text is None:
        return NULL
    # Searches for one character take a quarter of the time of a regular expression or of isprintable().
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text or "\0" in text:
        return text.translate(_ESCAPES)
    return text


def escape_json(raw: msgspec.Raw) -> str:
    """Return JSON text as one COPY field. Raises PoisonRecord.

    Its control characters can only stand between tokens, where they mean nothing: the decoder refuses them anywhere else.
    """
    text = raw_text(raw)
    if "\n" in text or "\r" in text or "\t" in text:
        text = text.translate(_BLANKS)
    return text.replace("\\", "\\\\")


class DayMissing(Exception):
    """A row belongs to a day that has no partition yet; `day` counts from 1970-01-01."""

    def __init__(self, day: int) -> None:
        super().__init__(day)
        self.day = day


class Clock:
    """Times as COPY text, and which are believed.

    Args:
        days: the days there are partitions for; shared, may grow.

    Attributes:
        believed: text of the seconds met since the last `refresh`, up to the point before the fraction.
    """

    def __init__(self, days: set[int]) -> None:
        self.days = days
        self.believed: dict[int, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look at the clock again: before each batch."""
        self.now_ns = time.time_ns()
        now = self.now_ns // 1_000_000_000
        self._low, self._high = now - OLDEST_SECONDS, now + AHEAD_SECONDS
        self.believed.clear()

    def text(self, ns: int) -> tuple[str, str]:
        """Return (ts, ts_claimed) of nanoseconds since the epoch. Raises DayMissing."""
        second = ns // 1_000_000_000
        prefix = self.believed.get(second)
        if prefix is None:
            if not self._low <= second <= self._high:
                claimed = _plain(ns)
                return self.text(self.now_ns)[0], claimed
            prefix = self._prefix(second)
        return f"{prefix}{ns // 1000 % 1_000_000:06d}+00", NULL

    def _prefix(self, second: int) -> str:
        day = second // SECONDS_OF_DAY
        if day not in self.days:
            raise DayMissing(day)
        prefix = time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(second))
        if len(self.believed) > _MEMO_SIZE:
            self.believed.clear()
        self.believed[second] = prefix
        return prefix


def _plain(ns: int) -> str:
    """Return a time nobody believes, where PostgreSQL can hold it."""
    try:
        moment = time.gmtime(ns // 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        return NULL
    if not 1 <= moment.tm_year <= 9999:
        return NULL
    return f"{moment.tm_year:04d}{time.strftime('-%m-%d %H:%M:%S', moment)}.{ns // 1000 % 1_000_000:06d}+00"
