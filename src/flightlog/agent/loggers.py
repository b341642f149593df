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
_MEMO_SIZE = 1000
_AFTER = re.compile(
    r"(?::(?P<basic>[A-Za-z_][\w.]{0,199}):"
    r"|[\])>]?\s{0,8}(?:[|:-]\s{1,8})?(?:(?P<dotted>[A-Za-z_$][\w$]*(?:\.[\w$]+)+)\s?(?::| -| \|)\s|\[(?P<boxed>[A-Za-z_][\w.]*)\]))"
)
_BEFORE = re.compile(r"\s(?P<name>\S{1,200}) - [\[(<]?\Z")
_NAME = re.compile(r"[A-Za-z_][\w.]{0,199}")
_NO_NAMES = frozenset(("UTC", "GMT", "Z", "AM", "PM", "am", "pm", "MainThread", "main"))
_JSON = ("logger", "logger_name", "log.logger", "loggerName", "@logger")
_known: dict[str, str] = {}  # what was found out about words; empty: that is no logger


def behind(text: str, begin: int, end: int) -> str | None:
    """Return the logger that stands behind a level, which is from *begin* to *end*; None when none does."""
    found = _AFTER.match(text, end, end + 2 * MAX_LENGTH)
    name = found and (found["dotted"] or found["boxed"] or (None if begin else found["basic"]))
    return name if name and len(name) <= MAX_LENGTH else None


def before(text: str, word: str, begin: int) -> str | None:
    """Return the logger that stands between the time and the level at *begin*; None when none does.

    Args:
        text: the line.
        word: what stands before the level, blanks and bars aside.
        begin: where the level begins.
    """
    if word == "-":  # asctime - name - level
        found = _BEFORE.search(text, max(0, begin - MAX_LENGTH), begin)
        word = found["name"] if found else ""
    name = _known.get(word)
    if name is None:
        if len(_known) > _MEMO_SIZE:
            _known.clear()
        plain = word[1:-1] if word[:1] in "[(" and word[-1:] in "])" else word
        name = _known[word] = plain if _NAME.fullmatch(plain) and plain not in _NO_NAMES else ""
    return name or None


def of_json(claims: dict[str, Any]) -> str | None:
    """Return the logger of a JSON line; None when it names none."""
    named = "levelname" in claims or ("hostname" in claims and "pid" in claims)  # else it may be anybody's
    for key in (*_JSON, "name") if named or "function" in claims else _JSON:
        name = claims.get(key)
        if isinstance(name, str) and 0 < len(name) <= MAX_LENGTH:
            return name
    return None
