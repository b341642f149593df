"""What fails inside a program and would be overlooked: one record and one line of evidence for each, once.

Owns: making both, and how many of them. The hooks bring what they saw: `uncaught` (main thread, threads, `__del__`, atexit callbacks),
`hook_asyncio`, `hook_futures`, `hook_processes`, `ending` (sys.exit with a message). Leaves the evidence file's form to `journal.evidence`.
Never raises, never prints.
"""

from __future__ import annotations

import os
import time

from .. import records
from ..journal import evidence as file
from ..journal.encode import encode
from . import crash
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .context import Scope

LOGGER = "flightlog.uncaught"
MAX_NOTES = 50  # lines of evidence of one process
MAX_MESSAGE = 500
evidence = ""  # where it is, as the environment said when the process began
_noted = 0
# What ended the latest run: the address of the exception, its places in code, the run.
_passed: tuple[int, list[tuple[int, int]], Scope] | None = None


def state(
    kind: str,
    problem: BaseException,
    trace: TracebackType | None = None,
    thread: str = "",
    prefix: str = "",
    noted: bool = True,
) -> int:
    """Put a fault on record and into evidence; return the record's number, or 0. Never raises.

    Args:
        kind: a word of `journal.evidence`.
        problem: the exception.
        trace: where it came from, if that is not in the exception itself.
        thread: name of the thread it happened in.
        prefix: what goes before type and message in the record's own message.
        noted: it goes into evidence.
    """
    data = _described(problem, trace)
    if noted:
        note(kind, data, thread)
    return _record(kind, data, thread, prefix)


def state_text(kind: str, name: str, message: str) -> int:
    """Put a fault without an exception on record and into evidence, as a builtin *name* with *message*. Never raises."""
    data: dict[str, Any] = {"type": name, "module": "builtins", "message": message, "frames": []}
    data.update(cause=None, context=None)
    note(kind, data)
    return _record(kind, data, "", "")


def _described(problem: BaseException, trace: TracebackType | None) -> dict[str, Any] | None:
    try:
        return records.exception(problem, trace)
    except Exception:  # the stack may be full
        recorder.failed += 1  # declared as a drop: there will be no record of it
        recorder.check_at = 0
        return None


def note(kind: str, data: dict[str, Any] | None, thread: str = "") -> None:
    """Put an exception, as data, into evidence. Never raises."""
    global _noted
    if not evidence or data is None or _noted >= MAX_NOTES:
        return
    try:
        _noted += 1
        crash.check()
        frame = data["frames"][-1] if data.get("frames") else None
        where = "%s:%d %s" % (os.path.basename(frame["file"]), frame["line"], frame["func"]) if frame else ""
        message = records.safe_text(data["message"], MAX_MESSAGE)
        file.note(evidence, kind, type=data["type"], module=data["module"], message=message, where=where, thread=thread)
    except Exception:
        recorder.errors += 1


def passed(problem: BaseException, trace: TracebackType | None, scope: Scope) -> None:
    """The run of *scope* has ended by *problem*, which goes on: should nobody catch it, then its record belongs there as well."""
    global _passed
    # No reference to it, which would keep its frames alive. Another one at the same address was raised elsewhere, or has ended a run as well.
    _passed = (id(problem), _places(trace), scope)


def _run_of(problem: BaseException) -> Scope | None:
    """Return the scope of the run that *problem* has ended, if it has."""
    if _passed is None or _passed[0] != id(problem):
        return None
    places = _places(problem.__traceback__)
    return _passed[2] if places[-len(_passed[1]) :] == _passed[1] else None


def _places(trace: TracebackType | None) -> list[tuple[int, int]]:
    """Return where the frames of a traceback stand, outermost first."""
    found = []
    while trace is not None:
        found.append((id(trace.tb_frame.f_code), trace.tb_lasti))
        trace = trace.tb_next
    return found


def dies_of(problem: BaseException, trace: TracebackType | None) -> int:
    """Record the exception that ends this process, in the run that it has ended if that is one; return the record's number, or 0. Never raises."""
    try:
        scope = _run_of(problem)
        if scope is not None:
            recorder.scope = scope  # and all that is still said
        data = _described(problem, trace)
        recorder.fault = data
        note("uncaught", data, "MainThread")
        return _record("uncaught", data, "MainThread", "")
    except Exception:
        recorder.failed += 1
        recorder.check_at = 0
        return 0


def _record(kind: str, data: dict[str, Any] | None, thread: str, prefix: str) -> int:
    try:
        now = time.time_ns()
        level = records.CRITICAL if kind == "uncaught" else records.ERROR
        if data is None or not recorder.admit(now, level, True):
            return 0
        scope = current.get() or recorder.scope
        assert scope is not None and recorder.writer is not None
        frame = data["frames"][-1] if data["frames"] else {}
        payload = {
            "k": "log",
            "t": now,
            "lv": level,
            "lg": LOGGER,
            "m": prefix + ("%s: %s" % (data["type"], data["message"])).rstrip(": "),
            "r": scope.run,
            "th": thread,
            "f": frame.get("file", ""),
            "ln": frame.get("line", 0),
            "fn": frame.get("func", ""),
            "e": data,
            "x": {"uncaught": True, "kind": kind},
        }
        if scope.stage:
            payload["s"] = scope.stage
        return recorder.writer.append(encode(payload), level, True)
    except Exception:
        recorder.failed += 1  # plain stores: the stack may be full
        recorder.check_at = 0
        return 0


def after_fork() -> None:
    """Let a child note its own faults."""
    global _noted
    _noted = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)
