"""Uncaught exceptions of the main thread and of threads: recorded with frames and chain, then handed to who was there before.

Owns: `sys.excepthook` and `threading.excepthook`, chained. The exit status and what is printed stay what they were; what the default
hook prints is marked, so that it is not shown a second time as output. SystemExit and KeyboardInterrupt are the program's own business;
the latter is recorded.
"""

from __future__ import annotations

import sys
import time

from .. import records
from ..journal.encode import encode
from . import streams
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType, TracebackType
    from typing import Any


def record(problem: BaseException, trace: TracebackType | None, level: int, logger: str, thread: str) -> int:
    """Journal an uncaught exception; return its number, or 0. Never raises."""
    try:
        now = time.time_ns()
        if not recorder.admit(now, level, True):
            return 0
        scope = current.get() or recorder.scope
        assert scope is not None and recorder.writer is not None
        data = records.exception(problem, trace)
        frame = data["frames"][-1] if data["frames"] else {}
        payload = {
            "k": "log",
            "t": now,
            "lv": level,
            "lg": logger,
            "m": ("%s: %s" % (data["type"], data["message"])).rstrip(": "),
            "r": scope.run,
            "th": thread,
            "f": frame.get("file", ""),
            "ln": frame.get("line", 0),
            "fn": frame.get("func", ""),
            "e": data,
            "x": {"uncaught": True},
        }
        if scope.stage:
            payload["s"] = scope.stage
        return recorder.writer.append(encode(payload), level, True)
    except Exception:
        recorder.failed += 1  # plain stores: the stack may be full
        recorder.check_at = 0
        return 0


class _Diverted:
    """Stands for sys.stderr while a hook prints: collects what this thread writes, passes on what others do."""

    def __init__(self, stream: Any) -> None:
        import _thread

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


def _print_marked(hook: Any, arguments: tuple[Any, ...], n: int) -> None:
    """Call *hook* with what it prints on standard error marked as the copy of record *n*."""
    stream = sys.stderr
    if not n or stream is None or not streams.markable(stream):
        hook(*arguments)
        return
    diverted = _Diverted(stream)
    sys.stderr = diverted
    try:
        hook(*arguments)
    finally:
        if sys.stderr is diverted:
            sys.stderr = stream
        text = "".join(diverted.parts)
        if text:
            stream.write(streams.marked(stream, text, streams.reference(n)))
            stream.flush()


def install() -> None:
    """Chain into `sys.excepthook`; `threading` is hooked when it is imported."""
    original = sys.excepthook

    def excepthook(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        n = 0
        if isinstance(problem, BaseException) and not isinstance(problem, SystemExit):
            n = record(problem, trace, records.CRITICAL, "flightlog.uncaught", "MainThread")
        _print_marked(original, (kind, problem, trace), n)

    sys.excepthook = excepthook


def install_threads(threading: ModuleType) -> None:
    """Chain into `threading.excepthook`."""
    original = threading.excepthook

    def excepthook(arguments: Any) -> None:
        n = 0
        if arguments.exc_type is not SystemExit and arguments.exc_value is not None:
            name = arguments.thread.name if arguments.thread is not None else ""
            n = record(arguments.exc_value, arguments.exc_traceback, records.ERROR, "flightlog.uncaught", name)
        _print_marked(original, (arguments,), n)

    threading.excepthook = excepthook  # type: ignore[attr-defined]
