"""The hook into loguru: a record is taken where it is offered to the first handler, and its console copy is marked.

Owns: the replacements of `Handler.emit` and of the stream sink's write. A record that came from or goes to stdlib logging with the same
message is the same record. Records below the level of every handler are not recorded: loguru decides that before. The text
that goes to a sink carries the record's reference, also through the queue of `enqueue=True` to another thread or process.
"""

from __future__ import annotations

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
    from types import ModuleType
    from typing import Any


class _Last(threading.local):
    """The record that this thread handled last, by its time object: the record itself would keep its exception's frames alive."""

    key: object = None
    reference: tuple[str, int] | None = None


_last = _Last()
# `Message`, made when loguru is hooked, is what loguru hands to sinks; it is pickled by this name.


def _journal(record: dict[str, Any]) -> int:
    level = int(record["level"].no)
    now = time.time_ns()
    if not recorder.admit(now, level):
        return 0
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    payload = {
        "k": "log",
        "t": now,
        "lv": level,
        "lg": str(record["name"] or ""),
        "m": records.safe_text(record["message"], 65536),
        "r": scope.run,
        "th": record["thread"].name,
        "f": record["file"].path,
        "ln": record["line"],
        "fn": record["function"],
    }  # type: dict[str, Any]
    if scope.stage:
        payload["s"] = scope.stage
    if record["extra"]:
        payload["x"] = dict(record["extra"])
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        payload["e"] = records.exception(exception.value, exception.traceback)
    return recorder.writer.append(encode(payload), level)


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
                reference = streams.reference(_journal(record))
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
    if streams.captured():
        module.Message = _message_class(module.Message)  # type: ignore[attr-defined]


def _message_class(base: Any) -> Any:
    """Return loguru's class of messages with a place for the reference."""

    def __init__(self: Any, text: str) -> None:
        outer = dispatch.outer
        self._fl_ref = None if outer is None else outer[1]

    made = type("Message", (base,), {"__slots__": ("_fl_ref",), "__init__": __init__, "__module__": __name__})
    globals()["Message"] = made
    return made


def install_sinks(module: ModuleType) -> None:
    """Install into loguru._simple_sinks."""
    if not streams.captured():
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
