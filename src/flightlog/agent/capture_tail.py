"""Follows one captured stream from its position on, and makes rows of its lines.

Invariants: the position stands at the beginning of a line, or behind everything; a line's time is that of its last byte's arrival; a stream that
has ended is used up to its last byte, line end or not. Owns: one writer of kind capture. Leaves finding lines to `lines`.
"""

from __future__ import annotations

import bisect
import json
from typing import Any

from .. import identity, redact
from ..errors import SegmentError
from ..journal import reader
from ..journal.capture import INDEX_ENTRY
from ..journal.format import CAPTURE_SUFFIX, INDEX_SUFFIX, META_SUFFIX, must_know, segment_name
from ..journal.liveness import writer_is_alive
from ..system import os, time
from . import bars, screen
from .batch import BLOCK_ROWS, RunUnknown
from .captured_text import AHEAD_BYTES, BEFORE_BYTES, CapturedText
from .copytext import DayMissing
from .decode import clean, json_text
from .intake import Intake, Rows
from .lines import Line, claim, split
from .rows import PARTIAL_LINE, REDACTED
from .sink import Position
from .spool import CAPTURE, Files
from .step import Step

WINDOW_BYTES = 256 << 10
WIDE_BYTES = 2 << 20  # a mark's text may be 1 MiB long
PATIENCE_SECONDS = (
    2.0  # how long the rest of a line, or of a traceback, is waited for: a hanging program's last words count
)
PROGRESS_SECONDS = 5.0  # between two records of a bar that is being drawn


class CaptureTail:
    """One captured stream.

    Args:
        files: what lies in the spool.
        position: what the sink says.
    """

    kind = CAPTURE

    def __init__(self, files: Files, position: Position) -> None:
        self.writer, self.uid = files.writer, files.uid
        self.position = position
        self.meta = self._read_meta(files)
        run = self.meta.get("run")
        self.run = run if isinstance(run, str) and identity.is_ulid(run) else "0" * 26
        self.last_run = self.run
        self.pipeline = str(self.meta.get("pipeline") or "unknown")
        self._source = "stderr" if self.meta.get("stream") == "stderr" else "stdout"
        self._dead = False
        self._found_dead: Files | None = None  # the look at which it was found dead
        self._rows: Rows | None = None
        self._index: dict[int, tuple[list[int], list[int], int]] = {}
        self._arrived = (-1, 0, 0, 0)
        self._open_size = -1  # size of what could not be used when it was last looked at, and since when
        self._open_since = 0.0
        self._bar_since = 0.0  # when the bar that is being drawn was first seen, or last told of; 0.0: there is none
        self._text: CapturedText | None = None  # made at the first read, from what stands before the position

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
            self._found_dead = files
            if self._dead:
                files.doubt()
        return not self._dead

    def wants_a_look(self, files: Files) -> bool:
        """Tell whether the end came after *files* were listed: there may be segments that are not among them."""
        return self._dead and files is self._found_dead

    def read(self, files: Files, into: Intake, step: Step) -> bool:
        """Read on from where *step* stands, about one window; tell whether that brought anything. Raises OSError, SegmentError, SinkError."""
        must_know(self.meta.get("v"), "its .meta")
        before = (step.segno, step.offset, step.closed)
        over = self._dead and not self.wants_a_look(files)
        window = WINDOW_BYTES
        if step.segno not in files.sizes and (step.segno, step.offset) != (0, 0):
            later = files.next_after(step.segno)
            if later is not None and not files.overlooked(step.segno, later):
                step.gap += 1  # nobody can say how many lines
                step.go_on(later)
        if self._text is None:
            self._text = self._remembered(files, step)
        while not into.is_full() and not step.blocked:
            parts = self._bytes(files, step, window)
            data = b"".join(part for _, _, part in parts)
            whole = len(data) < window
            if not data:
                step.closed = over and self._has_all(files, step)
                break
            patient = not self._waited(len(data)) if whole else window < WIDE_BYTES
            lines, used = split(data, over and whole, patient)
            while len(lines) > 1 and not whole and lines[-1].partial and len(data) - used < AHEAD_BYTES:
                lines.pop()  # with what follows it in sight
                used = lines[-1].end
            if not lines and used == 0 and whole:
                lines, used = self._progress(data)
            if not lines and used == 0:
                if whole:
                    break
                window = WIDE_BYTES
                continue
            for first in range(0, len(lines), BLOCK_ROWS):
                self._take(lines[first : first + BLOCK_ROWS], data, parts, step, into)
                if step.blocked or into.is_full():
                    break
            else:
                step.segno, step.offset = self._place(parts, used)
            if not (over and whole):
                break
        return (step.segno, step.offset, step.closed) != before

    def _has_all(self, files: Files, step: Step) -> bool:
        """Tell whether no segment from the position on is there that was not seen. Raises SegmentError when one is."""
        later = files.next_after(step.segno)
        if files.overlooked(step.segno, step.segno + 2 if later is None else later):
            raise SegmentError(
                f"a capture segment from {step.segno} on is there that cannot be asked for, or has a second name",
                "remove the hard link, or mend the directory's permissions; nothing is lost till then",
            )
        return True

    def _waited(self, size: int) -> bool:
        """Tell whether these bytes, which make no line, have been waited with for long enough."""
        now = time.monotonic()
        if size != self._open_size:
            self._open_size, self._open_since = size, now
            return False
        return now - self._open_since > PATIENCE_SECONDS

    def _progress(self, data: bytes) -> tuple[list[Line], int]:
        """Return what a bar in an open line has shown so far as a line, when it has not been told of for a while."""
        end = 0 if screen.moves(data) else bars.so_far(data)
        now = time.monotonic()
        if not end:
            self._bar_since = 0.0
        elif not self._bar_since:
            self._bar_since = now
        elif now - self._bar_since >= PROGRESS_SECONDS:
            self._bar_since = now
            return [Line(data[: end - 1], end, False)], end
        return [], 0

    def _bytes(self, files: Files, step: Step, window: int) -> list[tuple[int, int, bytes]]:
        """Return up to *window* bytes from the position on: (segment, offset, bytes). A later segment is looked for first.

        Raises OSError, SegmentError: what cannot be read now is not the end.
        """
        parts: list[tuple[int, int, bytes]] = []
        number, offset, room = step.segno, step.offset, window
        while room > 0:
            later = files.next_after(number)
            data = b""
            if number in files.sizes:
                try:
                    fd = files.open(segment_name(self.writer, number, CAPTURE_SUFFIX))
                except FileNotFoundError:
                    break
                try:
                    data = os.pread(fd, room, offset)
                finally:
                    os.close(fd)
            if data:
                parts.append((number, offset, data))
                room -= len(data)
            if room <= 0 or later is None or files.overlooked(number, later):
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

    def _remembered(self, files: Files, step: Step) -> CapturedText:
        """Return the memory of the lines before the position, as far as they are still there."""
        text = CapturedText()
        number, end = step.segno, step.offset
        if end == 0:
            number = max((known for known in files.sizes if known < number), default=number)
            end = files.sizes.get(number, 0) if number != step.segno else 0
        begin = max(0, end - BEFORE_BYTES)
        if begin < end:
            try:
                fd = reader.open_segment(
                    os.path.join(files.directory, segment_name(self.writer, number, CAPTURE_SUFFIX))
                )
            except (OSError, SegmentError):
                return text
            try:
                text.resume(os.pread(fd, end - begin, begin))
            finally:
                os.close(fd)
        return text

    def _take(
        self, lines: list[Line], data: bytes, parts: list[tuple[int, int, bytes]], step: Step, into: Intake
    ) -> None:
        """Make rows of lines, up to the first that has to wait for the next batch; *step* stands behind the last row."""
        rows = self._rows
        if rows is None:
            rows = self._rows = into.rows_for(self.writer, 0)
        assert self._text is not None
        texts: list[str] = []
        masked_text, make, source, several = self._text.masked, rows.captured, self._source, len(parts) > 1
        number, offset = parts[0][0], parts[0][1]
        try:
            facts = into.run(self.run, self.pipeline)
            facts.writers.add(self.writer)
            for line in lines:
                level, message, fields, logger = claim(line.raw)
                flags = PARTIAL_LINE if line.partial else 0
                after = data[line.end : line.end + AHEAD_BYTES] if line.partial else b""
                safe = masked_text(line, message, after)
                masked = None if fields is None else redact.fields(fields)
                if safe != message or masked != fields:
                    flags |= REDACTED
                    logger = None  # part of what was masked, it may be
                place = self._place(parts, line.end) if several else (number, offset + line.end)
                if not (place[0] == self._arrived[0] and self._arrived[1] < place[1] <= self._arrived[2]):
                    self._arrived = self._arrival(*place)
                at = self._arrived[3]
                told = None if masked is None else json_text(masked)
                texts.append(make(facts.run, at, facts.pos, step.seq, level, safe, source, told, flags, logger))
                facts.pos += 1
                if level >= 30:
                    facts.heed(level)
                if at > facts.last or not facts.first:
                    facts.seen(at)
                step.logs += 1
                step.seq += 1
                step.segno, step.offset = place
        except (DayMissing, RunUnknown) as missing:
            step.wants = missing
            self._text = None  # it may know the line that waits
        raws = [line.raw for line in lines[: len(texts)]]
        into.logs(texts, raws.__getitem__, sum(map(len, raws)))

    def _arrival(self, number: int, end: int) -> tuple[int, int, int, int]:
        """Return (number, begin, end, time) of the bytes that came together with the one before *end* of a segment; nanoseconds since the epoch."""
        ends, times, _ = self._index.get(number) or ([], [], 0)
        if not ends or ends[-1] < end:
            ends, times = self._read_index(number)
        at = bisect.bisect_left(ends, end)
        if at < len(times):
            return number, (ends[at - 1] if at else 0), ends[at], times[at]
        if times:
            return number, end, end, times[-1]
        return number, end, end, self._written(number)

    def _written(self, number: int) -> int:
        """Return when a segment without an index was written to last: one of last words has none."""
        path = os.path.join(self._directory, segment_name(self.writer, number, CAPTURE_SUFFIX))
        try:
            return os.stat(path, follow_symlinks=False).st_mtime_ns
        except OSError:
            born = self.meta.get("t")
            return born if isinstance(born, int) else time.time_ns()

    def _read_index(self, number: int) -> tuple[list[int], list[int]]:
        """Read what is new in a segment's time index."""
        if number not in self._index:
            self._index = {number: ([], [], 0)}
        ends, times, offset = self._index[number]
        path = os.path.join(self._directory, segment_name(self.writer, number, INDEX_SUFFIX))
        try:
            fd = reader.open_segment(path, self.uid)
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
            fd = files.open(self.writer + META_SUFFIX)
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
        kept = ("stream", "merged", "boot", "node")
        return {
            "pid": None,
            "opened_ns": opened if isinstance(opened, int) else 0,
            "header": {**{key: meta[key] for key in kept if key in meta}, "uid": self.uid},
        }
