"""Standard output and error of a supervised process: marks are let through to the capture pipe only.

Owns: marking text, and the filter through which a stream writes while marked text of ours is under way in it. Leaves knowing the pipes to `pipes`.
Invariants: `sys.stdout` and `sys.stderr` stay the objects they are, with all their layers; what a program prints itself passes
through no code of ours, so its tracebacks and its end are what they would have been. A mark never reaches a file, a terminal
or another pipe: stream and descriptor are asked when text is marked, the descriptor again when the bytes are written.
"""

from __future__ import annotations

import os

from ..journal import mark
from ..journal.encode import MAX_MESSAGE
from . import redact
from .pipes import is_capture, pipes, raw_of, raws
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from typing import Any

_ASCII_BASED = frozenset(("utf8", "ascii", "latin1", "iso88591", "usascii", "ansix3.41968", "iso885915"))
MAX_UNDER_WAY = 1024  # marks not seen again: a handler that formats and does not write would fill the memory
_marking: set[bytes] = set()  # the writers whose records this process has marked


def markable(stream: Any) -> bool:
    """Tell whether text for *stream* may be marked: it is one of Python's own streams and leads to a capture pipe.

    What only looks like one may do anything with the text: write it to a file as well, encode it otherwise.
    """
    raw = raw_of(stream)
    return raw is not None and raw in raws and is_capture(raw.fileno())


def filtering(raw: io.FileIO) -> set[bytes]:
    """Let *raw* write through a filter while marks are under way in it, and return those marks, for the caller to add to.

    The filter takes out our marks where they would be seen: elsewhere than in a capture pipe, or before a text that is another
    one than was marked. When it has seen them all, `raw.write` is its own again. All that it needs is bound here: it may be
    called when the interpreter goes down and the names of modules are gone.
    """
    found = _filters.get(raw)
    if found is None:
        found = _filters[raw] = _filter(raw, pipes())
    under_way, write = found
    raw.write = write  # type: ignore[method-assign]
    return under_way


_filters: dict[io.FileIO, tuple[set[bytes], Any]] = {}


def _filter(raw: io.FileIO, captures: frozenset[tuple[int, int]]) -> tuple[set[bytes], Any]:
    under_way: set[bytes] = set()
    plain, fileno, attributes = raw.write, raw.fileno, raw.__dict__
    spans, fstat, marking, begin = mark.spans, os.fstat, _marking, mark.BEGIN
    as_bytes, kind, length, refused, failed = bytes, type, len, OSError, Exception  # even builtins may be gone

    def write(data: Any) -> Any:
        """Write *data*; see io.RawIOBase.write."""
        if kind(data) is not as_bytes:
            data = as_bytes(data)
        if begin not in data:
            return plain(data)
        done = 0  # of data, marks that are left out included
        for start, stop in parts(data):
            done = start
            while done < stop:
                try:
                    count = plain(data[done:stop])
                except refused:
                    if done:
                        return done  # the next call meets it again
                    raise
                if count is None:  # it would block
                    return done or None
                done += count
        return length(data)

    def parts(data: bytes) -> list[tuple[int, int]]:
        try:
            status = fstat(fileno())
            found = spans(data, marking, (status.st_dev, status.st_ino) in captures, under_way)
        except failed:
            return [(0, length(data))]  # better a mark on the console than a lost line
        if not under_way:
            attributes.pop("write", None)
            if under_way:  # another thread has marked a text meanwhile; it cannot be in *data*
                attributes["write"] = write
        return found

    return under_way, write


def reference(n: int) -> tuple[str, int] | None:
    """Return what a mark says of our record *n*; None when there is none, because it was not accepted."""
    return (recorder.writer._state.writer, n) if n and recorder.writer is not None else None


def prefix(stream: Any, text: str | bytes, found: tuple[str, int] | None) -> str:
    """Return the mark to write before *text*, the copy of the record *found*; empty when there can be none.

    Of a text longer than a record's message the beginning is marked only: the rest is not in the record, it has to be captured.
    """
    if found is None or not found[1]:
        return ""
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if encoding.lower().replace("-", "") not in _ASCII_BASED:
            return ""  # the mark itself must come out as ASCII
        if len(text) > MAX_MESSAGE:
            text = text[: redact.divide(text if isinstance(text, str) else text.decode("latin-1"), MAX_MESSAGE)]
            if not text:
                return ""
        data = text if isinstance(text, bytes) else text.encode(encoding, getattr(stream, "errors", None) or "strict")
        raw = raw_of(stream)
        if raw is None or len(data) > mark.MAX_TEXT_BYTES:
            return ""
        _marking.add(found[0].encode("ascii"))
        made = mark.make(found[0], found[1], data)
        under_way = filtering(raw)
        if len(under_way) < MAX_UNDER_WAY:
            under_way.add(b"%s.%d" % (found[0].encode("ascii"), found[1]))
        filtering(raw)  # again: a write of another thread may have ended the filtering in between
        return made.decode("ascii")
    except Exception:
        return ""


def marked(stream: Any, text: str, found: tuple[str, int] | None) -> str:
    """Return *text* with its mark before it, if there can be one."""
    return prefix(stream, text, found) + text
