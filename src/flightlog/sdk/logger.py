"""The native logger: `log.info("loaded", path=path, rows=n)`, one append to the journal, about two microseconds.

Owns: the hot path. What is constant at a call site (level, logger, file, line, function, message) is encoded once and kept
under the message literal, verified by code object and instruction; what is left is the time, the scope, the thread and the fields.
Invariants: never raises, whatever the fields are; never prints; a message is text, never a format.
"""

from __future__ import annotations

import sys
import threading
import time
from json.encoder import encode_basestring_ascii as quote

from .. import records
from ..config.control import STATE
from ..journal.encode import MAX_MESSAGE, MAX_VALUE, SURROGATES, clean_value, encode
from . import redact
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

MAX_SITES = 1024  # message literals remembered; text made at run time would fill the memory otherwise
_BIG = 1 << 63
_getframe = sys._getframe
_now = time.time_ns
_sites: dict[tuple[str, str, int], tuple[CodeType, int, str]] = {}
_keys: dict[str, str] = {}


class _Thread(threading.local):
    piece = ""


_thread = _Thread()


def thread_piece() -> str:
    """Return the piece of JSON that names the current thread."""
    piece = ',"th":%s' % quote(threading.current_thread().name)
    _thread.piece = piece
    return piece


class Logger:
    """A named source of records. Get one by `flightlog.get_logger`; safe in threads, signal handlers and forked children.

    Each method takes a message (constant text reads best; values belong in fields) and fields by keyword. When it returned,
    the record survives `kill -9` of the process. Messages are cut at 64 KB, records at 256 KB, both visibly.
    """

    __slots__ = ("_bound", "_bound_json", "level", "name")

    def __init__(self, name: str, level: int = 0, bound: dict[str, Any] | None = None) -> None:
        self.name = name
        self.level = level
        self._bound = bound or {}
        self._bound_json = _fields_json(self._bound) if self._bound else ""

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that adds *fields* to each of its records."""
        return Logger(self.name, self.level, dict(self._bound, **fields))

    def log(self, level: int, message: str, **fields: Any) -> None:
        """Record *message* at a numeric *level*."""
        if level >= self.level:
            _record(self, level, message, fields, _getframe(1))

    def trace(self, message: str, **fields: Any) -> None:
        """Record *message* at TRACE (5)."""
        if self.level <= 5:
            _record(self, 5, message, fields, _getframe(1))

    def debug(self, message: str, **fields: Any) -> None:
        """Record *message* at DEBUG (10)."""
        if self.level <= 10:
            _record(self, 10, message, fields, _getframe(1))

    def info(self, message: str, **fields: Any) -> None:
        """Record *message* at INFO (20)."""
        if self.level <= 20:
            _record(self, 20, message, fields, _getframe(1))

    def warning(self, message: str, **fields: Any) -> None:
        """Record *message* at WARNING (30)."""
        if self.level <= 30:
            _record(self, 30, message, fields, _getframe(1))

    def error(self, message: str, **fields: Any) -> None:
        """Record *message* at ERROR (40)."""
        if self.level <= 40:
            _record(self, 40, message, fields, _getframe(1))

    def critical(self, message: str, **fields: Any) -> None:
        """Record *message* at CRITICAL (50)."""
        if self.level <= 50:
            _record(self, 50, message, fields, _getframe(1))

    def exception(self, message: str, **fields: Any) -> None:
        """Record *message* at ERROR with the exception being handled, its frames and its chain."""
        if self.level <= 40:
            _record(self, 40, message, fields, _getframe(1), sys.exc_info()[1])

    def __repr__(self) -> str:
        return "<flightlog.Logger %s>" % self.name


def get_logger(name: str = "") -> Logger:
    """Return a logger; works before and without `init`. Makes no file until something is recorded."""
    return Logger(name if isinstance(name, str) and name else "root", default_level)


default_level = 0  # everything; `init(level=)` sets it for loggers got later


def _record(
    logger: Logger,
    level: int,
    message: str,
    fields: dict[str, Any],
    frame: FrameType,
    problem: BaseException | None = None,
) -> int:
    """Write one record; return its number, or 0."""
    try:
        now = _now()
        if (now >= recorder.check_at or recorder.control.page[STATE]) and not recorder.admit(now, level):
            return 0
        site = _sites.get((message, logger.name, level))
        if site is None or site[0] is not frame.f_code or site[1] != frame.f_lasti:
            site = _new_site(logger, level, message, frame)
        scope = current.get() or recorder.scope
        text = '%s,"t":%d%s%s' % (site[2], now, scope.tail, _thread.piece or thread_piece())  # type: ignore[union-attr]
        if fields:
            bound = logger._bound_json
            text += ',"x":{%s%s' % (bound + "," if bound else "", _fields_json(fields) + "}")
        elif logger._bound_json:
            text += ',"x":{%s}' % logger._bound_json
        if problem is not None:
            text += ',"e":' + encode(records.exception(problem)).decode("ascii")
        data = (text + "}").encode("utf-8", SURROGATES)
        if len(data) > 60_000:
            return _write_large(logger, level, message, fields, frame, problem, now)
        return recorder.writer.append(data, level)  # type: ignore[union-attr]
    except Exception:
        recorder.errors += 1
        return 0


def _new_site(logger: Logger, level: int, message: str, frame: FrameType) -> tuple[CodeType, int, str]:
    """Encode what is constant at a call site."""
    code = frame.f_code
    if type(message) is not str:
        message = records.safe_text(message)
    text = redact.text(message)
    piece = '{"k":"log","lv":%d,"lg":%s,"f":%s,"ln":%d,"fn":%s,"m":%s' % (
        level,
        quote(_plain(logger.name)),
        quote(_plain(code.co_filename)),
        frame.f_lineno or 0,
        quote(code.co_name),
        quote(_plain(text[:MAX_MESSAGE])),
    )
    if len(text) > MAX_MESSAGE:
        piece += ',"tr":true'
    site = (code, frame.f_lasti, piece)
    if len(text) < 512:
        if len(_sites) >= MAX_SITES:
            _sites.clear()
        _sites[(message, logger.name, level)] = site
    return site


def _plain(text: str) -> str:
    """Return *text* without lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _fields_json(fields: dict[str, Any]) -> str:
    """Return the inside of a JSON object; common types directly, the rest by `journal.encode`."""
    parts = []
    for key, value in fields.items():
        name = _keys.get(key)
        if name is None:
            name = _new_key(key)
        kind = type(value)
        if name[-1] == "]":  # a secret: the key's piece ends with its mask
            parts.append(name[:-1] if value is not None else name.partition(":")[0] + ":null")
        elif kind is str:
            if len(value) > MAX_VALUE:
                value = value[:MAX_VALUE] + "..."
            if not value.isascii():
                value = _plain(value)
            parts.append(name + quote(redact.text(value) if _suspect(value) else value))
        elif kind is int:
            parts.append(name + str(value) if -_BIG <= value < _BIG else name + quote(str(clean_value(value))))
        elif kind is float and value - value == 0.0:
            parts.append(name + repr(value))
        elif value is None:
            parts.append(name + "null")
        elif kind is bool:
            parts.append(name + ("true" if value else "false"))
        else:
            parts.append(name + encode({"x": redact.fields(clean_value(value))})[5:-1].decode("ascii"))
    return ",".join(parts)


def _suspect(value: str) -> bool:
    """Cheap test: may *value* hold a secret?"""
    return len(value) > 7 and (
        "=" in value or ":" in value or " " in value or "_" in value or "-" in value or "eyJ" in value or "A" in value
    )


def _new_key(key: str) -> str:
    name = quote(_plain(key)[:256]) + ":"
    if redact.is_secret_key(key):
        name += quote(redact.MASK) + "]"
    if len(_keys) < 4096:
        _keys[key] = name
    return name


def _write_large(
    logger: Logger,
    level: int,
    message: str,
    fields: dict[str, Any],
    frame: FrameType,
    problem: BaseException | None,
    now: int,
) -> int:
    """Write a record that may be above the caps: the slow, bounded way."""
    scope = current.get() or recorder.scope
    assert scope is not None and recorder.writer is not None
    record = {
        "k": "log",
        "t": now,
        "lv": level,
        "lg": logger.name,
        "f": frame.f_code.co_filename,
        "ln": frame.f_lineno,
        "fn": frame.f_code.co_name,
        "m": redact.text(records.safe_text(message, MAX_MESSAGE + 1)),
        "r": scope.run,
        "th": threading.current_thread().name,
        "x": redact.fields(dict(logger._bound, **fields)),
    }  # type: dict[str, Any]
    if scope.stage:
        record["s"] = scope.stage
    if problem is not None:
        record["e"] = records.exception(problem)
    return recorder.writer.append(encode(record), level)
