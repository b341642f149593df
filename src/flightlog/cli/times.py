"""Times as people type them: 10m, `2h ago`, yesterday, 06:00, 2026-11-22, RFC 3339. Owns: that grammar; local zone unless it says another."""

from __future__ import annotations

import datetime
import re

from ..errors import UsageError

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|hours?|d|days?|w|weeks?)(?:\s+ago)?$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?$")


def parse(text: str, option: str, now: datetime.datetime | None = None) -> datetime.datetime:
    """Return the moment that *text* names, aware. Raises UsageError, naming *option*."""
    now = now or datetime.datetime.now().astimezone()
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("now", "today", "yesterday"):
        return {"now": now, "today": midnight, "yesterday": midnight - datetime.timedelta(1)}[word]
    span = _SPAN.match(word)
    if span:
        unit = span.group(2) if span.group(2) == "ms" else span.group(2)[0]
        return now - datetime.timedelta(seconds=float(span.group(1)) * _SECONDS[unit])
    clock = _CLOCK.match(word)
    try:
        if clock:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            return midnight.replace(hour=hour, minute=minute, second=second)
        found = datetime.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as problem:
        raise UsageError(
            f"{option} {text}: no such time", "10m, 2h ago, yesterday, 06:00, 2026-11-22, 2026-11-22T06:00:00Z"
        ) from problem
    return found if found.tzinfo else found.astimezone()
