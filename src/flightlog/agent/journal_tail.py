"""Follows one writer's segments from its position on, and makes rows of its frames.

Invariants: a segment is left only as docs/reference/journal-format.md section 3 says; liveness is looked at before the last read, never after;
a frame gets its `seq` here, once, in the order of the file; damage is counted and kept, and what follows it is read. Nothing is remembered
that is not in the committed position: a tail may be thrown away at any moment and made anew from it.
Owns: one writer of kind journal. Leaves rows to `rows`, the transaction to `shipper`.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from .. import identity
from ..errors import PoisonRecord, SegmentError
from ..journal import reader
from ..journal.format import LOCK_SUFFIX, SEGMENT_SUFFIX, salt_of, segment_name
from ..journal.liveness import writer_is_alive
from .batch import Gathering, Origin, RunUnknown
from .decode import Frame, clean, decode
from .numbers import Numbers
from .rows import DayMissing, LogRows
from .sink import Position
from .spool import JOURNAL, Files
from .step import Step, keep_damage

CHUNK_BYTES = 256 << 10
NO_RUN = "0" * 26
MAX_WORD = 4096  # characters of a word in a header
MAX_DROPS = 1 << 40  # believed of one writer; anybody may have written the file


class JournalTail:
    """One writer of the journal.

    Args:
        files: what lies in the spool.
        position: what the sink says.
        home: where damaged bytes are kept.
    """

    kind = JOURNAL

    def __init__(self, files: Files, position: Position, home: str) -> None:
        self.writer = files.writer
        self.position = position
        self._home = home
        self._salt = salt_of(files.writer)
        self._fd = -1
        self._fd_number = -1
        self._dead = False
        self._ripe = -1  # a later segment that was seen to hold a record
        self._numbers = Numbers()
        self._rows: LogRows | None = None
        self.head = self._read_head(files)
        self.run = _run(self.head.get("run")) or NO_RUN
        self.pipeline = str(self.head.get("pipeline") or _program(self.head.get("argv0")))
        self.last_run = self.run

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = self._fd_number = -1

    def has_more(self, files: Files) -> bool:
        """Tell whether there are bytes behind the position, or another segment."""
        position = self.position
        return files.sizes.get(position.segno, 0) > position.offset or files.next_after(position.segno) is not None

    def backlog(self, files: Files) -> int:
        """Return how many bytes wait behind the position."""
        at = self.position
        return sum(
            size - (at.offset if number == at.segno else 0)
            for number, size in files.sizes.items()
            if number >= at.segno
        )

    def look_alive(self, files: Files) -> bool:
        """Look whether the writer still lives; remembered when it does not. To be asked before a read that is to be the last."""
        if not self._dead:
            head = self.head
            self._dead = not writer_is_alive(
                files.directory, self.writer, head.get("pid", 0), head.get("start", 0), head.get("boot", "")
            )
        return not self._dead

    def read(self, files: Files, into: Gathering, step: Step) -> bool:
        """Read on from where *step* stands, about one chunk; tell whether that brought anything. Raises OSError, SinkError."""
        before = (step.segno, step.offset, step.closed)
        while not into.is_full() and not step.blocked and self._open(files, step):
            later = files.next_after(step.segno)
            may_leave = later is not None and (self._dead or self._is_ripe(files, later))
            chunk = reader.read_chunk(self._fd, self._salt, step.offset, CHUNK_BYTES)
            if chunk.frames:
                if not self._take_once(chunk.frames, step, into) or chunk.stop == reader.MORE:
                    break  # one chunk per turn; the others want to be read as well
            elif chunk.stop == reader.DAMAGE:
                self._numbers.learn(step.segno, self._fd, self._salt, chunk.next)
                keep_damage(self._home, self._fd, self.writer, step.segno, chunk.next, chunk.resume)
                step.damage(chunk.resume)
            elif chunk.stop == reader.MORE and chunk.next > step.offset:
                step.offset = chunk.next
            elif chunk.stop == reader.MORE:
                break
            elif may_leave and later is not None:
                torn = chunk.resume - chunk.next if chunk.stop == reader.PARTIAL else 0
                if not self._go_on(files, step, later):
                    break
                step.torn += torn
            else:
                if self._dead and later is None:
                    step.torn += chunk.resume - chunk.next if chunk.stop == reader.PARTIAL else 0
                    self._end(files, step)
                break
        return (step.segno, step.offset, step.closed) != before

    def _open(self, files: Files, step: Step) -> bool:
        if step.segno not in files.sizes:
            later = files.next_after(step.segno)
            if later is None:
                if self._dead:
                    if step.offset:  # it was there, and nobody removes one that is not read to its end
                        step.damage(step.offset, MAX_DROPS)
                    self._end(files, step)
                return False
            if not self._go_on(files, step, later):
                return False
        if self._fd_number != step.segno:
            self.close()
            try:
                self._fd = reader.open_segment(
                    os.path.join(files.directory, segment_name(self.writer, step.segno, SEGMENT_SUFFIX))
                )
            except (OSError, SegmentError):
                return False
            self._fd_number = step.segno
        return True

    def _go_on(self, files: Files, step: Step, number: int) -> bool:
        """Begin segment *number*; False when one before it has just come. Declare what is missing between it and the one in hand.

        Its header says which segment its writer had before, and how long that was: numbers may have gaps, for a birth can fail.
        """
        head = self._head_of(files, number)
        before = head.get("prev")
        lacks = False
        if head.get("segno") == number and isinstance(before, list) and [type(item) for item in before] == [int, int]:
            previous, size = before
            if previous > step.segno or (previous == step.segno and previous not in files.sizes):
                if os.path.exists(os.path.join(files.directory, segment_name(self.writer, previous, SEGMENT_SUFFIX))):
                    return False
                lacks = True
            elif previous == step.segno and self._fd_number == previous:
                lacks = os.fstat(self._fd).st_size < size
        if lacks:
            step.damage(step.offset, MAX_DROPS)
        step.go_on(number)
        return True

    def _end(self, files: Files, step: Step) -> None:
        """Close the writer, with the drops that no record could declare any more: the lock file is as long as there were drops."""
        try:
            status = os.lstat(files.path(LOCK_SUFFIX))
        except OSError:
            status = None
        # A hole and nothing else: what was written into it is none of ours.
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_blocks == 0:
            step.dropped = max(step.dropped, min(status.st_size, MAX_DROPS))
        step.closed = True

    def _take_once(self, frames: list[tuple[int, int, bytes]], step: Step, into: Gathering) -> bool:
        """Take frames, and pass those that came before: behind damage a stretch of the file may stand twice."""
        first = 0
        for index in self._numbers.repeated(step.segno, frames):
            if not self._take(frames[first:index], step, into):
                return False
            step.offset = frames[index][0]
            first = index + 1
        done = self._take(frames[first:], step, into)
        self._numbers.add(step.segno, frames, step.offset)
        return done

    def _is_ripe(self, files: Files, number: int) -> bool:
        """Tell whether segment *number* holds a record behind its header, so that nothing more comes to the one before."""
        if self._ripe != number:
            try:
                fd = reader.open_segment(
                    os.path.join(files.directory, segment_name(self.writer, number, SEGMENT_SUFFIX))
                )
            except (OSError, SegmentError):
                return False
            try:
                if len(reader.read_chunk(fd, self._salt, 0, 8192).frames) >= 2:
                    self._ripe = number
            finally:
                os.close(fd)
        return self._ripe == number

    def _take(self, frames: list[tuple[int, int, bytes]], step: Step, into: Gathering) -> bool:
        """Make rows of frames; False when one of them has to wait for the next batch, in front of which the step then stands."""
        rows = self._rows
        if rows is None:
            rows = self._rows = LogRows(self.writer, into.node, self.head.get("pid", 0), into.clock)
        run_id, facts = "", None
        writer = self.writer
        for end, n, payload in frames:
            try:
                frame = decode(payload)
            except PoisonRecord as problem:
                into.refuse(Origin(writer, step.seq, self.last_run, payload), problem)
                step.count_dead(end, n)
                continue
            if frame.k == "log":
                try:
                    if frame.r != run_id or facts is None:
                        run_id = frame.r
                        facts = self._facts(run_id, into)
                    line = rows.line(frame, facts.run, facts.pos, step.seq)
                except (DayMissing, RunUnknown) as missing:
                    step.wants = missing
                    return False
                into.log(line, Origin(writer, step.seq, facts.run, payload))
                facts.pos += 1
                facts.lines += 1
                level = frame.lv
                if level >= 30:
                    if level >= 40:
                        facts.errors += 1
                    else:
                        facts.warnings += 1
                if frame.t > facts.last or not facts.first:
                    facts.seen(frame.t)
                if frame.s is not None:
                    facts.known["last_stage"] = frame.s
                step.logs += 1
                step.seq += 1
            elif frame.k == "event":
                try:
                    facts = self._event(frame, payload, step, into, rows)
                except (DayMissing, RunUnknown) as missing:
                    step.wants = missing
                    return False
                run_id = frame.r
            elif frame.k in ("head", "drops"):
                step.dropped = max(step.dropped, _dropped(payload))
            if frame.k != "head":
                step.number(n)
            step.offset = end
        return True

    def _facts(self, run: str, into: Gathering) -> Any:
        """Return the facts of a record's run; what names no run belongs to the one before."""
        known = _run(run) or self.last_run
        facts = into.run(known, self.pipeline)
        facts.writers.add(self.writer)
        self.last_run = known
        return facts

    def _event(self, frame: Frame, payload: bytes, step: Step, into: Gathering, rows: LogRows) -> Any:
        facts = self._facts(frame.r, into)
        text = str(memoryview(frame.x), "utf-8", "replace") or "{}"
        line = rows.event(facts.run, frame.t, facts.pos, step.seq, frame.ev or "unnamed", frame.s, text)
        into.event(line, Origin(self.writer, step.seq, facts.run, payload))
        try:
            data = clean(json.loads(text))
        except (ValueError, RecursionError):
            data = {}
        facts.seen(frame.t)
        facts.event(frame.ev, frame.t, frame.s, data if isinstance(data, dict) else {})
        facts.pos += 1
        step.events += 1
        step.seq += 1
        return facts

    def _read_head(self, files: Files) -> dict[str, Any]:
        """Return the newest readable header, empty when there is none."""
        for number in sorted(files.sizes, reverse=True):
            head = self._head_of(files, number)
            if head:
                return head
        return {}

    def _head_of(self, files: Files, number: int) -> dict[str, Any]:
        """Return the header of one segment, empty when it has none that can be read."""
        try:
            fd = reader.open_segment(os.path.join(files.directory, segment_name(self.writer, number, SEGMENT_SUFFIX)))
        except (OSError, SegmentError):
            return {}
        try:
            frames = reader.read_chunk(fd, self._salt, 0, 4096).frames
            head = clean(json.loads(frames[0][2])) if frames else None
        except (OSError, ValueError, RecursionError):
            return {}
        finally:
            os.close(fd)
        return _sane(head) if isinstance(head, dict) and head.get("k") == "head" else {}

    def described(self) -> dict[str, Any]:
        """Return what the store keeps of this writer."""
        head = self.head
        kept = ("argv0", "boot", "py", "role", "start", "uid", "node")
        return {
            "pid": head.get("pid") or None,
            "opened_ns": head.get("t", 0),
            "header": {key: head[key] for key in kept if key in head},
        }


def _sane(head: dict[str, Any]) -> dict[str, Any]:
    """Keep of a header what has the right type, and is no number that nobody could hold."""
    numbers = {"pid": 1 << 31, "start": 1 << 63, "t": 1 << 63, "uid": 1 << 32}
    words = ("boot", "argv0", "py", "node", "role")
    return {
        key: value
        for key, value in head.items()
        if (key not in numbers or (type(value) is int and 0 <= value < numbers[key]))
        and (key not in words or (isinstance(value, str) and len(value) <= MAX_WORD))
    }


def _run(value: object) -> str:
    return value if isinstance(value, str) and identity.is_ulid(value) else ""


def _program(argv0: object) -> str:
    name = argv0 if isinstance(argv0, str) and argv0 else "unknown"
    return name[:-3] if name.endswith(".py") and name != ".py" else name


def _dropped(payload: bytes) -> int:
    """Return the total of a `dropped` object."""
    try:
        counts = json.loads(payload).get("dropped") or {}
        return max(0, min(sum(value for value in counts.values() if isinstance(value, int)), MAX_DROPS))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return 0
