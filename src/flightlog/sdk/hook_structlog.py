"""The hook into structlog: an event is taken where the processors have let it through, before it is rendered.

Owns: the replacements of `BoundLoggerBase._proxy_to_logger` and of the output loggers' write. When structlog hands to stdlib logging, the
record is taken there, with structlog's event and fields. Dropped events (DropEvent, filtering) are not recorded, as they are not printed.
The replacement is compiled under structlog's own file and module name: structlog looks for the caller by these.
"""

from __future__ import annotations

import sys
import threading
import time

from .. import records
from ..journal.encode import encode
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import streams
from .context import current
from .hook_logging import dispatch
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

METHODS = (
    "msg",
    "log",
    "debug",
    "info",
    "warn",
    "warning",
    "fatal",
    "failure",
    "err",
    "error",
    "critical",
    "exception",
)


class _Call(threading.local):
    n = 0


_call = _Call()


_SOURCE = """\
def _proxy_to_logger(self, method_name, event=None, **event_kw):
    try:
        args, kw = self._process_event(method_name, event, event_kw)
        before = _fl_take(self, method_name, event, event_kw)
        try:
            return getattr(self._logger, method_name)(*args, **kw)
        finally:
            _fl_done(before)
    except DropEvent:
        return None
"""


def _journal(method: str, event: object, fields: dict[str, Any], problem: BaseException | None) -> int:
    level = records.LEVEL_NUMBERS.get(method.upper(), 40 if method in ("exception", "failure") else 20)
    now = time.time_ns()
    if not recorder.admit(now, level):
        return 0
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    payload = {
        "k": "log",
        "t": now,
        "lv": level,
        "lg": "structlog",
        "m": records.safe_text(event, 65536),
        "r": scope.run,
        "th": threading.current_thread().name,
    }  # type: dict[str, Any]
    frame = _caller()
    if frame is not None:
        payload.update(f=frame.f_code.co_filename, ln=frame.f_lineno, fn=frame.f_code.co_name)
    if scope.stage:
        payload["s"] = scope.stage
    if fields:
        payload["x"] = fields
    if problem is not None:
        payload["e"] = records.exception(problem)
    return recorder.writer.append(encode(payload), level)


def _caller() -> FrameType | None:
    """Return the frame that called structlog."""
    frame = sys._getframe(2)  # type: FrameType | None
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name != __name__ and name != "structlog" and not name.startswith("structlog."):
            break
        frame = frame.f_back
    return frame


def _fields(bound: Any, event_kw: dict[str, Any]) -> dict[str, Any]:
    """Return what was bound, in the context variables if a processor merges these, and what came with the event."""
    fields: dict[str, Any] = {}
    variables = sys.modules.get("structlog.contextvars")
    if variables is not None and variables.merge_contextvars in (getattr(bound, "_processors", None) or ()):
        fields.update(variables.get_contextvars())
    fields.update(getattr(bound, "_context", None) or {})
    fields.update(event_kw)
    return {str(key): value for key, value in fields.items() if key not in ("exc_info", "stack_info")}


def _take(bound: Any, method: str, event: object, event_kw: dict[str, Any]) -> Any:
    """Journal an event, or leave it to the hook into logging; return what was there before. Never raises."""
    before = dispatch.event, _call.n
    try:
        fields = _fields(bound, event_kw)
        logging = sys.modules.get("logging")
        if logging is not None and isinstance(bound._logger, logging.Logger):
            dispatch.event = (records.safe_text(event, 65536), fields)
            return before
        info = event_kw.get("exc_info")
        problem = info if isinstance(info, BaseException) else None
        if problem is None and (info or method == "exception"):
            problem = info[1] if isinstance(info, tuple) else sys.exc_info()[1]
        _call.n = 0
        _call.n = _journal(method, event, fields, problem)
    except MISTAKES as problem:
        if STACK_ABORTS and must_rise(problem):
            raise
        recorder.failed += 1  # plain stores: the stack may be full
        recorder.check_at = 0
    return before


def _done(before: Any) -> None:
    dispatch.event, _call.n = before


def install_base(module: ModuleType) -> None:
    """Install into structlog._base."""
    base = module.BoundLoggerBase
    original = base._proxy_to_logger
    namespace = module.__dict__
    namespace["_fl_take"], namespace["_fl_done"] = _take, _done
    namespace.setdefault("DropEvent", sys.modules["structlog.exceptions"].DropEvent)
    made: dict[str, Any] = {}
    exec(compile(_SOURCE, original.__code__.co_filename, "exec"), namespace, made)  # noqa: S102
    made["_proxy_to_logger"].__doc__ = original.__doc__
    base._proxy_to_logger = made["_proxy_to_logger"]


def install_output(module: ModuleType) -> None:
    """Install into structlog._output: its loggers mark what they write to a capture pipe."""
    if not streams.captured():
        return
    for name in ("PrintLogger", "WriteLogger", "BytesLogger"):
        kind = getattr(module, name, None)
        if kind is not None:
            _mark_output(kind, name == "BytesLogger")


def _mark_output(kind: Any, as_bytes: bool) -> None:
    original = kind.msg

    def msg(self: Any, message: Any) -> Any:
        stream = getattr(self, "_file", None)
        n = _call.n
        if not n or stream is None or not streams.markable(stream):
            return original(self, message)
        with self._lock:
            if as_bytes:
                data = message + b"\n"
                stream.write(streams.prefix(stream, data, streams.reference(n)).encode("ascii") + data)
            else:
                stream.write(streams.marked(stream, message + "\n", streams.reference(n)))
            stream.flush()
        return None

    for method in METHODS:
        if method in kind.__dict__:
            setattr(kind, method, msg)
