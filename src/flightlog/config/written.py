"""How values of config.yml are written, and how their types and bounds are said: the counterpart of `values`.

Invariants: what `Kind.write` makes of a value, its check takes back as that value. Owns: these words, for `config show`, `config explain` and the
reference page alike. Leaves which key is of which kind to `keys`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import values
from .quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount

EMPTY, NONE = "empty", "none"
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DECIMAL = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
SIZE_UNITS = "bytes; B, kB, MB, GB, KiB, MiB, GiB, TiB"
SPAN_UNITS = "seconds; ms, s, m, h, d"


@dataclass(frozen=True)
class Kind:
    """What a key takes.

    Attributes:
        check: returns a value as it is used, or raises ValueError with the reason.
        name: the type in words.
        write: returns a value as one would write it.
        unit: of a bare number, and the units there are; empty where there is none.
        bounds: in words; empty where there are none.
    """

    check: Callable[[Any], Any]
    name: str
    write: Callable[[Any], str]
    unit: str = ""
    bounds: str = ""


def _word(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value) if value != "" else EMPTY


def _items(value: tuple[str, ...]) -> str:
    return "[" + ", ".join("'" + one.replace("'", "''") + "'" for one in value) + "]" if value else NONE


def _percent(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _span(value: float) -> str:
    for unit, name in _SPANS:
        if value >= unit and value % unit == 0:
            return f"{int(value / unit)}{name}"
    return "0s" if not value else f"{round(value * 1000, 6):g}ms"


def _size(value: int) -> str:
    for unit, name in _BINARY + _DECIMAL:
        if value and value % unit == 0:
            return f"{value // unit}{name}"
    return str(value)


def _amount(value: Amount) -> str:
    if value == DEFAULT_QUOTA:
        return "the smaller of 2GB and 10%"
    if value == DEFAULT_KEEP_FREE:
        return "the larger of 1GB and 5%, at most a quarter"
    return f"{_percent(value.share * 100)}%" if value.share else _decimal(value.bytes)


def _decimal(value: int) -> str:
    for unit, name in _DECIMAL:
        if value and value % unit == 0:
            return f"{value // unit}{name}"
    return _size(value)


def _hour(value: int | None) -> str:
    return "never" if value is None else f"{value // 60:02d}:{value % 60:02d}"


def _on_full(value: float) -> str:
    return f"block({_span(value)})" if value else "shed"


TRUTH = Kind(values.truth, "true or false", _word)
TEXT = Kind(values.text, "text", _word)
PATH = Kind(values.text, "path", _word)
DIRECTORY = Kind(values.directory, "absolute path", _word, "", "`~` is a home")
SPOOL = Kind(values.spool_path, "absolute path", _word, "", "ends in /spool")
LEVEL = Kind(values.level, "level", _word, "", "TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL")
PERCENT = Kind(values.percent, "percentage", _percent, "percent", "0 to 100")
HOUR = Kind(values.hour, "time of day, or never", _hour, "local time", "00:00 to 23:59")
ON_FULL = Kind(values.on_full, "shed, or block(DURATION)", _on_full, SPAN_UNITS, "10ms to 10m")


def words(*some: str) -> Kind:
    """One of some words."""
    return Kind(values.one_of(*some), "word", _word, "", " or ".join(some))


def texts(check: Callable[[str], object], most: int, what: str) -> Kind:
    """A list of texts."""
    return Kind(values.list_of(check, most), f"list of {what}", _items, "", f"at most {most}")


def number(low: int, high: int, unit: str) -> Kind:
    """A whole number."""
    return Kind(values.number(low, high), "whole number", _word, unit, f"{low} to {high}")


def size(low: int, high: int) -> Kind:
    """Bytes."""
    return Kind(values.size(low, high), "size", _size, SIZE_UNITS, f"{_size(low)} to {_size(high)}")


def amount(low: int, high: int) -> Kind:
    """Bytes, or a share of the file system."""
    bounds = f"{_decimal(low)} to {_size(high)}, or 0% to 100%"
    return Kind(values.amount(low, high), "size, or share of the file system", _amount, SIZE_UNITS + "; %", bounds)


def span(low: float, high: float) -> Kind:
    """A duration."""
    return Kind(values.span(low, high), "duration", _span, SPAN_UNITS, f"{_span(low)} to {_span(high)}")


def span_or_never(low: float, high: float) -> Kind:
    """A duration, or 0 for never."""
    bounds = f"{_span(low)} to {_span(high)}, or 0 for never"
    return Kind(values.span_or_never(low, high), "duration, or 0", _span, SPAN_UNITS, bounds)
