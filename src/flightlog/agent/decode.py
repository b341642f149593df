"""A frame's payload as fields: the fast way for what our own writers write, a slow and patient one for everything else.

Invariants: whatever JSON object stands in a valid frame becomes a record; what PostgreSQL cannot store (NUL, lone surrogates) becomes visible
text; only a payload that is no JSON object at all, or one nested about a thousand levels deep, raises. Owns: types and repair. Leaves call sites to `sites`, rows to `rows`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from ..errors import PoisonRecord

MAX_DEPTH = 64
NOTHING = msgspec.Raw(b"")
_BACKSLASH = 0x5C
_escapes = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])").search


class Record(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What differs between the records of one call site; keys as in docs/reference/journal-format.md. `x` and `e` are JSON text, not looked into."""

    t: int = 0
    m: str = ""
    r: str = ""
    s: str | None = None
    th: str | None = None
    x: msgspec.Raw = NOTHING
    e: msgspec.Raw = NOTHING
    src: str = "sdk"
    tr: bool = False
    k: str = "log"


class Frame(Record, gc=False, forbid_unknown_fields=False, kw_only=True):
    """One whole payload. What is in it besides is not looked at."""

    k: str
    lv: int = 20
    lg: str | None = None
    f: str | None = None
    ln: int | None = None
    fn: str | None = None
    ev: str = ""


_decode = msgspec.json.Decoder(Frame).decode


def has_odd_escapes(payload: bytes) -> bool:
    """Tell whether the fast way must not see *payload*: escapes of NUL or of surrogates. Raw control characters it refuses by itself."""
    return _BACKSLASH in payload and _escapes(payload) is not None  # an integer: eight times as fast as a bytes object


def decode(payload: bytes) -> Frame:
    """Return *payload* as a frame. Raises PoisonRecord when it is no JSON object."""
    if not has_odd_escapes(payload):
        try:
            if not payload.isascii():
                payload.decode()  # what is not looked into (`x`, `e`) is not looked at either
            return _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    return _patiently(payload)


def raw_text(raw: msgspec.Raw) -> str:
    """Return JSON text that was not looked into. Raises PoisonRecord when it is no UTF-8."""
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as problem:
        raise PoisonRecord(f"not UTF-8: {problem}", "", "22021") from problem


def _patiently(payload: bytes) -> Frame:
    try:
        record = json.loads(payload)
    except ValueError as problem:
        raise PoisonRecord(f"not JSON: {problem}", "", "22P02") from problem
    except RecursionError as problem:
        raise PoisonRecord("nested too deep", "", "54001") from problem
    if not isinstance(record, dict):
        raise PoisonRecord("not a JSON object", "", "22P02")
    record = clean(record)
    return Frame(
        k=_text(record.get("k"), ""),
        t=_integer(record.get("t"), 0),
        lv=_integer(record.get("lv"), 20),
        lg=_text(record.get("lg"), None),
        m=_text(record.get("m"), ""),
        r=_text(record.get("r"), ""),
        s=_text(record.get("s"), None),
        th=_text(record.get("th"), None),
        f=_text(record.get("f"), None),
        ln=_integer(record.get("ln"), None),
        fn=_text(record.get("fn"), None),
        x=_raw(record.get("x")),
        e=_raw(record.get("e")),
        src=_text(record.get("src"), "sdk"),
        tr=record.get("tr") is True,
        ev=_text(record.get("ev"), ""),
    )


def clean(value: Any, depth: int = 0) -> Any:
    """Return *value*, parsed JSON, as PostgreSQL can store it: NUL and lone surrogates as visible escapes, bounded depth."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, (dict, list)) and depth >= MAX_DEPTH:
        return f"<deeper than {MAX_DEPTH} levels>"
    if isinstance(value, dict):
        return {clean_text(key): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item, depth + 1) for item in value]
    return value


def clean_text(text: str) -> str:
    """Return *text* without what PostgreSQL's text cannot hold."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "backslashreplace").decode()
    return text


def json_text(value: Any) -> str:
    """Return *value* as JSON in one line, ASCII only."""
    return json.dumps(value, separators=(",", ":"))


def _text(value: Any, default: Any) -> Any:
    if value is None:
        return default
    return value if isinstance(value, str) else json_text(value)


def _integer(value: Any, default: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    return int(value)


def _raw(value: Any) -> msgspec.Raw:
    return NOTHING if value is None else msgspec.Raw(json_text(value).encode())
