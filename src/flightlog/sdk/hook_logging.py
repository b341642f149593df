"""The hook into stdlib `logging`: each record is taken where it is handed to handlers, and its console copy is marked.

Owns: the replacements of `Logger.callHandlers` and `StreamHandler.emit`. The first is compiled under logging's own file name, so
that `findCaller` and other frame walkers see the frames they saw before; when somebody else has replaced it already, theirs is
wrapped. No handler is added, no level is looked at or changed: what the program would have handed to handlers is recorded.
A record that a bridge hands on (same message, inside the dispatch of another) is the same record.
"""

from __future__ import annotations

import os
import threading
from json.encoder import encode_basestring_ascii as quote

from .. import records
from ..config.control import STATE
from ..journal.encode import MAX_MESSAGE, SURROGATES, encode
from . import redact, streams
from .context import current
from .logger import _fields_json, _plain
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import ModuleType
    from typing import Any

MAX_SITES = 4096
_sites: dict[tuple[int, str, int, str], str] = {}
_threads: dict[str, str] = {}


class Dispatch(threading.local):
    """What this thread is dispatching: (message, reference for the mark); and the event of a structlog call around it."""

    outer: tuple[str, int] | None = None
    event: tuple[str, dict[str, Any]] | None = None


dispatch = Dispatch()
_standard: frozenset[str] = frozenset()
_standard_count = 0

_SOURCE = """
def callHandlers(self, record):
    token = _fl_take(self, record)
    try:
        c = self
        found = 0
        while c:
            for hdlr in c.handlers:
                found = found + 1
                if record.levelno >= hdlr.level:
                    hdlr.handle(record)
            c = c.parent if c.propagate else None
        if found == 0:
            if lastResort:
                if record.levelno >= lastResort.level:
                    lastResort.handle(record)
            elif raiseExceptions and not self.manager.emittedNoHandlerWarning:
                sys.stderr.write("No handlers could be found for logger \\"%s\\"\\n" % self.name)
                self.manager.emittedNoHandlerWarning = True
    finally:
        _fl_dispatch.outer = token
"""


def install(logging: ModuleType) -> None:
    """Install into the module *logging*."""
    global _standard, _standard_count
    sample = logging.LogRecord("n", 20, "f", 1, "m", (), None, "fn")
    _standard = frozenset(vars(sample)) | {"message", "asctime", "exc_text", "taskName"}
    _standard_count = len(vars(sample))
    namespace = logging.__dict__
    original = logging.Logger.callHandlers
    own = getattr(getattr(original, "__code__", None), "co_filename", "") == getattr(logging, "__file__", "")
    if own or _same_file(original, logging):
        made: dict[str, Any] = {}
        namespace["_fl_take"], namespace["_fl_dispatch"] = take, dispatch
        exec(compile(_SOURCE, logging._srcfile, "exec"), namespace, made)  # noqa: S102
        logging.Logger.callHandlers = made["callHandlers"]
    else:

        def chained(self: Any, record: Any) -> Any:
            token = take(self, record)
            try:
                return original(self, record)
            finally:
                dispatch.outer = token

        logging.Logger.callHandlers = chained
    if streams.captured():
        _install_marks(logging)


def _same_file(function: Any, logging: ModuleType) -> bool:
    name = getattr(getattr(function, "__code__", None), "co_filename", "")
    return os.path.basename(os.path.dirname(name)) == "logging" and os.path.normcase(name) == logging._srcfile


def take(logger: logging.Logger, record: logging.LogRecord) -> tuple[str, int] | None:
    """Journal *record*; return what `dispatch.outer` was before. Never raises."""
    outer = dispatch.outer
    try:
        now = int(record.created * 1e9)
        if (now >= recorder.check_at or recorder.control.page[STATE]) and not recorder.admit(now, record.levelno):
            return outer
        try:
            message = record.getMessage()
        except Exception as problem:  # wrong arguments: logging itself complains on the console
            message = "%s (arguments do not fit: %s)" % (records.safe_text(record.msg), type(problem).__name__)
        if outer is not None and outer[0] == message:
            _remember(record, outer[1])
            return outer
        n = _journal(record, message, now)
        _remember(record, n)
        dispatch.outer = (message, n)
    except Exception:
        recorder.errors += 1
    return outer


def _remember(record: Any, n: int) -> None:
    if _Record is not None and isinstance(record, _Record):
        record._fl_n = n  # type: ignore[attr-defined]


def _journal(record: logging.LogRecord, message: str, now: int) -> int:
    key = (record.lineno, record.pathname, record.levelno, record.name)
    site = _sites.get(key)
    if site is None:
        site = _new_site(record, key)
    scope = current.get() or recorder.scope
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE]
    thread = _threads.get(record.threadName)  # type: ignore[arg-type]
    if thread is None:
        thread = _new_thread(record.threadName)
    text = '%s,"t":%d%s%s,"m":%s' % (
        site,
        now,
        scope.tail,  # type: ignore[union-attr]
        thread,
        quote(redact.text(message if message.isascii() else _plain(message))),
    )
    if len(record.__dict__) != _standard_count or dispatch.event is not None:
        text += _extra(record)
    if record.exc_info:
        problem = record.exc_info[1]
        if problem is not None:
            text += ',"e":' + encode(records.exception(problem, record.exc_info[2])).decode("ascii")
    data = (text + "}").encode("utf-8", SURROGATES)
    return recorder.writer.append(data, record.levelno)  # type: ignore[union-attr]


def _new_site(record: logging.LogRecord, key: tuple[int, str, int, str]) -> str:
    site = '{"k":"log","lv":%d,"lg":%s,"f":%s,"ln":%d,"fn":%s' % (
        record.levelno,
        quote(_plain(str(record.name))),
        quote(_plain(str(record.pathname))),
        record.lineno or 0,
        quote(_plain(str(record.funcName or ""))),
    )
    if len(_sites) >= MAX_SITES:
        _sites.clear()
    _sites[key] = site
    return site


def _new_thread(name: str | None) -> str:
    piece = ',"th":%s' % quote(_plain(str(name))) if name else ""
    if len(_threads) > 1024:
        _threads.clear()
    _threads[name] = piece  # type: ignore[index]
    return piece


def _extra(record: logging.LogRecord) -> str:
    """Return the fields of a record: what `extra=` put there, or what structlog bound."""
    fields = {key: value for key, value in record.__dict__.items() if key not in _standard and key[:4] != "_fl_"}
    if dispatch.event is not None:
        fields.update(dispatch.event[1])
    text = _fields_json({str(key): value for key, value in fields.items()}) if fields else ""
    if len(text) > 128 * 1024:
        text = '"truncated":%s' % quote(text[:2048])
    return ',"x":{%s}' % text if text else ""


_Record: type | None = None


def _install_marks(logging: ModuleType) -> None:
    """Let the console handlers mark what has been journalled: only where the console is a capture pipe."""
    global _Record
    base = logging.getLogRecordFactory()
    if isinstance(base, type):
        # A slot is not in __dict__, so formatters that print every attribute do not see it, and copy() keeps it.
        _Record = type("LogRecord", (base,), {"__slots__": ("_fl_n",), "__module__": "logging"})
        logging.setLogRecordFactory(_Record)
    original = logging.StreamHandler.emit

    def emit(self: Any, record: Any) -> None:
        stream = self.stream
        n = getattr(record, "_fl_n", 0) if _Record is not None and isinstance(record, _Record) else 0
        if not n or not streams.markable(stream):
            original(self, record)
            return
        try:
            text = self.format(record) + self.terminator
            stream.write(streams.marked(stream, text, n))
            self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    logging.StreamHandler.emit = emit


def reference_of(record: object) -> int:
    """Return the number under which *record* was journalled, 0 when it was not."""
    return int(getattr(record, "_fl_n", 0) or 0)
