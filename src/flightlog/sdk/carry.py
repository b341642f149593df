"""Where we are, handed to those who do not inherit it: other threads, executors, child processes.

    pool.submit(flightlog.carry(work), path)                      any callable, also into another process
    os.execve(path, command, {**os.environ, **flightlog.carry_environment()})

Owns: the callable that carries a scope, the scope as one line of text (`FLIGHTLOG_SCOPE` in the environment of children, an attribute of a
multiprocessing process), and whether such a line still means anything. What is carried without being asked is done by `hook_carry`.
The line: `<FLIGHTLOG_RUN or ->:<run>:<pid>:<start time>:<trace id or ->:<pipeline>:<stage>`; the pipeline is the one by which the process is or is not in the
rollout, %3A in it a colon. The line is void where FLIGHTLOG_RUN is another one (a nested
`flightlog run` has begun), and when the run is over: when its keeper, or the process that began it, has gone. Never raises.
"""

from __future__ import annotations

import os
import sys

from .. import identity, records
from . import traceparent
from .context import ATTRIBUTE, Scope, current
from .recorder import keeper_lives, recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    R = TypeVar("R")

VARIABLE = "FLIGHTLOG_SCOPE"
MAX_STAGE = 4096  # characters handed on
_process = (0, 0)  # pid and start time of this process


class Carried:
    """A callable that runs in the scope in which it was made. It can be pickled when what it calls can."""

    __slots__ = ("__wrapped__", "_scope")

    def __init__(self, function: Callable[..., Any], scope: Scope | None) -> None:
        self.__wrapped__, self._scope = function, scope

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there."""
        token = current.set(self._scope) if self._scope is not None else None
        try:
            return self.__wrapped__(*arguments, **named)
        finally:
            if token is not None:
                current.reset(token)

    def __reduce__(self) -> Any:
        where = self._scope
        return _restored, (self.__wrapped__, where.run if where else "", where.stage if where else "")


def _restored(function: Callable[..., Any], run: str, stage: str) -> Carried:
    return Carried(function, Scope(run, stage) if run else None)


def carry(function: Callable[..., R]) -> Callable[..., R]:
    """Return *function* as one that runs where we are now: what it logs, and stages it begins, belong to this run and stage.

    For what is called later by somebody who knows nothing of us: a thread begun by a C library, a callback, a queue of tasks, another process.
    Threads, executors, asyncio, subprocess and multiprocessing need no help (docs/howto/runs-and-stages.md). Never raises.
    """
    return Carried(function, found())


def carry_environment() -> dict[str, str]:
    """Return the variables that hand this run and stage to a process: add them to its environment. Empty outside of any run. Never raises.

    `FLIGHTLOG_SCOPE` for flightlog in that process, `TRACEPARENT` (W3C) for whoever else understands it. Records of the process belong to the run
    as long as that goes on; afterwards, and on another machine, the process has a run of its own. subprocess needs no help.
    """
    scope = found()
    text = to_text(scope)
    return {VARIABLE: text, traceparent.VARIABLE: traceparent.of(scope)} if scope is not None and text else {}


def here() -> Scope | None:
    """Return where we are, if that is a run that somebody has begun: not the one that we made for this process alone."""
    scope = current.get() or recorder.scope
    return scope if scope is not None and scope.run != recorder.implicit else None


def found() -> Scope | None:
    """Return where we are, as `here` does; looked up first where nothing was recorded yet. Never raises."""
    try:
        if current.get() is None and recorder.scope is None:
            recorder._start()
    except Exception:
        recorder.errors += 1
    return here()


def to_text(scope: Scope | None) -> str:
    """Return *scope* as a line; empty where there is none, or its name cannot be in an environment."""
    global _process
    if scope is None or "\0" in scope.stage:
        return ""
    pid = os.getpid()
    if _process[0] != pid:
        _process = (pid, identity.process_start_time(pid))
    stage = scope.stage if len(scope.stage) <= MAX_STAGE else ""
    trace = traceparent.foreign(scope.run) or "-"
    known = (
        os.environ.get("FLIGHTLOG_RUN") or "-",
        scope.run,
        pid,
        _process[1],
        trace,
        _quoted(recorder.gated_by()),
        stage,
    )
    return "%s:%s:%d:%d:%s:%s:%s" % known


def _quoted(name: str) -> str:
    """Return a pipeline's name as it stands in a line; empty for one that cannot stand there."""
    if "\0" in name or len(name) > records.MAX_NAME:
        return ""
    return name.encode("utf-8", "backslashreplace").decode("utf-8").replace("%", "%25").replace(":", "%3A")


def from_text(text: str) -> Scope | None:
    """Return the scope that a line means; None where it means nothing any more."""
    try:
        supervised, run, pid, start, trace, pipeline, stage = text.split(":", 6)
        if supervised != (os.environ.get("FLIGHTLOG_RUN") or "-") or not identity.is_ulid(run):
            return None
        lives = keeper_lives() if run == supervised else identity.process_alive(int(pid), int(start))
    except ValueError:
        return None
    if not lives:
        return None
    if trace != "-":
        traceparent.remember(run, "00-%s-%s-01" % (trace, traceparent.span_of(run, "")))
    recorder.carried_by(pipeline.replace("%3A", ":").replace("%25", "%"))
    return Scope(run, stage)


def inherited() -> Scope | None:
    """Return the scope that another process has handed to this one; None when there is none, or it is over."""
    processes = sys.modules.get("multiprocessing.process")
    texts = [os.environ.get(VARIABLE, "")]
    if processes is not None:
        texts.insert(0, getattr(processes.current_process(), ATTRIBUTE, ""))
    for text in texts:
        scope = from_text(text) if isinstance(text, str) and text else None
        if scope is not None:
            return scope
    return None
