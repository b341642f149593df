"""The hook into loguru: a record is taken where it is offered to the first handler, and its console copy is marked. And the sink for explicit wiring.

Owns: the replacements of `Handler.emit` and of the sinks' write, and `loguru_sink`. A record that came from or goes to stdlib logging with the same
message is the same record. Records below the level of every handler are not recorded: loguru decides that before. The text
that goes to a sink carries the record's reference, also through the queue of `enqueue=True` to another thread or process.
"""

from __future__ import annotations

import sys
import threading

from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import attach, bridged, pipes, streams
from .hook_logging import dispatch
from .mark_logging import REFUSED
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class _Last(threading.local):
    """The record that this thread handled last, by its time object: the record itself would keep its exception's frames alive."""

    key: object = None
    reference: tuple[str, int] | None = None


_last = _Last()


def _journal(record: dict[str, Any]) -> int:
    exception = record["exception"]
    return bridged.write(
        int(record["level"].no),
        str(record["name"] or ""),
        record["message"],
        dict(record["extra"]),
        None if exception is None else exception.value,
        None if exception is None else exception.traceback,
        (record["file"].path, record["line"], record["function"]),
        record["thread"].name,
    )


def install_handler(module: ModuleType) -> None:
    """Install into loguru._handler."""
    original = module.Handler.emit

    def emit(self: Any, record: Any, *args: Any, **kw: Any) -> Any:
        outer = dispatch.outer
        key = reference = None
        try:
            key = record["time"]
            if _last.key is key:
                reference = _last.reference
            elif outer is not None and outer[0] == record["message"]:
                reference = outer[1]
            else:
                reference = streams.reference(_journal(record)) or REFUSED
            dispatch.outer = (record["message"], reference)
        except MISTAKES as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            recorder.failed += 1
            recorder.check_at = 0
        try:
            return original(self, record, *args, **kw)
        finally:
            dispatch.outer = outer
            _last.key, _last.reference = key, reference  # filters and sinks may have logged something else

    module.Handler.emit = emit
    module.Message = _message_class(module.Message)  # type: ignore[attr-defined]


def _message_class(base: Any) -> Any:
    """Return loguru's class of messages with a place for the reference."""

    def __init__(self: Any, text: str) -> None:
        outer = dispatch.outer
        self._fl_ref = None if outer is None else outer[1]

    def __reduce__(self: Any) -> Any:
        return _received, (str(self), getattr(self, "record", None), self._fl_ref)

    members = {"__slots__": ("_fl_ref",), "__init__": __init__, "__reduce__": __reduce__, "__module__": base.__module__}
    return type("Message", (base,), members)


def _received(text: str, record: Any, found: Any) -> Any:
    """Return the message that another process put into a queue, as this process makes messages."""
    message = sys.modules["loguru._handler"].Message(text)
    message.record = record
    if hasattr(type(message), "_fl_ref"):
        message._fl_ref = found
    return message


def install_sinks(module: ModuleType) -> None:
    """Install into loguru._simple_sinks."""
    _install_standard(module.StandardSink)
    if not pipes.captured():
        return
    original = module.StreamSink.write

    def write(self: Any, message: Any) -> None:
        found = getattr(message, "_fl_ref", None)
        if found is None or not streams.markable(self._stream):
            original(self, message)
            return
        self._stream.write(streams.marked(self._stream, str(message), found))
        if self._flushable:
            self._stream.flush()

    module.StreamSink.write = write


def _install_standard(kind: Any) -> None:
    """What loguru hands to a handler of `logging`, formatted, is the record that it was."""
    original = kind.write

    def write(self: Any, message: Any) -> None:
        found = getattr(message, "_fl_ref", None)
        if found is None:
            original(self, message)
            return
        outer, dispatch.outer = dispatch.outer, (str(message), found)
        try:
            original(self, message)
        finally:
            dispatch.outer = outer

    kind.write = write


def loguru_sink(message: Any) -> None:
    """A sink: `logger.add(flightlog.loguru_sink)` journals what reaches it, once, whether loguru is hooked or not.

    It writes to the journal of this process, never to a database; blocks like `Logger.info`, never raises. Its level and filter are those given to
    `logger.add`; where loguru is hooked (a supervised process, or after `flightlog.init`) what only other sinks take is recorded as well.
    """
    try:
        if getattr(message, "_fl_ref", None) is None:  # else it was taken on its way here
            attach.end_at_exit()
            _journal(message.record)
    except MISTAKES as problem:
        if STACK_ABORTS and must_rise(problem):
            raise
        recorder.failed += 1
        recorder.check_at = 0
