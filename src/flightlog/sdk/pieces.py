"""The pieces of JSON that loggers and hooks put together into one record: fields, field names, the thread.

Owns: the fast way from a value to its JSON, and what is remembered about names. Everything returned is ASCII, with secrets masked.
Invariant: a value never loses a record; what is not of a common type goes through `journal.encode`.
Leaves the record's frame (site, time, scope) to its maker.
"""

from __future__ import annotations

import itertools
import threading
from json.encoder import encode_basestring_ascii as quote

from ..journal.encode import MAX_VALUE, clean_value, encode
from . import redact
from .redact import HARMLESS_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE_BYTES = 60_000  # a record above this is encoded anew, by the way that knows the caps
MAX_NAMES = 4096  # field names and thread names remembered
_BIG = 1 << 63
_LEAST = -_BIG
SHORT, MAX_TEXTS = 64, 2048  # characters of texts that are remembered, and how many
_keys: dict[str, str] = {}
_texts: dict[str, str] = {}  # a field's text -> as JSON, masked
_known_text = _texts.get
_misses = itertools.count().__next__
_sparing = 0  # of misses that are not remembered, as a mask
threads: dict[str | None, str] = {}  # thread name -> its piece
_redacted = redact.text


class _Current(threading.local):
    piece = ""


current_thread = _Current()


def name_current_thread() -> str:
    """Return the piece that names the current thread and keep it in `current_thread.piece`."""
    piece = thread(threading.current_thread().name)
    current_thread.piece = piece
    return piece


def thread(name: str | None) -> str:
    """Return the piece that names a thread; empty without a name."""
    piece = threads.get(name)
    if piece is None:
        piece = ',"th":%s' % quote(redact.text(plain(str(name)))) if name else ""
        if len(threads) >= MAX_NAMES:
            threads.clear()
        threads[name] = piece
    return piece


def plain(text: str) -> str:
    """Return *text* without lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def fields(values: dict[str, Any]) -> str:
    """Return *values* as `,"key":value` pieces in a row (so without their braces, with a comma in front)."""
    text = ""
    for key, value in values.items():
        try:
            name = _keys[key]
        except KeyError:
            name = _new_key(key)
            if value is not None and redact.is_secret_key(key):
                value = redact.MASK
        kind = type(value)
        if kind is str:
            value = _known_text(value) or _new_text(value)
        elif kind is int:
            if not _LEAST <= value < _BIG:
                value = quote(str(clean_value(value)))
        elif kind is float:
            value = repr(value)
            if "n" in value:  # nan, inf
                value = quote(value)
        elif value is None:
            value = "null"
        elif kind is bool:
            value = "true" if value else "false"
        else:
            value = encode({"x": clean_value(value)})[5:-1].decode("ascii")
        text = f"{text}{name}{value}"
    return text


def _new_text(value: str) -> str:
    """Return a field's text as JSON, masked; short ones are remembered: names of tables, states, hosts come again and again.

    In a program that has many, most of which never come again, one in eight: who does come again is among them soon.
    """
    global _sparing
    text = value
    if len(text) > HARMLESS_LENGTH or "=" in text or ":" in text:
        text = _redacted(text) if len(text) <= MAX_VALUE else redact.cut(text, MAX_VALUE)
    piece = quote(text if text.isascii() else plain(text))
    if len(value) <= SHORT and not _misses() & _sparing:
        if len(_texts) >= MAX_TEXTS:
            _texts.clear()
            _sparing = 7
        _texts[value] = piece
    return piece


def _new_key(key: str) -> str:
    """Return a field name's piece; remembered only if the field is no secret, so that what is remembered needs no second look."""
    name = ",%s:" % quote(redact.text(plain(key))[:256])
    if len(_keys) < MAX_NAMES and not redact.is_secret_key(key):
        _keys[key] = name
    return name


def _rules_changed() -> None:
    global HARMLESS_LENGTH
    _keys.clear()
    _texts.clear()
    threads.clear()
    HARMLESS_LENGTH = redact.harmless_length()


redact.on_change(_rules_changed)
