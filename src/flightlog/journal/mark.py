"""The invisible mark before the console copy of a journalled record, by which the copy is recognised (ADR 0006).

    ESC _ fl;<writer>.<n>;<bytes>;<crc32, 8 hex> ESC \\    then that many bytes of text

An APC string: terminals that see one by accident show nothing. Owns: making marks and taking streams apart.
Invariants: only a mark whose text is there, whole, with the right checksum, is believed; everything else passes through
unchanged. The parts of a stream, put together again, are the stream less its verified marks, however it was cut into pieces.
"""

from __future__ import annotations

import re
from zlib import crc32

BEGIN = b"\x1b_fl;"
MAX_MARK_BYTES = 96
MAX_TEXT_BYTES = 1 << 20  # a mark that claims more is not believed
DOUBT = 8  # times the bytes at hand, and once the longest text: what is checksummed for marks that turn out to be none
ALWAYS_BYTES = 4096  # but for texts that are not longer than this
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Container

_MARK = re.compile(rb"\x1b_fl;([0-9a-f]{32}\.[0-9]{1,19});([0-9]{1,7});([0-9a-f]{8})\x1b\\")
_PARTIAL = re.compile(rb"\x1b(_(f(l(;[0-9a-f.;]{0,80}(\x1b)?)?)?)?)?\Z")


def make(writer: str, n: int, text: bytes) -> bytes:
    """Return the mark to put before *text*, the console copy of record *n* of *writer*."""
    return b"\x1b_fl;%s.%d;%d;%08x\x1b\\" % (writer.encode("ascii"), n, len(text), crc32(text))


def spans(
    data: bytes,
    writers: Container[bytes],
    to_capture: bool,
    under_way: set[bytes],
    _search: Any = _MARK.search,
    _crc32: Any = crc32,
    _int: Any = int,
    _len: Any = len,
) -> list[tuple[int, int]]:
    """Return which parts of *data*, on its way out of the process that marked it, are to be written: (start, stop), in order.

    The references of the marks that are met are taken out of *under_way*. Names are bound as defaults: it is called when the
    interpreter goes down, too, and they are gone.

    Left out are marks of *writers*: all of them when the text goes elsewhere than to a capture pipe, else those whose text
    has become another one on its way (line ends, an encoding). A text that is not whole yet is given the benefit of the doubt.
    """
    parts = []
    position = start = 0
    while True:
        found = _search(data, position)
        if found is None:
            break
        position = found.end()
        if found.group(1)[:32] not in writers:
            continue
        under_way.discard(found.group(1))
        if to_capture:
            text = data[position : position + _int(found.group(2))]
            if _len(text) < _int(found.group(2)) or _crc32(text) == _int(found.group(3), 16):
                position += _len(text)
                continue
        if found.start() > start:
            parts.append((start, found.start()))
        start = position
    if start < _len(data):
        parts.append((start, _len(data)))
    return parts


class Splitter:
    """Takes a stream apart into raw bytes and the text of verified marks; incremental."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    @property
    def held(self) -> int:
        """How many bytes wait for the rest of a mark or of its text."""
        return len(self._held)

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return the parts that are certain now: (reference, bytes); the reference is empty for raw bytes."""
        if not self._held and b"\x1b" not in data:
            return [(b"", data)] if data else []
        return self._split(self._held + data if self._held else data, False)

    def flush(self) -> list[tuple[bytes, bytes]]:
        """Return what was held back, as it is: the stream ended, or waiting took too long."""
        return self._split(self._held, True)

    def _split(self, data: bytes, final: bool) -> list[tuple[bytes, bytes]]:
        copies, certain = find_copies(data, final)
        parts: list[tuple[bytes, bytes]] = []
        position = 0
        for begin, text_begin, end, reference in copies:
            if begin > position:
                parts.append((b"", data[position:begin]))
            parts.append((reference, data[text_begin:end]))
            position = end
        if certain > position:
            parts.append((b"", data[position:certain]))
        self._held = data[certain:]
        return parts


def find_copies(data: bytes, final: bool) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """Return the verified marks in *data*: (where the mark begins, where its text begins, where that ends, reference), in order;
    and up to where this is certain: behind it stands what may become a mark. *final*: nothing comes any more.
    """
    copies: list[tuple[int, int, int, bytes]] = []
    position = 0
    doubt = MAX_TEXT_BYTES + DOUBT * len(data)
    while True:
        begin = data.find(b"\x1b", position)
        if begin < 0:
            return copies, len(data)
        found = _MARK.match(data, begin)
        if found is None:
            if not final and _PARTIAL.match(data, begin):
                return copies, begin
            position = begin + 1
            continue
        length = int(found.group(2))
        end = found.end() + length
        if length > MAX_TEXT_BYTES:
            position = begin + 1
            continue
        if end > len(data) and not final:
            return copies, begin
        if (
            end > len(data)
            or length > max(doubt, ALWAYS_BYTES)
            or crc32(data[found.end() : end]) != int(found.group(3), 16)
        ):
            if end <= len(data):
                doubt -= min(length, doubt)
            position = begin + 1
            continue
        copies.append((begin, found.end(), end, found.group(1)))
        position = end
