"""Times as people type them: 10m, `2h ago`, yesterday, `yesterday 06:00`, 06:00, 2026-11-22, RFC 3339.

Owns: that grammar; local zone unless it says another.
"""

from __future__ import annotations

import datetime
import re

from ..errors import UsageError

_SPAN = re.compile(r"((?:\d+(?:\.\d+)?\s*(?:ms|s|sec|m|min|h|hours?|d|days?|w|weeks?)\s*)+)(?:ago)?$")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CLOCK = re.compile(r"(?:(today|yesterday)\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?$")
_DAYS_AGO = {"today": 0, "yesterday": 1}
EXAMPLES = "10m, 2h ago, yesterday, 06:00, 2026-11-22, 2026-11-22T06:00:00Z"


def parse(text: str, option: str, now: datetime.datetime | None = None) -> datetime.datetime:
    """Return the moment that *text* names, aware. Raises UsageError, naming *option*."""
    now = now or datetime.datetime.now().astimezone()
    word = text.strip().lower()
    try:
        return _moment(word, text.strip(), now)
    except (ValueError, OverflowError) as problem:
        raise UsageError(f"{option} {text}: no such time", EXAMPLES) from problem


def _moment(word: str, text: str, now: datetime.datetime) -> datetime.datetime:
    if word == "now":
        return now
    if word in _DAYS_AGO:
        return _local(now, _DAYS_AGO[word], datetime.time())
    clock = _CLOCK.match(word)
    if clock:
        hour, minute, second = (int(part or 0) for part in clock.groups()[1:])
        return _local(now, _DAYS_AGO[clock[1] or "today"], datetime.time(hour, minute, second))
    if _SPAN.match(word):
        parts = _PART.findall(word)
        return now - datetime.timedelta(seconds=sum(float(count) * _SECONDS[unit] for count, unit in parts))
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.astimezone()


def _local(now: datetime.datetime, days_ago: int, at: datetime.time) -> datetime.datetime:
    """Return that time of that day by the clock on the wall, also where the clock was changed in between."""
    day = now.date() - datetime.timedelta(days_ago)
    return datetime.datetime.combine(day, at).astimezone()
