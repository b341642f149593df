r"""Stack traces in captured output: lines that are one record, because they tell of one failure.

    Python    Traceback (most recent call last): ... KeyError: 'a'     with chains, groups, and the line that says in which thread it was
    JVM, Node java.lang.IllegalStateException: no ... \tat a.b(C.java:3), Caused by: ...
    Go        panic: no ... goroutine 1 [running]: ...
    others    what faulthandler writes, Rust, R, .NET, Ruby, PHP: as far as no other line can be meant

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
SIGNS = (TRACEBACK, b"Exception", b"Error", b"panic", b"atal ", b"Process ", b"never retrieved", b'File "')
_GROUP = re.compile(rb"\s*\+ Exception Group Traceback \(most recent call last\):")
_ANNOUNCED = re.compile(
    rb"(?:Exception (?:in thread|ignored in)|Process \S+:|Task exception was never retrieved|future: <)"
)
_CHAINED = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)
_JVM_HEAD = re.compile(
    rb"(?:Exception in thread \S+ |Uncaught |Unhandled (?:exception\. )?)?(?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error)(?:: |$|\b.*\{$)"
)
_JVM_MORE = re.compile(
    rb"\s+at \S|Caused by: |\s+\.\.\. \d+ (?:more|common frames omitted)|\s+Suppressed: |\s+--- End of |\s*---> "
)
_GO_HEAD = re.compile(rb"(?:panic|fatal error): ")
_GO_MORE = re.compile(
    rb"$|\[signal |goroutine \d+ |\tpanic: |created by |\S+\(.*\)$|\t\S+\.go:\d+|\t/|exit status \d+$"
)
_SYNTAX_HEAD = re.compile(rb'  File "[^"]+", line \d+$')
_SYNTAX_END = re.compile(rb"[A-Za-z_.]*(?:Error|Warning)(?:: |$)")
_PANICKED = re.compile(rb"thread '[^']*' (?:\(\d+\) )?panicked at .*?(:?)$")
# Whose first line is enough to know what follows.
_SIMPLE = (
    (_JVM_HEAD, _JVM_MORE),
    (_GO_HEAD, _GO_MORE),
    (
        re.compile(rb"Fatal Python error: "),
        re.compile(
            rb"$|(?:Current t|T)hread 0x|\s+(?:File |<|\.\.\.|Garbage-coll)|Python runtime state: |Extension modules: |Stack \(most|Current thread's C stack"
        ),
    ),
    (re.compile(rb"Error in .+ : ?"), re.compile(rb"  \S|Calls: |Execution halted$")),  # R
    (re.compile(rb"\S+:\d+:in [`'][^']*'.*\([\w:]*Error\)$"), re.compile(rb"\s+from \S+:\d+:in ")),  # Ruby
    (re.compile(rb"(?:PHP )?Fatal error: +Uncaught "), re.compile(rb"Stack trace:$|#\d+ |\s+thrown in ")),
)
_RUST_MORE = re.compile(rb"note: |stack backtrace:$|\s+\d+: |\s{6,}at ")


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
    if _is_python(raw):
        return _python(raws, index)
    found: Extent | None = None
    if _ANNOUNCED.match(raw):
        found = _announced(raws, index)
    elif _SYNTAX_HEAD.match(raw):
        found = _syntax(raws, index)
    if found is not None:
        return found
    for head, more in _SIMPLE:
        if head.match(raw):
            return _while(raws, index + 1, index, lambda line, more=more: more.match(line) is not None)  # type: ignore[misc]
    panicked = _PANICKED.match(raw)
    if panicked:  # its message is below, or was in the same line before 2023
        return _while(raws, index + 1 + len(panicked[1]), index, lambda line: _RUST_MORE.match(line) is not None)
    return Extent(index + 1, True)


def _is_python(raw: bytes) -> bool:
    """Tell whether a traceback begins here, or one of a group."""
    return raw.lstrip().startswith(TRACEBACK) or _GROUP.match(raw) is not None


def _syntax(raws: Sequence[bytes], index: int) -> Extent | None:
    """What Python says of a file that it cannot read; None when it is something else."""
    at = index + 1
    while at < len(raws) and at - index < 6 and raws[at].startswith(b"    "):
        at += 1
    if at >= len(raws):
        return Extent(index + 1, False)
    return Extent(at + 1, True) if at > index + 1 and _SYNTAX_END.match(raws[at]) else None


def _while(raws: Sequence[bytes], at: int, begin: int, belongs: Callable[[bytes], bool]) -> Extent:
    """Go on from line *at* for as long as lines belong to the record that began at *begin*; blank lines at its end are not its."""
    while at < len(raws) and at - begin < MAX_LINES and belongs(raws[at]):
        at += 1
    certain = at < len(raws) or at - begin >= MAX_LINES
    at = min(at, len(raws))
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
    return _python(raws, at, index) if _is_python(raws[at]) else None


def _python(raws: Sequence[bytes], index: int, begin: int | None = None) -> Extent:
    """A traceback from its first line to the one that names the exception, and those that are chained to it."""
    begin = index if begin is None else begin
    at = index
    while True:
        if _GROUP.match(raws[at]):
            found = _while(raws, at + 1, begin, lambda line: line.lstrip()[:1] in (b"|", b"+"))
            if not found.certain or found.stop - begin >= MAX_LINES:
                return found
            at = found.stop - 1
        else:
            at = _to_exception(raws, at, begin)
        if at >= len(raws) or at - begin >= MAX_LINES:
            return Extent(min(at, len(raws)), at - begin >= MAX_LINES)
        at += 1  # the exception itself
        behind = _chained(raws, at)
        if behind is None:
            return Extent(at, True)
        if behind >= len(raws):
            return Extent(at, False)
        at = behind


def _to_exception(raws: Sequence[bytes], at: int, begin: int) -> int:
    """Return the line that names the exception."""
    indent = len(raws[at]) - len(raws[at].lstrip())
    at += 1
    while at < len(raws) and at - begin < MAX_LINES and raws[at][indent : indent + 1] in (b" ", b"\t"):
        at += 1
    return at


def _chained(raws: Sequence[bytes], at: int) -> int | None:
    """Return the line of the next traceback in a chain, the number of lines when that is not known yet, None when the chain is at its end."""
    wanted: tuple[Callable[[bytes], bool], ...] = (
        lambda line: not line.strip(),
        lambda line: line.strip() in _CHAINED,
        lambda line: not line.strip(),
        _is_python,
    )
    for number, is_so in enumerate(wanted):
        if at + number >= len(raws):
            return len(raws)
        if not is_so(raws[at + number]):
            return None
    return at + len(wanted) - 1
