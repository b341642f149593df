"""Standard output and error of a supervised process: a raw layer that lets marks through to the capture pipe only.

Owns: knowing which descriptors are capture pipes (FLIGHTLOG_CAPTURE: "dev:ino:stdout,..."), the raw layer, and marking text.
Invariants: `sys.stdout` and `sys.stderr` stay the objects they are, with their encoding and buffering; a mark never reaches a
file, a terminal or another pipe: stream and descriptor are asked when text is marked, the descriptor again when the bytes are written.
"""

from __future__ import annotations

import io
import os
import sys

from ..journal import mark
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ASCII_BASED = frozenset(("utf8", "ascii", "latin1", "iso88591", "usascii", "ansix3.41968", "iso885915"))
_marking: set[bytes] = set()  # the writers whose records this process has marked
_pipes: frozenset[tuple[int, int]] | None = None


def pipes() -> frozenset[tuple[int, int]]:
    """Return (device, inode) of the capture pipes of this run; empty when the process is not supervised."""
    global _pipes
    if _pipes is None:
        found = set()
        for item in os.environ.get("FLIGHTLOG_CAPTURE", "").split(","):
            parts = item.split(":")
            if len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit():
                found.add((int(parts[0]), int(parts[1])))
        _pipes = frozenset(found)
    return _pipes


def captured() -> bool:
    """Tell whether this process runs with captured output at all."""
    return bool(pipes())


def is_capture(fd: int) -> bool:
    """Tell whether *fd* is a capture pipe of ours at this moment."""
    try:
        status = os.fstat(fd)
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) in pipes()


class MarkRaw(io.FileIO):
    """The raw layer: like FileIO, but takes out our marks where they would be seen: elsewhere than in a capture pipe, or
    before a text that is another one than was marked.
    """

    def write(self, data: Any) -> Any:
        """Write *data*; see io.RawIOBase.write."""
        if not isinstance(data, bytes):
            data = bytes(data)
        if mark.BEGIN not in data:
            return super().write(data)
        done = 0  # of data, marks that are left out included
        for start, stop in mark.spans(data, _marking, is_capture(self.fileno())):
            done = start
            while done < stop:
                try:
                    count = super().write(data[done:stop])
                except OSError:
                    if done:
                        return done  # the next call meets it again
                    raise
                if count is None:  # it would block
                    return done or None
                done += count
        return len(data)


def install() -> None:
    """Put the raw layer under the standard streams that are capture pipes. Before the program writes; never raises."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        try:
            stream = getattr(sys, name)
            if stream is not None and is_capture(fd) and stream.fileno() == fd:
                _replace(stream, name, fd)
        except Exception:
            recorder.errors += 1


def _replace(stream: Any, name: str, fd: int) -> None:
    buffer = stream.buffer
    raw = MarkRaw(fd, "wb", closefd=False)
    raw.name = getattr(buffer, "name", "<%s>" % name)
    if type(buffer) is io.BufferedWriter:
        stream.flush()
        buffer.__init__(raw)  # type: ignore[misc]  # the same object with another raw layer: nobody's reference goes stale
        return
    made = io.TextIOWrapper(  # unbuffered (-u): the text layer sits on the raw one
        raw,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=True,
    )
    made.mode = "w"  # type: ignore[misc]
    setattr(sys, name, made)
    setattr(sys, "__%s__" % name, made)


def markable(stream: Any) -> bool:
    """Tell whether text for *stream* may be marked: it is one of Python's own streams, on our raw layer, on a capture pipe.

    What only looks like one may do anything with the text: write it to a file as well, encode it otherwise.
    """
    if type(stream) is io.TextIOWrapper:
        stream = stream.buffer
    if type(stream) is io.BufferedWriter:
        stream = stream.raw
    return type(stream) is MarkRaw and is_capture(stream.fileno())


def reference(n: int) -> tuple[str, int] | None:
    """Return what a mark says of our record *n*; None when there is none, because it was not accepted."""
    return (recorder.writer.writer_id, n) if n and recorder.writer is not None else None


def prefix(stream: Any, text: str | bytes, found: tuple[str, int] | None) -> str:
    """Return the mark to write before *text*, the copy of the record *found*; empty when there can be none."""
    if found is None:
        return ""
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if encoding.lower().replace("-", "") not in _ASCII_BASED:
            return ""  # the mark itself must come out as ASCII
        data = text if isinstance(text, bytes) else text.encode(encoding, getattr(stream, "errors", None) or "strict")
        _marking.add(found[0].encode("ascii"))
        return mark.make(found[0], found[1], data).decode("ascii")
    except Exception:
        return ""


def marked(stream: Any, text: str, found: tuple[str, int] | None) -> str:
    """Return *text* with its mark before it, if there can be one."""
    return prefix(stream, text, found) + text
