"""Any record as JSON bytes: a record is never lost because of what is in it, and holds no secret that is known as one.

Owns: the order sanitise -> mask secrets (`redact`) -> encode -> minimal record, and the caps (depth 32, 512 keys, 64 KB of message, 256 KB in all).
What JSON cannot say becomes text: NaN and infinities, integers beyond 64 bits, bytes, unknown objects (their repr, capped).
Lone surrogates are written as \\udXXX text. Never raises. Standard library only: the C helpers of `json` where they exist.
"""

from __future__ import annotations

import codecs
import json
import math

from .. import redact
from .format import MAX_PAYLOAD_BYTES
from .mistakes import MISTAKES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 32
MAX_KEYS = 512
MAX_MESSAGE = 64 * 1024  # characters
MAX_VALUE = 32 * 1024  # characters of one string among the fields
MAX_REPR = 1024
_INT_BOUND = 1 << 63
_SEQUENCES: tuple[Any, ...] = (list, tuple, set, frozenset)
SURROGATES = "flightlog"  # name of the error handler below


def _surrogate_text(problem: UnicodeError) -> tuple[bytes, int]:
    """Write lone surrogates as text: \\\\udc80 inside a JSON string is the six characters \\udc80, which every reader accepts."""
    assert isinstance(problem, UnicodeEncodeError)
    found = problem.object[problem.start : problem.end]
    return "".join(["\\\\u%04x" % ord(c) for c in found]).encode("ascii"), problem.end


codecs.register_error(SURROGATES, _surrogate_text)  # for the SDK's hot path: no exception is raised

_fast = json.JSONEncoder(
    ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":"), sort_keys=False
).encode


def encode(record: dict[str, Any]) -> bytes:
    """Return *record* as UTF-8 JSON of at most 256 KB, with secrets masked. Blocks on nothing, never raises.

    A record that had to be cut carries `"tr": true`.
    """
    try:
        return _bounded(redact.fields(_clean(record, 0)), record)  # type: ignore[arg-type]
    except MISTAKES as problem:
        return _minimal(record, problem)


def _bounded(clean: dict[str, Any], record: dict[str, Any]) -> bytes:
    message = clean.get("m")
    if type(message) is str and len(message) > MAX_MESSAGE:
        clean["m"], clean["tr"] = message[:MAX_MESSAGE], True
    data = _fast(clean).encode("ascii")
    if len(data) <= MAX_PAYLOAD_BYTES:
        return data
    clean["tr"] = True
    for key in ("x", "e", "m", "th", "lg", "s"):  # what is largest most often goes first
        if key in clean and len(_fast(clean[key])) > 4096:
            value = clean[key]
            clean[key] = value[:4096] if type(value) is str else {"truncated": _fast(value)[:2048]}
            data = _fast(clean).encode("ascii")
            if len(data) <= MAX_PAYLOAD_BYTES:
                return data
    return _minimal(record, ValueError("record too large"))


def _minimal(record: dict[str, Any], problem: Exception) -> bytes:
    kept: dict[str, Any] = {}
    for key in ("k", "t", "lv", "lg", "ev", "r", "s"):
        value = record.get(key) if type(record) is dict else None
        if type(value) is int:
            kept[key] = value
        elif type(value) is str and len(value) <= 1024:
            kept[key] = redact.text(value)
    kept.setdefault("k", "log")
    kept["m"] = "unencodable record (%s)" % type(problem).__name__
    kept["tr"] = True
    return json.dumps(kept, ensure_ascii=True).encode("ascii")


def clean_value(value: Any) -> Any:
    """Return *value* as something that JSON can carry; never raises."""
    try:
        return _clean(value, 2)
    except MISTAKES as problem:
        return "<unencodable %s: %s>" % (type(value).__name__, type(problem).__name__)


def _clean(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        if not value.isascii():
            value = value.encode("utf-8", "backslashreplace").decode("utf-8")
        return value if depth < 2 or len(value) <= MAX_VALUE else redact.cut(value, MAX_VALUE)
    if kind is int:
        return value if -_INT_BOUND <= value < 2 * _INT_BOUND else _big(value)
    if value is None or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if depth > MAX_DEPTH:
        return "<deeper than %d levels>" % MAX_DEPTH
    # Subclasses are read by the methods of what they are made of: no code of the program's own runs here, see `_text`.
    if issubclass(kind, dict):
        return _clean_dict(value, depth)
    for base in _SEQUENCES:
        if issubclass(kind, base):
            size = base.__len__(value)
            items = [_clean(item, depth + 1) for item, _ in zip(base.__iter__(value), range(MAX_KEYS))]
            return items if size <= MAX_KEYS else [*items, "<%d more>" % (size - MAX_KEYS)]
    return _clean_other(value, kind, depth)


def _clean_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in dict.items(value):
        if len(result) >= MAX_KEYS:
            result["<more>"] = dict.__len__(value) - MAX_KEYS
            break
        name = _clean(key, depth + 1) if type(key) is str else _text(key)
        result[name[:256]] = _clean(item, depth + 1)
    return result


def _clean_other(value: Any, kind: type, depth: int) -> Any:
    if issubclass(kind, bytes):
        return _clean(bytes.__getitem__(value, slice(MAX_REPR)).decode("utf-8", "backslashreplace"), depth)
    if issubclass(kind, int):
        return _clean(int.__int__(value), depth)
    if issubclass(kind, float):
        return _clean(float.__float__(value), depth)
    if issubclass(kind, str):
        return _clean(str.__str__(value), depth)
    module = kind.__module__
    if module == "datetime" and hasattr(kind, "isoformat"):
        return value.isoformat()
    if module in ("uuid", "decimal", "pathlib", "ipaddress"):
        return _clean(str(value), depth)
    return _clean(_text(value), depth)


def _big(value: int) -> str:
    # str() of a huge integer is quadratic and refused above 4,300 digits by newer Pythons
    return str(value) if value.bit_length() <= 4096 else "<integer of %d bits>" % value.bit_length()


def _text(value: object) -> str:
    """Return the repr of an object we know nothing about, capped; its code may raise."""
    try:
        text = repr(value)
    except Exception:  # what is no Exception may be a signal handler's sys.exit, which must not be swallowed
        return "<unprintable %s object>" % type(value).__name__
    if type(text) is not str:
        text = str.__str__(text)
    text = text if len(text) <= MAX_REPR else redact.cut(text, MAX_REPR)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
