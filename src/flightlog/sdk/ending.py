"""How this process ends: what only its last moments tell.

Owns: the `clean` line of the command's own process, `sys.exit` with a message, failed futures that nobody asked (through `hook_futures`), and
exceptions of atexit callbacks where Python has no hook for them (3.8, 3.9). Called by atexit, after all that the program has
registered. Never raises, never prints.

`sys.exit` becomes a class: it remembers a message in `__new__`, and its `__init__` is the real `sys.exit`, a C function that is called without
an instance. So nothing of ours is in the traceback of the SystemExit. Whether that one ended the program is seen by where the
outermost frame stopped: one that was left by an exception did not stop at a return. `raise SystemExit("message")` passes by nobody.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys

from ..journal import evidence
from . import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable

_main_thread = 0
_last: tuple[str, FrameType, str, str, int] | None = None  # message, outermost frame, and from where it was called
at_end: list[Callable[[], None]] = []  # what else is to be looked at


def install() -> None:
    """Watch how the process ends. Once."""
    global _main_thread
    path = os.environ.get("FLIGHTLOG_EVIDENCE", "")
    faults.evidence = path if os.path.isabs(path) else ""
    _main_thread = _thread.get_ident()
    atexit.register(_at_exit, os.getpid())
    if sys.version_info < (3, 10) and not hasattr(sys, "pypy_version_info"):  # PyPy would show our frame
        _watch_callbacks()
    _watch_exit()


def _at_exit(pid: int) -> None:
    for look in at_end:
        try:
            look()
        except Exception:
            continue
    try:
        if os.getpid() == pid:
            _note_message()
        if faults.evidence and os.environ.get("FLIGHTLOG_ADOPT") == "%s:%d" % (
            os.environ.get("FLIGHTLOG_RUN", ""),
            os.getpid(),
        ):
            evidence.note(faults.evidence, "clean")
    except Exception:
        return


# -- sys.exit("message") ------------------------------------------------------------------------------------------------


def _watch_exit() -> None:
    real = sys.exit
    if type(real) is not type(len):
        return  # somebody has replaced it before us

    class exit:
        __init__ = staticmethod(real)
        __doc__ = real.__doc__
        __slots__ = ()

        def __new__(cls, *arguments: Any, **named: Any) -> Any:
            try:
                _remember(arguments)
            except Exception:
                pass
            return object.__new__(cls)

    exit.__module__, exit.__qualname__ = "sys", "exit"
    sys.exit = exit


def _remember(arguments: tuple[Any, ...]) -> None:
    global _last
    if _thread.get_ident() != _main_thread:
        return
    status = arguments[0] if len(arguments) == 1 else None
    if status is None or isinstance(status, (int, tuple)):
        _last = None
        return
    here = sys._getframe(2)
    outermost = here
    while outermost.f_back is not None:
        outermost = outermost.f_back
    code = here.f_code
    _last = (_text(status), outermost, code.co_filename, code.co_name, here.f_lineno or 0)


def _text(status: Any) -> str:
    """Return what Python prints of a status; `str` of the program's own objects is not called a second time."""
    from .. import records

    if isinstance(status, (str, BaseException)):
        return records.safe_text(status, faults.MAX_MESSAGE)
    return "<%s object>" % type(status).__name__


def _note_message() -> None:
    global _last
    last, _last = _last, None
    if last is None or not _was_left_by_exception(last[1]):
        return
    frame = {"file": last[2], "func": last[3], "line": last[4]}
    data = {"type": "SystemExit", "module": "builtins", "message": last[0], "frames": [frame]}
    faults.note("uncaught", data, "MainThread")


def _was_left_by_exception(frame: FrameType) -> bool:
    """Tell whether a frame that has ended did so by an exception."""
    code, at = frame.f_code.co_code, frame.f_lasti
    if not 0 <= at < len(code):
        return False
    import opcode

    return not opcode.opname[code[at]].startswith("RETURN")


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
