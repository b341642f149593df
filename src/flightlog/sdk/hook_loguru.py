"""The hook into loguru: a record is taken where the first handler that accepts it gets it, and its console copy is marked.

Owns: the replacements of `Handler.emit` and of the stream sink's write. A record that came from or goes to stdlib logging with the same
message is the same record. Records that no handler would print at their level are not recorded: loguru decides that before.
"""

from __future__ import annotations

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


class _Last(threading.local):
    record: object = None
    n = 0


_last = _Last()


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
        "m": redact.text(records.safe_text(record["message"], 65536)),
        "r": scope.run,
        "th": record["thread"].name,
        "f": record["file"].path,
        "ln": record["line"],
        "fn": record["function"],
    }  # type: dict[str, Any]
    if scope.stage:
        payload["s"] = scope.stage
    if record["extra"]:
        payload["x"] = redact.fields(dict(record["extra"]))
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        payload["e"] = records.exception(exception.value, exception.traceback)
    return recorder.writer.append(encode(payload), level)


def install_handler(module: ModuleType) -> None:
    """Install into loguru._handler."""
    original = module.Handler.emit

    def emit(self: Any, record: Any, *args: Any, **kw: Any) -> Any:
        outer = dispatch.outer
        try:
            if _last.record is not record:
                _last.record = record
                _last.n = outer[1] if outer is not None and outer[0] == record["message"] else _journal(record)
            dispatch.outer = (record["message"], _last.n)
        except Exception:
            recorder.errors += 1
        try:
            return original(self, record, *args, **kw)
        finally:
            dispatch.outer = outer

    module.Handler.emit = emit


def install_sinks(module: ModuleType) -> None:
    """Install into loguru._simple_sinks."""
    if not streams.captured():
        return
    original = module.StreamSink.write

    def write(self: Any, message: Any) -> None:
        stream = self._stream
        if not streams.markable(stream):
            original(self, message)
            return
        stream.write(streams.marked(stream, str(message), _last.n or 1))
        if self._flushable:
            stream.flush()

    module.StreamSink.write = write
