"""The native logger: `log.info("loaded", path=path, rows=n)`, one append to the journal, about two microseconds.

Owns: the hot path. What is constant at a call site (level, logger, file, line, function, message) is encoded once and kept
under the message literal, verified by code object and instruction; what is left is the time, the scope, the thread and the fields.
Invariants: never raises, whatever the fields are (`journal.mistakes` names the one exception); never prints; a message alone is text, never a format.
"""

from __future__ import annotations

import sys
import threading
import time
from json.encoder import encode_basestring_ascii as quote

from .. import records
from ..config.control import STATE
from ..journal.encode import MAX_MESSAGE, clean_value, encode
from ..journal.mistakes import MISTAKES, STACK_ABORTS, must_rise
from . import redact
from .context import current
from .pieces import LARGE_BYTES, fields, name_current_thread, plain
from .pieces import current_thread as _thread
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Tuple

    Site = Tuple[CodeType, int, int, str]  # code, instruction, level, piece

MAX_SITES = 1024  # message literals remembered per logger name; text made at run time would fill the memory otherwise
_getframe = sys._getframe
_now = time.time_ns
_sites: dict[str, dict[str, Site]] = {}  # logger name -> message -> site


class Logger:
    """A named source of records. Get one by `flightlog.get_logger`; safe in threads, signal handlers and forked children.

    Each method takes a message (constant text reads best; values belong in fields) and fields by keyword. Values behind the message are put into it
    by `%`, as with `logging`; where they do not fit they stand behind it. When it returned, the record survives `kill -9` of the process. Messages are cut at 64 KB, records at 256 KB, both visibly.
    """

    __slots__ = ("_bound", "_bound_json", "_sites", "level", "name")

    def __init__(self, name: str, level: int = 0, bound: dict[str, Any] | None = None) -> None:
        self.name = name
        self.level = level
        self._bound = bound or {}
        self._bound_json = fields(self._bound) if self._bound else ""
        self._sites = _sites.setdefault(name, {})

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that adds *fields* to each of its records."""
        return Logger(self.name, self.level, dict(self._bound, **fields))

    def log(self, level: int, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at a numeric *level*; one that is no number counts as INFO."""
        if type(level) is not int:
            level = records.INFO
        if level >= self.level:
            _record(self, level, _said(message, args) if args else message, fields, _getframe(1))

    def trace(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at TRACE (5)."""
        if self.level <= 5:
            _record(self, 5, _said(message, args) if args else message, fields, _getframe(1))

    def debug(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at DEBUG (10)."""
        if self.level <= 10:
            _record(self, 10, _said(message, args) if args else message, fields, _getframe(1))

    def info(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at INFO (20)."""
        if self.level <= 20:
            _record(self, 20, _said(message, args) if args else message, fields, _getframe(1))

    def warning(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at WARNING (30)."""
        if self.level <= 30:
            _record(self, 30, _said(message, args) if args else message, fields, _getframe(1))

    def error(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at ERROR (40)."""
        if self.level <= 40:
            _record(self, 40, _said(message, args) if args else message, fields, _getframe(1))

    def critical(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at CRITICAL (50)."""
        if self.level <= 50:
            _record(self, 50, _said(message, args) if args else message, fields, _getframe(1))

    def exception(self, message: object = "", /, *args: Any, **fields: Any) -> None:
        """Record *message* at ERROR with the exception being handled, its frames and its chain."""
        if self.level <= 40:
            _record(self, 40, _said(message, args) if args else message, fields, _getframe(1), sys.exc_info()[1])

    warn = warning
    fatal = critical

    def isEnabledFor(self, level: int) -> bool:
        """Tell whether records of *level* are made."""
        return level >= self.level

    def __repr__(self) -> str:
        return "<flightlog.Logger %s>" % self.name


def get_logger(name: str = "") -> Logger:
    """Return a logger; works before and without `init`. Makes no file until something is recorded."""
    return Logger(name if isinstance(name, str) and name else "root", default_level)


default_level = 0  # everything; `init(level=)` sets it for loggers got later


def _said(message: object, args: tuple[Any, ...]) -> str:
    """Return a message with values in it, as `logging` puts them there; behind it where they do not fit. Never raises."""
    text = message if type(message) is str else records.safe_text(message)
    try:
        return text % (args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args)
    except MISTAKES as trouble:
        if STACK_ABORTS and must_rise(trouble):
            raise
        return text + " " + records.safe_text(args)


def _record(
    logger: Logger,
    level: int,
    message: Any,
    values: dict[str, Any],
    frame: FrameType,
    problem: BaseException | None = None,
) -> int:
    """Write one record; return its number, or 0."""
    begun = False
    try:
        now = _now()
        if (now >= recorder.check_at or recorder.page[STATE]) and not recorder.admit(now, level):
            return 0
        site = logger._sites.get(message)
        if site is None or site[0] is not frame.f_code or site[1] != frame.f_lasti or site[2] != level:
            site = _new_site(logger, level, message, frame)
        if logger._bound_json or problem is not None:
            more = _rest(logger, values, problem)
        elif values:
            more = f',"x":{{{fields(values)[1:]}}}}}'
        else:
            more = "}"
        data = f'{site[3]},"t":{now}{(current.get() or recorder.scope).tail}{_thread.piece or name_current_thread()}{more}'.encode()  # type: ignore[union-attr]
        if len(data) <= LARGE_BYTES:
            begun = True  # from here on it may have been written: it is not tried again
            return recorder.writer.append(data, level)  # type: ignore[union-attr]
    except MISTAKES as trouble:
        if STACK_ABORTS and must_rise(trouble):
            raise
    try:
        if not begun:  # something about this record is strange: this way takes anything
            return _write_large(logger, level, message, values, frame, problem)
    except MISTAKES as trouble:
        if STACK_ABORTS and must_rise(trouble):
            raise
    recorder.failed += 1  # plain stores: the stack may be full
    recorder.check_at = 0
    return 0


def _rest(logger: Logger, values: dict[str, Any], problem: BaseException | None) -> str:
    """Return the end of a record with bound fields, which come first, or with an exception."""
    more = logger._bound_json + fields(values)
    if more:
        more = ',"x":{%s}' % more[1:]
    if problem is not None:
        more += ',"e":' + encode(records.exception(problem)).decode("ascii")
    return more + "}"


def _new_site(logger: Logger, level: int, message: Any, frame: FrameType) -> Site:
    """Encode what is constant at a call site."""
    code = frame.f_code
    if type(message) is not str:
        message = records.safe_text(message)
    text = redact.text(message)
    piece = '{"k":"log","lv":%d,"lg":%s,"f":%s,"ln":%d,"fn":%s,"m":%s' % (
        level,
        quote(redact.text(plain(logger.name))),
        quote(redact.text(plain(code.co_filename))),
        frame.f_lineno or 0,
        quote(code.co_name),
        quote(plain(text[:MAX_MESSAGE])),
    )
    if len(text) > MAX_MESSAGE:
        piece += ',"tr":true'
    site = (code, frame.f_lasti, level, piece)
    if len(text) < 512:
        if len(logger._sites) >= MAX_SITES:
            logger._sites.clear()
        logger._sites[message] = site
    return site


def _write_large(
    logger: Logger,
    level: int,
    message: Any,
    values: dict[str, Any],
    frame: FrameType,
    problem: BaseException | None,
) -> int:
    """Write a record that may be above the caps, or that the fast way choked on: the slow, bounded way."""
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    record = {
        "k": "log",
        "t": _now(),
        "lv": level,
        "lg": logger.name,
        "f": frame.f_code.co_filename,
        "ln": frame.f_lineno,
        "fn": frame.f_code.co_name,
        "m": redact.text(records.safe_text(message, MAX_MESSAGE + 1)),
        "r": scope.run,
        "th": threading.current_thread().name,
        "x": redact.fields(clean_value(dict(logger._bound, **values))),
    }  # type: dict[str, Any]
    if scope.stage:
        record["s"] = scope.stage
    if problem is not None:
        record["e"] = records.exception(problem)
    return recorder.writer.append(encode(record), level)


def _rules_changed() -> None:
    for sites in list(_sites.values()):
        sites.clear()


redact.on_change(_rules_changed)
