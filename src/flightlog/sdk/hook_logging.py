"""The hook into stdlib `logging`: each record is taken where it is handed to handlers, and its console copy is marked.

Owns: the replacement of `Logger.callHandlers`. It is compiled under logging's own file name, so
that `findCaller` and other frame walkers see the frames they saw before; when somebody else has replaced it already, theirs is
wrapped. No handler is added, no level is looked at or changed: what the program would have handed to handlers is recorded.
A record that a bridge hands on (same message, inside the dispatch of another, or the same record again) is the same record, also when it was
refused. Leaves marks and what records carry to `mark_logging`.
"""

from __future__ import annotations

import os
import threading
import time
from json.encoder import encode_basestring_ascii as quote

from .. import records
from ..config.control import DISABLED, STATE
from ..journal.encode import MAX_MESSAGE, clean_value, encode
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import mark_logging, pipes, redact, streams
from .context import current
from .pieces import LARGE_BYTES, fields, plain, thread, threads
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import ModuleType
    from typing import Any, Callable, Dict, Optional, Tuple

    # What another library says of the record that is on its way here: its text (None: the record's own), fields, exception, and the record's
    # number when it has been journalled (None: it has not).
    Event = Tuple[Optional[str], Dict[str, Any], Optional[BaseException], Optional[int]]

MAX_SITES = 4096
_sites: dict[tuple[int, str, int, str], str] = {}


class Dispatch(threading.local):
    """What this thread is dispatching: (message, reference); what structlog or `warnings` says of a record that is on its way here; and the
    exception that somebody (`hook_asyncio`) expects to be logged: None again when it was.
    """

    outer: tuple[str, tuple[str, int] | None] | None = None
    event: Event | None = None
    expected: BaseException | None = None


dispatch = Dispatch()
DAGSTER = (
    "dagster_meta"  # Dagster's handler gives what it handles a new text and logs it again, with this among its fields
)
_standard: frozenset[str] = frozenset()
_standard_count = 0
_marking = False  # the console is a capture pipe

# Line by line below logging's own text from 3.8 to 3.13, so that tracebacks through it show what they showed before.
_SOURCE = (
    "def callHandlers(self, record):"
    + "\n" * 8
    + """\
    token = _fl_take(self, record)
    try:
        c = self
        found = 0
        while c:
            for hdlr in c.handlers:
                found = found + 1
                if record.levelno >= hdlr.level:
                    hdlr.handle(record)
            if not c.propagate:
                c = None
            else:
                c = c.parent
        if found == 0:
            if lastResort:
                if record.levelno >= lastResort.level:
                    lastResort.handle(record)
            elif raiseExceptions and not self.manager.emittedNoHandlerWarning:
                sys.stderr.write("No handlers could be found for logger"
                                 " \\"%s\\"\\n" % self.name)
                self.manager.emittedNoHandlerWarning = True
    finally:
        _fl_dispatch.outer = token
"""
)


def install(logging: ModuleType) -> None:
    """Install into the module *logging*."""
    global _marking
    prepare(logging)
    namespace = logging.__dict__
    original = logging.Logger.callHandlers
    own = getattr(getattr(original, "__code__", None), "co_filename", "") == getattr(logging, "__file__", "")
    if own or _same_file(original, logging):
        made: dict[str, Any] = {}
        namespace["_fl_take"], namespace["_fl_dispatch"] = take, dispatch
        source = mark_logging.at_lines_of(original, _SOURCE)
        exec(compile(source, logging._srcfile, "exec"), namespace, made)  # noqa: S102
        logging.Logger.callHandlers = made["callHandlers"]
    else:

        def chained(self: Any, record: Any) -> Any:
            token = take(self, record)
            try:
                return original(self, record)
            finally:
                dispatch.outer = token

        logging.Logger.callHandlers = chained
    if pipes.captured():
        _marking = True
        mark_logging.install(logging, dispatch)


def prepare(logging: ModuleType) -> None:
    """Learn what a record of *logging* has, and let records carry what is known of them. Enough for `take`; changes nothing that is seen."""
    global _standard, _standard_count
    sample = logging.LogRecord("n", 20, "f", 1, "m", (), None, "fn")
    _standard = frozenset(vars(sample)) | {"message", "asctime", "exc_text", "taskName"}
    _standard_count = len(vars(sample))
    mark_logging.carry(logging)


def _same_file(function: Any, logging: ModuleType) -> bool:
    name = getattr(getattr(function, "__code__", None), "co_filename", "")
    return os.path.basename(os.path.dirname(name)) == "logging" and os.path.normcase(name) == logging._srcfile


def take(
    logger: logging.Logger | None, record: logging.LogRecord, form: Callable[[logging.LogRecord], str] | None = None
) -> tuple[str, tuple[str, int] | None] | None:
    """Journal *record*, once; return what `dispatch.outer` was before. Never raises. *form* makes another text of it than its message."""
    outer = dispatch.outer
    try:
        try:
            now = int(record.created * 1e9)
        except MISTAKES as problem:  # a program's filter may put anything there
            if STACK_ABORTS and must_rise(problem):
                raise
            now = time.time_ns()
        if (now >= recorder.check_at or recorder.page[STATE]) and not _admit(record, now):
            return outer
        try:
            message = record.getMessage()
        except Exception as problem:  # wrong arguments: logging itself complains on the console
            if not record.args and type(record.msg) is str:  # no code of the program was called: it came from outside
                if not isinstance(problem, MISTAKES):
                    raise
                message = record.msg
            else:
                message = "%s (arguments do not fit: %s)" % (records.safe_text(record.msg), type(problem).__name__)
        carries = type(record) is mark_logging.Carrying
        if outer is not None and (outer[0] == message or DAGSTER in record.__dict__):
            reference = outer[1]
        else:
            # It may have been journalled before: by another process, or before it was handed on by `logger.handle`.
            reference = getattr(record, "_fl_ref", None) if carries else mark_logging.reference(record)
            if reference is None:
                data = None
                if form is None and dispatch.event is None and not record.exc_info and not record.stack_info:
                    # What most records are like, without a call: between them the program has filled the caches with its own.
                    try:
                        site = _sites.get((record.lineno, record.pathname, record.levelno, record.name))
                        if site is not None and len(record.__dict__) == _standard_count and message.isascii():
                            where = current.get() or recorder.scope
                            data = f'{site},"t":{now}{where.tail}{threads.get(record.threadName) or thread(record.threadName)},"m":{quote(redact.text(message))}}}'.encode()  # type: ignore[union-attr]
                    except MISTAKES as problem:
                        if STACK_ABORTS and must_rise(problem):
                            raise
                if data is not None and len(data) <= LARGE_BYTES:
                    n = recorder.writer.append(data, record.levelno)  # type: ignore[union-attr]
                else:
                    n = _journal(record, message if form is None else _formed(form, record, message), now)
                reference = streams.reference(n) or mark_logging.REFUSED
            dispatch.outer = (message, reference)
        if carries:
            record._fl_ref = reference
        else:
            mark_logging.remember(record, reference)
    except MISTAKES as problem:
        if STACK_ABORTS and must_rise(problem):
            raise
        recorder.failed += 1  # plain stores: the stack may be full
        recorder.check_at = 0
    return outer


def _admit(record: logging.LogRecord, now: int) -> bool:
    """Tell whether *record* may be written. When a bridge hands on what was refused, that is no second record that was refused."""
    refused = mark_logging.REFUSED
    try:
        if mark_logging.known(record, dispatch) == refused:
            return False
    except Exception:  # of the program's own getMessage
        pass
    if recorder.admit(now, record.levelno):
        return True
    if not recorder.page[STATE] & DISABLED:
        mark_logging.remember(record, refused)
        try:
            dispatch.outer = (record.getMessage(), refused)
        except Exception:
            pass
    return False


def _formed(form: Callable[[logging.LogRecord], str], record: logging.LogRecord, message: str) -> str:
    try:
        return form(record)
    except Exception:  # of the program's own formatter
        return message


def _journal(record: logging.LogRecord, message: str, now: int) -> int:
    begun = False
    event = dispatch.event
    if event is not None:
        dispatch.event = None  # what a handler logs meanwhile is another record
        if event[3] is not None:
            return event[3]
        message = message if event[0] is None else event[0]
    try:
        key = (record.lineno, record.pathname, record.levelno, record.name)
        site = _sites.get(key) or _new_site(record, key)
        text = quote(redact.text(message if message.isascii() else plain(message)))
        more = ""
        if event is not None or len(record.__dict__) != _standard_count or record.stack_info:
            more = fields(_extra(record, event))
            if more:
                more = ',"x":{%s}' % more[1:]
        if record.exc_info and record.exc_info[1] is not None:
            more += ',"e":' + encode(records.exception(record.exc_info[1], record.exc_info[2])).decode("ascii")
            if dispatch.expected is record.exc_info[1]:
                dispatch.expected = None
        elif event is not None and event[2] is not None:  # structlog has made text of it
            more += ',"e":' + encode(records.exception(event[2])).decode("ascii")
        name = record.threadName
        where = current.get() or recorder.scope
        data = f'{site},"t":{now}{where.tail}{threads.get(name) or thread(name)},"m":{text}{more}}}'.encode()  # type: ignore[union-attr]
        if len(data) <= LARGE_BYTES:
            begun = True  # from here on it may have been written: it is not tried again
            return recorder.writer.append(data, record.levelno)  # type: ignore[union-attr]
    except MISTAKES as problem:
        if begun or (STACK_ABORTS and must_rise(problem)):
            raise
    # Something about this record is strange; this way takes anything.
    return _journal_slowly(record, message, now, event)


def _journal_slowly(record: logging.LogRecord, message: object, now: int, event: Event | None) -> int:
    """Write a record that may be above the caps, or that the fast way choked on."""
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    level = record.levelno if type(record.levelno) is int else records.INFO
    data = {
        "k": "log",
        "t": now,
        "lv": level,
        "lg": records.safe_text(record.name),
        "f": records.safe_text(record.pathname),
        "ln": record.lineno if type(record.lineno) is int else 0,
        "fn": records.safe_text(record.funcName),
        "m": redact.text(records.safe_text(message, MAX_MESSAGE + 1)),
        "r": scope.run,
        "th": records.safe_text(record.threadName),
    }  # type: dict[str, Any]
    if scope.stage:
        data["s"] = scope.stage
    extra = _extra(record, event)
    if extra:
        data["x"] = redact.fields(clean_value(extra))
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        data["e"] = records.exception(record.exc_info[1], record.exc_info[2])
        if dispatch.expected is record.exc_info[1]:
            dispatch.expected = None
    elif event is not None and event[2] is not None:
        data["e"] = records.exception(event[2])
    return recorder.writer.append(encode(data), level)


def _new_site(record: logging.LogRecord, key: tuple[int, str, int, str]) -> str:
    site = '{"k":"log","lv":%d,"lg":%s,"f":%s,"ln":%d,"fn":%s' % (
        record.levelno,
        quote(redact.text(plain(str(record.name)))),
        quote(redact.text(plain(str(record.pathname)))),
        record.lineno or 0,
        quote(plain(str(record.funcName or ""))),
    )
    if len(_sites) >= MAX_SITES:
        _sites.clear()
    _sites[key] = site
    return site


def _extra(record: logging.LogRecord, event: Event | None) -> dict[str, Any]:
    """Return the fields of a record: what structlog bound, or what `extra=` put there; and the stack, where it was asked for."""
    if event is not None and event[0] is not None:
        found = event[1]
    else:
        found = {str(key): value for key, value in record.__dict__.items() if key not in _standard}
        if event is not None:
            found.update(event[1])
    if getattr(record, "stack_info", None):
        found = dict(found, stack_info=record.stack_info)
    return found


redact.on_change(_sites.clear)
