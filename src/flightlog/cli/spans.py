"""Spans of time as people type them: 30s, 500ms, 2m, 1h30m, or seconds without a unit. Owns: that grammar."""

from __future__ import annotations

import re

from ..errors import UsageError

_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+|\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str, option: str) -> float:
    """Return the seconds that *text* names. Raises UsageError, naming *option*."""
    word = text.strip().lower()
    if not _SPAN.fullmatch(word):
        raise UsageError(f"{option} {text}: no such span of time", f"{option} 30s, 500ms, 2m, or 0")
    return sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(word))
