r"""Stack traces in captured output: lines that are one record, because they tell of one failure.

    Python    Traceback (most recent call last): ... KeyError: 'a'     with chains, groups, and the line that says in which thread it was
    JVM, Node java.lang.IllegalStateException: no ... \tat a.b(C.java:3), Caused by: ...
    Go        panic: no ... goroutine 1 [running]: ...

Invariants: whether lines belong together follows from the lines alone, however they came; where that cannot be known yet, it is waited for (the caller bounds
that); a trace has at most 500 lines, the rest begins anew. Pure. Owns: where a trace begins and ends. Leaves bytes and marks to `lines`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

MAX_LINES = 500
TRACEBACK = b"Traceback (most recent call last):"
# One of these is in every line that a trace can begin with: who has none of them has no trace.
SIGNS = (TRACEBACK, b"Exception", b"Error", b"panic: ", b"fatal error: ", b"Process ", b"never retrieved")
_GROUP = re.compile(rb"\s*\+ Exception Group Traceback \(most recent call last\):")
_ANNOUNCED = re.compile(
    rb"(?:Exception (?:in thread|ignored in)|Process \S+:|Task exception was never retrieved|future: <)"
)
_CHAINED = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)
_JVM_HEAD = re.compile(
    rb"(?:Exception in thread \S+ |Uncaught |Unhandled )?(?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error)(?:: |$|\b.*\{$)"
)
_JVM_MORE = re.compile(rb"\s+at \S|Caused by: |\s+\.\.\. \d+ (?:more|common frames omitted)|\s+Suppressed: ")
_GO_HEAD = re.compile(rb"(?:panic|fatal error): ")
_GO_MORE = re.compile(
    rb"$|\[signal |goroutine \d+ |\tpanic: |created by |\S+\(.*\)$|\t\S+\.go:\d+|\t/|exit status \d+$"
)


class Extent(NamedTuple):
    """How far a trace goes: lines up to `stop`; and whether that is certain."""

    stop: int
    certain: bool


def may_begin(data: bytes) -> bool:
    """Tell whether there can be a trace in *data*."""
    return any(sign in data for sign in SIGNS)


def extent(raws: Sequence[bytes], index: int) -> Extent:
    """Return how far the record goes that begins with line *index*: usually that line."""
    raw = raws[index]
    stripped = raw.lstrip()
    if stripped.startswith(TRACEBACK):
        return _python(raws, index)
    if _GROUP.match(raw):
        return _while(raws, index + 1, index, lambda line: line.lstrip()[:1] in (b"|", b"+"))
    if _ANNOUNCED.match(raw):
        found = _announced(raws, index)
        if found is not None:
            return found
    if _JVM_HEAD.match(raw):
        return _while(raws, index + 1, index, lambda line: _JVM_MORE.match(line) is not None)
    if _GO_HEAD.match(raw):
        return _while(raws, index + 1, index, lambda line: _GO_MORE.match(line) is not None)
    return Extent(index + 1, True)


def _while(raws: Sequence[bytes], at: int, begin: int, belongs: Callable[[bytes], bool]) -> Extent:
    """Go on from line *at* for as long as lines belong to the record that began at *begin*; blank lines at its end are not its."""
    while at < len(raws) and at - begin < MAX_LINES and belongs(raws[at]):
        at += 1
    certain = at < len(raws) or at - begin >= MAX_LINES
    while at > begin + 1 and not raws[at - 1].strip():
        at -= 1
    return Extent(at, certain)


def _announced(raws: Sequence[bytes], index: int) -> Extent | None:
    """A line or two that say where it happened, before the traceback; None when they are something else."""
    at = index + 1
    while at < len(raws) and at - index < 3 and _ANNOUNCED.match(raws[at]):
        at += 1
    if at >= len(raws):
        return Extent(at, False)
    if raws[at].lstrip().startswith(TRACEBACK):
        return _python(raws, at, index)
    return None


def _python(raws: Sequence[bytes], index: int, begin: int | None = None) -> Extent:
    """A traceback from its first line to the one that names the exception, and those that are chained to it."""
    begin = index if begin is None else begin
    at = index
    while True:
        indent = len(raws[at]) - len(raws[at].lstrip())
        at += 1
        while at < len(raws) and at - begin < MAX_LINES and raws[at][indent : indent + 1] in (b" ", b"\t"):
            at += 1
        if at >= len(raws) or at - begin >= MAX_LINES:
            return Extent(min(at, len(raws)), at - begin >= MAX_LINES)
        at += 1  # the exception itself
        behind = _chained(raws, at)
        if behind is None:
            return Extent(at, True)
        if behind >= len(raws):
            return Extent(at, False)
        at = behind


def _chained(raws: Sequence[bytes], at: int) -> int | None:
    """Return the line of the next traceback in a chain, the number of lines when that is not known yet, None when the chain is at its end."""
    wanted: tuple[Callable[[bytes], bool], ...] = (
        lambda line: not line.strip(),
        lambda line: line.strip() in _CHAINED,
        lambda line: not line.strip(),
        lambda line: line.lstrip().startswith(TRACEBACK),
    )
    for number, is_so in enumerate(wanted):
        if at + number >= len(raws):
            return len(raws)
        if not is_so(raws[at + number]):
            return None
    return at + len(wanted) - 1
