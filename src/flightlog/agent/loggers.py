"""The logger that a captured line names, in the forms of Python's `logging`, of logback and the like, and of JSON loggers.

    WARNING:etl.load:slow                          logging.basicConfig
    2026-11-28 10:00:00,123 etl.load WARNING slow  "%(asctime)s %(name)s %(levelname)s %(message)s", also with - or | between
    10:00:00.123 [main] INFO  com.acme.Job - up    logback; a bare word is taken between the time and the level only

Any doubt means none: a word of the message is no logger. Pure. Owns: this. Leaves levels to `lines`.
"""

from __future__ import annotations

import re
from typing import Any

MAX_LENGTH = 200
_AFTER = re.compile(
    r"(?::(?P<basic>[A-Za-z_][\w.]{0,199}):"
    r"|[\])>]?\s{0,8}(?:[|:-]\s{1,8})?(?:(?P<dotted>[A-Za-z_$][\w$]*(?:\.[\w$]+)+)\s?(?::| -| \|)\s|\[(?P<boxed>[A-Za-z_][\w.]*)\]))"
)
_BEFORE = re.compile(r"(?P<name>[A-Za-z_][\w.]{0,199})[\])]?[\s|:-]{1,8}[\[(<]?\s?\Z")
_NO_NAMES = frozenset(("UTC", "GMT", "Z", "AM", "PM", "am", "pm", "MainThread", "main"))
_JSON = ("logger", "logger_name", "log.logger", "loggerName", "@logger")


def of_text(text: str, begin: int, end: int) -> str | None:
    """Return the logger of a line whose level stands from *begin* to *end*; None when it names none."""
    found = _AFTER.match(text, end, end + 2 * MAX_LENGTH)
    if found:
        name = found["dotted"] or found["boxed"]
        if name is None and begin == 0:
            name = found["basic"]
        if name:
            return name if len(name) <= MAX_LENGTH else None
    if begin and text[0] in "0123456789[(":
        before = _BEFORE.search(text, max(0, begin - MAX_LENGTH), begin)
        if before and before["name"] not in _NO_NAMES and before.start() and text[before.start() - 1] in " |[(":
            return before["name"]
    return None


def of_json(claims: dict[str, Any]) -> str | None:
    """Return the logger of a JSON line; None when it names none."""
    named = "levelname" in claims or ("hostname" in claims and "pid" in claims)  # else it may be anybody's
    for key in (*_JSON, "name") if named or "function" in claims else _JSON:
        name = claims.get(key)
        if isinstance(name, str) and 0 < len(name) <= MAX_LENGTH:
            return name
    return None
