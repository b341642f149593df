"""The hook into structlog: an event is taken where the processors have let it through, before it is rendered. And the processor for explicit wiring.

Owns: the replacements of `BoundLoggerBase._proxy_to_logger` and of the output loggers' write, and `structlog_processor`. When structlog hands to stdlib logging, the
record is taken there, with structlog's event and fields. Dropped events (DropEvent, filtering) are not recorded, as they are not printed.
The replacement is compiled under structlog's own file and module name: structlog looks for the caller by these.
"""

from __future__ import annotations

import sys
import threading

from .. import records
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import attach, bridged, pipes, streams
from .hook_logging import dispatch
from .mark_logging import REFUSED, known, remember
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, MutableMapping

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


_NO_FIELDS = frozenset(("event", "level", "exc_info", "stack_info", "_record", "_from_structlog"))


class _Call(threading.local):
    """What this thread has in hand: the number of the record that is being printed; and of the one that our processor made of the event of the
    call that is going on: -1 when it has made none, None when no call goes on that we know of.
    """

    n = 0
    taken: int | None = None


_call = _Call()


_SOURCE = """\
def _proxy_to_logger(self, method_name, event=None, **event_kw):
    taken = _fl_begin()
    try:
        args, kw = self._process_event(method_name, event, event_kw)
        before = _fl_take(self, method_name, event, event_kw)
        try:
            return getattr(self._logger, method_name)(*args, **kw)
        finally:
            _fl_done(before)
    except DropEvent:
        return None
    finally:
        _fl_end(taken)
"""


def _journal(logger: Any, method: str, event: object, fields: dict[str, Any], problem: BaseException | None) -> int:
    level = records.LEVEL_NUMBERS.get(method.upper(), 40 if method in ("exception", "failure") else 20)
    name = getattr(logger, "name", None)  # of loggers of logging, of structlog's own where one was given
    name = name if type(name) is str and name else "structlog"
    return bridged.write(level, name, event, fields, problem, place=bridged.caller("structlog"))


def _problem(method: str, info: Any) -> BaseException | None:
    """Return the exception that an event is about, from what was given as `exc_info`."""
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if len(info) == 3 else None
    return sys.exc_info()[1] if info or method == "exception" else None


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
        taken = None if _call.taken is None or _call.taken < 0 else _call.taken
        logging = sys.modules.get("logging")
        if logging is not None and isinstance(bound._logger, logging.Logger):
            problem = _problem(method, event_kw.get("exc_info"))
            dispatch.event = (records.safe_text(event, 65536), fields, problem, taken)
            return before
        if taken is not None:
            _call.n = taken
            return before
        problem = _problem(method, event_kw.get("exc_info"))
        _call.n = 0
        _call.n = _journal(bound._logger, method, event, fields, problem)
    except MISTAKES as problem:
        if STACK_ABORTS and must_rise(problem):
            raise
        recorder.failed += 1  # plain stores: the stack may be full
        recorder.check_at = 0
    return before


def _done(before: Any) -> None:
    dispatch.event, _call.n = before


def _begin() -> int | None:
    taken, _call.taken = _call.taken, -1
    return taken


def _end(taken: int | None) -> None:
    _call.taken = taken


def structlog_processor(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: journals an event as it is at this place of the chain, and passes it on unchanged.

    Once, whether structlog is hooked or not (then its record is the one made here: with what the processors before it added, and also when one
    behind it drops the event). It writes to the journal of this process, never to a database; blocks like `Logger.info`, never raises.
    """
    try:
        record = event_dict.get("_record")  # of logging, when it stands in the chain of a ProcessorFormatter
        taken = _call.taken
        if (taken is not None and taken >= 0) or (record is not None and known(record, dispatch) is not None):
            return event_dict
        attach.end_at_exit()
        fields = {str(key): value for key, value in event_dict.items() if key not in _NO_FIELDS}
        n = _journal(logger, method, event_dict.get("event"), fields, _problem(method, event_dict.get("exc_info")))
        if taken is not None:
            _call.taken = n
        if record is not None:
            remember(record, streams.reference(n) or REFUSED)
    except MISTAKES as problem:
        if STACK_ABORTS and must_rise(problem):
            raise
        recorder.failed += 1
        recorder.check_at = 0
    return event_dict


def install_base(module: ModuleType) -> None:
    """Install into structlog._base."""
    base = module.BoundLoggerBase
    original = base._proxy_to_logger
    namespace = module.__dict__
    namespace.update(_fl_take=_take, _fl_done=_done, _fl_begin=_begin, _fl_end=_end)
    namespace.setdefault("DropEvent", sys.modules["structlog.exceptions"].DropEvent)
    made: dict[str, Any] = {}
    exec(compile(_SOURCE, original.__code__.co_filename, "exec"), namespace, made)  # noqa: S102
    made["_proxy_to_logger"].__doc__ = original.__doc__
    base._proxy_to_logger = made["_proxy_to_logger"]


def install_output(module: ModuleType) -> None:
    """Install into structlog._output: its loggers mark what they write to a capture pipe."""
    if not pipes.captured():
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
