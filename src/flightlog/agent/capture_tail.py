"""Follows one captured stream from its position on, and makes rows of its lines.

Invariants: the position stands at the beginning of a line, or behind everything; a line's time is that of its last byte's arrival; a stream that
has ended is used up to its last byte, line end or not. Owns: one writer of kind capture. Leaves finding lines to `lines`.
"""

from __future__ import annotations

import bisect
import json
import os
import time
from typing import Any

from .. import identity
from ..errors import SegmentError
from ..journal import reader
from ..journal.capture import INDEX_ENTRY
from ..journal.format import CAPTURE_SUFFIX, INDEX_SUFFIX, META_SUFFIX, segment_name
from ..journal.liveness import writer_is_alive
from ..sdk import redact
from .batch import Gathering, Origin, RunUnknown
from .decode import clean, json_text
from .lines import interpret, split
from .rows import PARTIAL_LINE, REDACTED, DayMissing, LogRows
from .sink import Position
from .spool import CAPTURE, Files
from .step import Step

WINDOW_BYTES = 256 << 10
WIDE_BYTES = 2 << 20  # a mark's text may be 1 MiB long
PATIENCE_SECONDS = (
    2.0  # how long the rest of a line, or of a traceback, is waited for: a hanging program's last words count
)


class CaptureTail:
    """One captured stream.

    Args:
        files: what lies in the spool.
        position: what the sink says.
    """

    kind = CAPTURE

    def __init__(self, files: Files, position: Position) -> None:
        self.writer = files.writer
        self.position = position
        self.meta = self._read_meta(files)
        run = self.meta.get("run")
        self.run = run if isinstance(run, str) and identity.is_ulid(run) else "0" * 26
        self.last_run = self.run
        self.pipeline = str(self.meta.get("pipeline") or "unknown")
        self._source = "stderr" if self.meta.get("stream") == "stderr" else "stdout"
        self._dead = False
        self._rows: LogRows | None = None
        self._index: dict[int, tuple[list[int], list[int], int]] = {}
        self._open_size = -1  # size of what could not be used when it was last looked at, and since when
        self._open_since = 0.0

    def close(self) -> None:
        """Nothing is kept open."""

    def has_more(self, files: Files) -> bool:
        """Tell whether there are bytes behind the position that have not been looked at in vain."""
        size = self.backlog(files)
        if size == 0:
            return False
        return size != self._open_size or time.monotonic() - self._open_since > PATIENCE_SECONDS

    def backlog(self, files: Files) -> int:
        """Return how many bytes wait behind the position."""
        at = self.position
        return sum(
            size - (at.offset if number == at.segno else 0)
            for number, size in files.sizes.items()
            if number >= at.segno
        )

    def look_alive(self, files: Files) -> bool:
        """Tell whether bytes may still come; remembered when not. To be asked before a read that is to be the last."""
        if not self._dead:
            if files.ended:
                self._dead = True
            else:
                keeper = self.meta.get("keeper")
                pid, start = keeper if isinstance(keeper, list) and len(keeper) == 2 else (0, 0)
                boot = self.meta.get("boot")
                self._dead = not writer_is_alive(
                    files.directory,
                    self.writer,
                    pid if isinstance(pid, int) else 0,
                    start if isinstance(start, int) else 0,
                    boot if isinstance(boot, str) else "",
                    META_SUFFIX,
                )
        return not self._dead

    def read(self, files: Files, into: Gathering, step: Step) -> bool:
        """Read on from where *step* stands, about one window; tell whether that brought anything. Raises SinkError."""
        before = (step.segno, step.offset, step.closed)
        window = WINDOW_BYTES
        while not into.is_full() and not step.blocked:
            parts = self._bytes(files, step, window)
            data = b"".join(part for _, _, part in parts)
            whole = len(data) < window
            if not data:
                step.closed = self._dead
                break
            patient = not self._waited(len(data)) if whole else window < WIDE_BYTES
            lines, used = split(data, self._dead and whole, patient)
            if not lines and used == 0:
                if whole:
                    break
                window = WIDE_BYTES
                continue
            for line in lines:
                try:
                    self._take(line.raw, line.partial, self._place(parts, line.end), step, into)
                except (DayMissing, RunUnknown) as missing:
                    step.wants = missing
                    break
                if into.is_full():
                    break
            else:
                step.segno, step.offset = self._place(parts, used)
            if not (self._dead and whole):
                break
        return (step.segno, step.offset, step.closed) != before

    def _waited(self, size: int) -> bool:
        """Tell whether these bytes, which make no line, have been waited with for long enough."""
        now = time.monotonic()
        if size != self._open_size:
            self._open_size, self._open_since = size, now
            return False
        return now - self._open_since > PATIENCE_SECONDS

    def _bytes(self, files: Files, step: Step, window: int) -> list[tuple[int, int, bytes]]:
        """Return up to *window* bytes from the position on: (segment, offset, bytes). A later segment is looked for first."""
        parts: list[tuple[int, int, bytes]] = []
        number, offset, room = step.segno, step.offset, window
        while room > 0:
            later = files.next_after(number)
            data = b""
            if number in files.sizes:
                try:
                    fd = reader.open_segment(
                        os.path.join(files.directory, segment_name(self.writer, number, CAPTURE_SUFFIX))
                    )
                except (OSError, SegmentError):
                    break
                try:
                    data = os.pread(fd, room, offset)
                finally:
                    os.close(fd)
            if data:
                parts.append((number, offset, data))
                room -= len(data)
            if room <= 0 or later is None:
                break
            number, offset = later, 0
        return parts

    def _place(self, parts: list[tuple[int, int, bytes]], index: int) -> tuple[int, int]:
        """Return the (segment, offset) of a buffer index; the end of a part rather than the beginning of the next."""
        number, offset = parts[0][0], parts[0][1]
        for number, offset, data in parts:
            if index <= len(data):
                return number, offset + index
            index -= len(data)
        return number, offset + len(parts[-1][2])

    def _take(self, raw: bytes, partial: bool, place: tuple[int, int], step: Step, into: Gathering) -> None:
        rows = self._rows
        if rows is None:
            rows = self._rows = LogRows(self.writer, into.node, 0, into.clock)
        facts = into.run(self.run, self.pipeline)
        facts.writers.add(self.writer)
        level, message, fields = interpret(raw)
        flags = PARTIAL_LINE if partial else 0
        safe = redact.text(message)
        if fields is not None:
            fields = redact.fields(fields)  # type: ignore[assignment]
        if safe != message:
            flags |= REDACTED
        at = self._time(place[0], place[1])
        line = rows.captured(
            facts.run,
            at,
            facts.pos,
            step.seq,
            level,
            safe,
            self._source,
            None if fields is None else json_text(fields),
            flags,
        )
        into.log(line, Origin(self.writer, step.seq, facts.run, raw))
        facts.pos += 1
        facts.lines += 1
        facts.warnings += 30 <= level < 40
        facts.errors += level >= 40
        facts.seen(at)
        step.logs += 1
        step.seq += 1
        step.segno, step.offset = place

    def _time(self, number: int, end: int) -> int:
        """Return when the byte before *end* of a segment came, in nanoseconds since the epoch."""
        ends, times, _ = self._index.get(number) or ([], [], 0)
        if not ends or ends[-1] < end:
            ends, times = self._read_index(number)
        at = bisect.bisect_left(ends, end)
        if at < len(times):
            return times[at]
        if times:
            return times[-1]
        return self.meta.get("t", 0) if isinstance(self.meta.get("t"), int) else time.time_ns()

    def _read_index(self, number: int) -> tuple[list[int], list[int]]:
        """Read what is new in a segment's time index."""
        if number not in self._index:
            self._index = {number: ([], [], 0)}
        ends, times, offset = self._index[number]
        path = os.path.join(self._directory, segment_name(self.writer, number, INDEX_SUFFIX))
        try:
            fd = reader.open_segment(path)
        except (OSError, SegmentError):
            return ends, times
        try:
            data = os.pread(fd, 1 << 20, offset)
        finally:
            os.close(fd)
        data = data[: len(data) - len(data) % INDEX_ENTRY.size]
        for end, wall, _ in INDEX_ENTRY.iter_unpack(data):
            ends.append(end)
            times.append(wall)
        self._index[number] = (ends, times, offset + len(data))
        return ends, times

    def _read_meta(self, files: Files) -> dict[str, Any]:
        self._directory = files.directory
        try:
            fd = reader.open_segment(files.path(META_SUFFIX))
        except (OSError, SegmentError):
            return {}
        try:
            meta = clean(json.loads(os.pread(fd, 1 << 16, 0)))
        except (OSError, ValueError, RecursionError):
            return {}
        finally:
            os.close(fd)
        return meta if isinstance(meta, dict) else {}

    def described(self) -> dict[str, Any]:
        """Return what the store keeps of this stream."""
        meta = self.meta
        opened = meta.get("t")
        kept = ("stream", "merged", "boot", "uid", "node")
        return {
            "pid": None,
            "opened_ns": opened if isinstance(opened, int) else 0,
            "header": {key: meta[key] for key in kept if key in meta},
        }
