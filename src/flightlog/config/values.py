"""What one value of config.yml may be: each check returns the value as it is used, or raises ValueError with the reason, "is no ...".

Owns: types and bounds of single values. Leaves which key takes which to `keys`, how they are written to `written`, file and line to `settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from . import switch
from .quota import Amount
from .rollout import MAX_PATTERN

_SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SPANS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class WrongItem(ValueError):
    """One item of a list is wrong."""

    def __init__(self, index: int, item: Any, reason: str) -> None:
        super().__init__(reason)
        self.index, self.item = index, item


def list_of(check: Callable[[str], object], most: int) -> Callable[[Any], tuple[str, ...]]:
    """Check a list of at most *most* texts, each by *check*. Raises WrongItem for the first that is wrong."""

    def check_all(value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise ValueError("is no list")
        if len(value) > most:
            raise ValueError(f"has more than {most} items")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise WrongItem(index, item, "is no text")
            try:
                check(item)
            except ValueError as problem:
                raise WrongItem(index, item, str(problem)) from problem
        return tuple(value)

    return check_all


def name(text: str) -> None:
    """Check the name of a secret."""
    from .. import redact

    bare = redact.folded(text)
    if not 3 <= len(bare) <= 64:
        raise ValueError("is not between 3 and 64 characters long, separators not counted")
    if not text.isascii() or not bare.isalnum():
        raise ValueError("is no name: letters, digits, - _ . only")


def pattern(text: str) -> None:
    """Check a regular expression for secrets."""
    from .patterns import literal_of

    literal_of(text)


def truth(value: Any) -> bool:
    """Check true or false, in the spellings that the kill switch obeys."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in switch.TRUE or word in switch.FALSE:
        return word in switch.TRUE
    raise ValueError("is neither true nor false")


def text(value: Any) -> str:
    """Check a text; nothing is an empty one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise ValueError("is no text")


def one_of(*words: str) -> Callable[[Any], str]:
    """Check that it is one of *words*."""

    def check(value: Any) -> str:
        if value in words:
            return str(value)
        raise ValueError(f"is none of {', '.join(words)}")

    return check


def spool_path(value: Any) -> str:
    """Check the path of a shared spool."""
    path = text(value).rstrip("/")
    if path and not (path.startswith("/") and path.endswith("/spool")):
        raise ValueError("is no absolute path that ends in /spool")
    return path


def level(value: Any) -> str:
    """Check the name of a level, in any case of letters."""
    word = text(value).upper()
    if word and word not in _LEVELS:
        raise ValueError(f"is none of {', '.join(_LEVELS)}")
    return word


def directory(value: Any) -> str:
    """Check an absolute path; `~` is a home."""
    path = os.path.expanduser(text(value))
    if path and (not os.path.isabs(path) or "\0" in path):
        raise ValueError("is no absolute path")
    return os.path.normpath(path) if path else ""


def glob(text: str) -> None:
    """Check a pattern for names of pipelines."""
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"is longer than {MAX_PATTERN} characters")


def percent(value: Any) -> float:
    """Check a percentage, with or without its sign."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%?\s*", str(value))
    if found is None or isinstance(value, bool):
        raise ValueError("is not a percentage such as 25 or 12.5%")
    return _bounded(float(found.group(1)), 0, 100)


def number(low: int, high: int) -> Callable[[Any], int]:
    """Check a whole number."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("is no whole number")
        return int(_bounded(value, low, high))

    return check


def size(low: int, high: int) -> Callable[[Any], int]:
    """Check bytes, with a unit or without."""

    def check(value: Any) -> int:
        return int(_bounded(_measured(value, _SIZES, "a size such as 8MiB"), low, high))

    return check


def amount(low: int, high: int) -> Callable[[Any], Amount]:
    """Check a size, or a share of the file system such as 10%."""

    def check(value: Any) -> Amount:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(value))
        if found is not None:
            return Amount(0, _bounded(float(found.group(1)), 0, 100) / 100)
        given = _measured(value, _SIZES, "a size such as 2GB, or a share such as 10%")
        return Amount(int(_bounded(given, low, high)), 0.0)

    return check


def hour(value: Any) -> int | None:
    """Check a time of day, or `never`; returns minutes after midnight."""
    if value is False or str(value).strip().lower() in ("never", "no", "off", "false"):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return value  # YAML 1.1 reads 3:00 as a number to the base of 60
    found = re.fullmatch(r"\s*(\d{1,2}):(\d\d)\s*", str(value))
    if found is None or int(found.group(1)) > 23 or int(found.group(2)) > 59:
        raise ValueError("is neither a time of day such as 03:00 nor never")
    return int(found.group(1)) * 60 + int(found.group(2))


def on_full(value: Any) -> float:
    """Check what a logging call does when the spool is full; returns for how many seconds it may wait for room."""
    word = str(value).strip().lower()
    if word == "shed":
        return 0.0
    found = re.fullmatch(r"block(?:\((.*)\))?", word)
    if found is None:
        raise ValueError("is neither shed nor block(5s)")
    return span(0.01, 600)(found.group(1) or "5s")


def span(low: float, high: float) -> Callable[[Any], float]:
    """Check a duration; returns seconds."""

    def check(value: Any) -> float:
        return _bounded(_measured(value, _SPANS, "a duration such as 500ms, 10m"), low, high)

    return check


def span_or_never(low: float, high: float) -> Callable[[Any], float]:
    """Check a duration, or 0 or `never` for none; returns seconds."""
    inner = span(low, high)

    def check(value: Any) -> float:
        never = value is False or str(value).strip().lower() in ("0", "0s", "never", "off", "no", "false")
        return 0.0 if never else inner(value)

    return check


def _measured(value: Any, units: dict[str, Any], wanted: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if found is None or isinstance(value, bool):
        raise ValueError(f"is not {wanted}")
    if found.group(2).lower() not in units:
        raise ValueError(f"is not {wanted}: the units are {', '.join(unit for unit in units if unit)}")
    return float(found.group(1)) * float(units[found.group(2).lower()])


def _bounded(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"is not between {_plainly(low)} and {_plainly(high)}")
    return value


def _plainly(value: float) -> str:
    """Return a bound in digits."""
    return str(int(value)) if value == int(value) else f"{value:g}"
