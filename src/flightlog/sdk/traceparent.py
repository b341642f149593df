"""W3C trace context (https://www.w3.org/TR/trace-context/): the header `00-<trace>-<span>-<flags>` in and out.

    headers["traceparent"] = flightlog.traceparent()

A run that was begun inside somebody's trace belongs to it; any other has a trace of its own, whose id is the run's ULID as 32 hexadecimal digits. A span
is a stage of a run; its id follows from both, so that every process of the run says the same. Owns: this form, and which run belongs to which trace.
Spans are sent to nobody. Pure but for what it remembers; never raises.
"""

from __future__ import annotations

import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Scope

VARIABLE = "TRACEPARENT"
MAX_RUNS = 256  # of which a foreign trace is remembered
_DIGITS = frozenset("0123456789abcdef")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_known: dict[str, tuple[str, str]] = {}  # run -> trace, flags


def parse(header: object) -> tuple[str, str, str] | None:
    """Return (trace, span, flags) of a header; None when it is none that can be followed."""
    if not isinstance(header, str):
        return None
    parts = header.strip().split("-")
    if [len(part) for part in parts[:4]] != [2, 32, 16, 2] or (parts[0] == "00" and len(parts) != 4):
        return None
    if not all(_DIGITS.issuperset(part) for part in parts[:4]) or parts[0] == "ff":
        return None
    trace, span, flags = parts[1:4]
    return (trace, span, flags) if trace.strip("0") and span.strip("0") else None


def given(header: str = "") -> str:
    """Return the header that a new run is begun under: *header*, else the environment's TRACEPARENT; empty when there is no good one."""
    for text in (header, os.environ.get(VARIABLE, "")):
        found = parse(text) if text else None
        if found is not None:
            return "00-%s-%s-%s" % found
    return ""


def remember(run: str, header: str) -> None:
    """Let *run* belong to the trace of *header*, if that is a good one."""
    found = parse(header)
    if found is not None:
        while len(_known) >= MAX_RUNS:
            _known.pop(next(iter(_known)), None)
        _known[run] = (found[0], found[2])


def foreign(run: str) -> str:
    """Return the trace that *run* was begun in; empty when it has one of its own."""
    return _known.get(run, ("", ""))[0]


def span_of(run: str, stage: str) -> str:
    """Return the id of a stage of a run, or of the run itself: 16 hexadecimal digits."""
    number = _number(run) & ((1 << 64) - 1)
    if stage:
        text = stage.encode("utf-8", "backslashreplace")
        number ^= zlib.crc32(text) << 32 | zlib.crc32(text[::-1])
    return "%016x" % (number or 1)


def of(scope: Scope | None) -> str:
    """Return the header of *scope*; empty for none."""
    if scope is None:
        return ""
    trace, flags = _known.get(scope.run) or ("%032x" % (_number(scope.run) or 1), "01")
    return "00-%s-%s-%s" % (trace, span_of(scope.run, scope.stage), flags)


def traceparent() -> str:
    """Return the W3C header `traceparent` of where we are, to be sent with a request; empty outside of any run. Never raises."""
    from .carry import found

    return of(found())


def _number(run: str) -> int:
    number = 0
    for character in run:
        number = number << 5 | max(0, _CROCKFORD.find(character))
    return number & ((1 << 128) - 1)
