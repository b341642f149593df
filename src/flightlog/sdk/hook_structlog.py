"""The hook into structlog: an event is taken where the processors have let it through, before it is rendered.

Owns: the replacements of `BoundLoggerBase._proxy_to_logger` and of the output loggers' write. When structlog hands to stdlib logging, the
record is taken there, with structlog's event and fields. Dropped events (DropEvent, filtering) are not recorded, as they are not printed.
"""

from __future__ import annotations

import sys
import threading
import time

from .. import records
from ..journal.encode import encode
from . import redact, streams
from .context import current
from .hook_logging import dispatch
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
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


def _journal(method: str, event: object, fields: dict[str, Any], problem: BaseException | None) -> int:
    try:
        level = records.LEVEL_NUMBERS.get(method.upper(), 40 if method in ("exception", "failure") else 20)
        now = time.time_ns()
        if not recorder.admit(now, level):
            return 0
        scope = current.get() or recorder.scope
        assert scope is not None and recorder.writer is not None
        frame = sys._getframe(3)
        payload = {
            "k": "log",
            "t": now,
            "lv": level,
            "lg": "structlog",
            "m": redact.text(records.safe_text(event, 65536)),
            "r": scope.run,
            "th": threading.current_thread().name,
            "f": frame.f_code.co_filename,
            "ln": frame.f_lineno,
            "fn": frame.f_code.co_name,
        }  # type: dict[str, Any]
        if scope.stage:
            payload["s"] = scope.stage
        kept = {key: value for key, value in fields.items() if key not in ("exc_info", "stack_info")}
        if kept:
            payload["x"] = redact.fields(kept)
        if problem is not None:
            payload["e"] = records.exception(problem)
        return recorder.writer.append(encode(payload), level)
    except Exception:
        recorder.errors += 1
        return 0


def install_base(module: ModuleType) -> None:
    """Install into structlog._base."""
    base = module.BoundLoggerBase
    DropEvent = sys.modules["structlog.exceptions"].DropEvent

    def _proxy_to_logger(self: Any, method_name: str, event: Any = None, **event_kw: Any) -> Any:
        try:
            args, kw = self._process_event(method_name, event, event_kw)
        except DropEvent:
            return None
        logging = sys.modules.get("logging")
        target = self._logger
        fields = dict(getattr(self, "_context", None) or {}, **event_kw)
        if logging is not None and isinstance(target, logging.Logger):
            before, dispatch.event = (
                dispatch.event,
                (str(event), {str(k): v for k, v in fields.items() if k != "exc_info"}),
            )
            try:
                return getattr(target, method_name)(*args, **kw)
            finally:
                dispatch.event = before
        info = event_kw.get("exc_info")
        problem = (
            info
            if isinstance(info, BaseException)
            else sys.exc_info()[1]
            if info or method_name == "exception"
            else None
        )
        _call.n = _journal(method_name, event, fields, problem)
        try:
            return getattr(target, method_name)(*args, **kw)
        finally:
            _call.n = 0

    base._proxy_to_logger = _proxy_to_logger


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
                from ..journal import mark

                data = message + b"\n"
                assert recorder.writer is not None
                stream.write(mark.make(recorder.writer.writer_id, n, data) + data)
            else:
                stream.write(streams.marked(stream, message + "\n", n))
            stream.flush()
        return None

    for method in METHODS:
        if method in kind.__dict__:
            setattr(kind, method, msg)
