"""How this process ends: what only its last moments tell.

Owns: the `clean` line of the command's own process, failed futures that nobody asked (through `hook_futures`), and
exceptions of atexit callbacks where Python has no hook for them (3.8, 3.9). Called by atexit, after all that the program has
registered. Never raises, never prints.
A message given to `sys.exit` is not looked for: to see it, a function of the program's would have to be replaced, and it is the last line of its output.
"""

from __future__ import annotations

import atexit
import os
import sys

from ..journal import evidence
from . import faults
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

at_end: list[Callable[[], None]] = []  # what else is to be looked at


def install() -> None:
    """Watch how the process ends. Once."""
    path = os.environ.get("FLIGHTLOG_EVIDENCE", "")
    faults.evidence = path if os.path.isabs(path) else ""
    atexit.register(_at_exit)
    if sys.version_info < (3, 10) and not hasattr(sys, "pypy_version_info"):  # PyPy would show our frame
        _watch_callbacks()


def _at_exit() -> None:
    for look in at_end:
        try:
            look()
        except Exception:
            recorder.errors += 1
    try:
        if faults.evidence and os.environ.get("FLIGHTLOG_ADOPT") == "%s:%d" % (
            os.environ.get("FLIGHTLOG_RUN", ""),
            os.getpid(),
        ):
            evidence.note(faults.evidence, "clean", cost=recorder.costs())
    except Exception:
        recorder.errors += 1


# -- atexit callbacks before Python 3.10 ----------------------------------------------------------------------------------


class _Guarded:
    """A registered callback; equal to it, so that `atexit.unregister` finds it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        try:
            return self._function(*arguments, **named)
        except BaseException:
            # Python prints the traceback that the exception itself carries: it is to begin with the program's frame, as without us.
            # `except ... as` would put ours back when the name is deleted.
            _callback_failed(sys.exc_info()[1])
            raise

    def __eq__(self, other: object) -> bool:
        return bool(self._function == other)

    def __hash__(self) -> int:
        return hash(self._function)


def _callback_failed(problem: Any) -> None:
    trace = problem.__traceback__
    problem.__traceback__ = trace.tb_next if trace is not None else None
    if not isinstance(problem, SystemExit):
        faults.state("atexit", problem)


def _watch_callbacks() -> None:
    register = atexit.register

    def guarded(func: Any, *arguments: Any, **named: Any) -> Any:
        if not callable(func):
            return register(func, *arguments, **named)  # raises as without us
        register(_Guarded(func), *arguments, **named)
        return func

    guarded.__name__ = guarded.__qualname__ = "register"
    guarded.__doc__, guarded.__module__ = register.__doc__, "atexit"
    atexit.register = guarded  # type: ignore[assignment]
