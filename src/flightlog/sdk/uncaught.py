"""Exceptions that Python hands to a hook because nobody caught them: recorded with frames and chain, then handed to who was there before.

Owns: `sys.excepthook`, `threading.excepthook` and `sys.unraisablehook` (`__del__`, weakref callbacks, threads begun by `_thread`, from
Python 3.10 on atexit callbacks), all chained. The exit status and what is printed stay what they were; what the default hook prints is
marked, so that it is not shown a second time as output. SystemExit is the program's own business; KeyboardInterrupt is recorded.
Leaves making records and evidence to `faults`.
"""

from __future__ import annotations

import _thread
import sys

from . import faults, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType, TracebackType
    from typing import Any


_behind: list[tuple[Any, Any]] = []  # our excepthook, who was there before


class _Diverted:
    """Stands for sys.stderr while a hook prints: collects what this thread writes, passes on what others do."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._me, self._ident = stream, _thread.get_ident(), _thread.get_ident
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        """Collect or pass on."""
        if self._ident() == self._me:
            self.parts.append(text)
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_marked(hook: Any, arguments: tuple[Any, ...], n: int) -> None:
    """Call *hook* with what it prints on standard error marked as the copy of record *n*."""
    stream = sys.stderr
    diverted = None
    try:
        if n and stream is not None and streams.markable(stream):
            diverted = _Diverted(stream)
    except Exception:  # the interpreter goes down
        diverted = None
    if diverted is None:
        hook(*arguments)
        return
    sys.stderr = diverted
    try:
        hook(*arguments)
    finally:
        if sys.stderr is diverted:
            sys.stderr = stream
        text = "".join(diverted.parts)
        if text:
            try:
                stream.write(streams.marked(stream, text, streams.reference(n)))
                stream.flush()
            except Exception:  # broken or closed: what Python's own hook does then as well
                pass


def install() -> None:
    """Chain into `sys.excepthook` and `sys.unraisablehook`; `threading` is hooked when it is imported."""
    _install_main()
    if hasattr(sys, "unraisablehook"):
        _install_unraisable()


def _install_main() -> None:
    original = sys.excepthook

    def excepthook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        n = 0
        if isinstance(problem, BaseException) and not isinstance(problem, SystemExit):
            if hasattr(
                sys, "ps1"
            ):  # at a prompt it is the user who reads it, and goes on: a record, but no fault of the run
                n = faults.state("uncaught", problem, trace, "MainThread", noted=False)
            else:
                n = faults.dies_of(problem, trace)
        print_marked(original, (kind, problem, trace), n)

    _behind.append((excepthook, original))
    sys.excepthook = excepthook


def behind(hook: Any) -> Any:
    """Return who was there before *hook*, which is ours; None when it is not."""
    return next((before for ours, before in _behind if ours is hook), None)


def _install_unraisable() -> None:
    original = sys.unraisablehook
    # What the hook needs is bound here: it may be called when the interpreter goes down and the names of modules are gone.
    state, show = faults.state, print_marked

    def unraisablehook(unraisable: Any, /) -> None:
        n = 0
        try:
            problem = unraisable.exc_value
            if problem is not None:
                said = unraisable.err_msg or ""
                kind = "atexit" if "atexit" in said else "thread" if "in thread" in said else "unraisable"
                n = state(kind, problem, unraisable.exc_traceback, "", (said + ": ") if said else "")
        except Exception:
            n = 0
        show(original, (unraisable,), n)

    sys.unraisablehook = unraisablehook


def install_threads(threading: ModuleType) -> None:
    """Chain into `threading.excepthook`."""
    original = threading.excepthook

    def excepthook(arguments: Any, /) -> None:
        n = 0
        if arguments.exc_type is not SystemExit and arguments.exc_value is not None:
            name = arguments.thread.name if arguments.thread is not None else ""
            n = faults.state("thread", arguments.exc_value, arguments.exc_traceback, name)
        print_marked(original, (arguments,), n)

    excepthook.__module__ = original.__module__
    threading.excepthook = excepthook  # type: ignore[attr-defined]
