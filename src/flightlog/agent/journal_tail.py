"""Follows one writer's segments from its position on, and makes rows of its frames.

Invariants: a segment is left only as docs/reference/journal-format.md section 3 says; liveness is looked at before the last read, never after;
a frame gets its `seq` here, once, in the order of the file; damage is counted and kept, and what follows it is read. Nothing is remembered
that is not in the committed position: a tail may be thrown away at any moment and made anew from it.
Owns: one writer of kind journal. Leaves its headers to `journal_head`, rows to `rows`, the transaction to `shipper`.
"""

from __future__ import annotations

import functools
import json
import stat
from array import array
from typing import Any

from ..errors import PoisonRecord, SegmentError
from ..journal import reader
from ..journal.format import LOCK_SUFFIX, SEGMENT_SUFFIX, must_know, salt_of, segment_name
from ..journal.liveness import writer_is_alive
from ..system import os
from .batch import BLOCK_ROWS, RunUnknown
from .copytext import DayMissing
from .decode import Frame, clean, raw_text
from .facts import RunFacts
from .intake import Intake, Rows
from .journal_head import head_of, is_being_born, newest_head, program_of, run_of
from .numbers import Numbers
from .sink import Position
from .spool import JOURNAL, Files
from .step import Step, keep_damage

CHUNK_BYTES = 256 << 10
NO_RUN = "0" * 26
MAX_DROP_KEYS = 512
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
        self.writer, self.uid = files.writer, files.uid
        self.position = position
        self._home, self._directory = home, files.directory
        self._salt = salt_of(files.writer)
        self._fd = -1
        self._fd_number = -1
        self._dead = False
        self._found_dead: Files | None = None  # the look at which it was found dead
        self._ripe = -1  # a later segment that was seen to hold a record
        self._numbers = Numbers()
        self._rows: Rows | None = None
        self.head: dict[str, Any] = {}
        self.run = self.last_run = NO_RUN
        self.pipeline = program_of(None)
        self._meet(files)

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
            self._meet(files)
            head = self.head
            self._dead = not (not head and is_being_born(files)) and not writer_is_alive(
                files.directory, self.writer, head.get("pid", 0), head.get("start", 0), head.get("boot", "")
            )
            self._found_dead = files
            if self._dead:
                files.doubt()
        return not self._dead

    def wants_a_look(self, files: Files) -> bool:
        """Tell whether the writer died after *files* were listed: it may have begun segments that are not among them."""
        return self._dead and files is self._found_dead

    def read(self, files: Files, into: Intake, step: Step) -> bool:
        """Read on from where *step* stands, about one chunk; tell whether that brought anything. Raises OSError, SegmentError, SinkError."""
        before = (step.segno, step.offset, step.closed)
        over = self._dead and not self.wants_a_look(files)
        self._meet(files)
        while not into.is_full() and not step.blocked and self._open(files, step, over):
            later = files.next_after(step.segno)
            may_leave = later is not None and (
                not files.overlooked(step.segno + 1, later) if over else self._is_ripe(files, step.segno, later)
            )
            chunk = reader.read_chunk(self._fd, self._salt, step.offset, CHUNK_BYTES)
            if chunk.frames:
                if not self._take_once(chunk.frames, step, into) or chunk.stop == reader.MORE:
                    break  # one chunk per turn; the others want to be read as well
            elif chunk.stop == reader.DAMAGE:
                self._numbers.learn(step.segno, self._fd, self._salt, chunk.next)
                keep_damage(self._home, self._fd, self.writer, step.segno, chunk.next, chunk.resume)
                step.damage(chunk.resume)
                break  # looking for its end may have taken long
            elif chunk.stop == reader.MORE and chunk.next > step.offset:
                step.offset = chunk.next
            elif chunk.stop == reader.MORE:
                break
            elif may_leave and later is not None:
                lacks = self._lacks(files, step, later)
                if lacks is None:
                    break
                self._leave(chunk, step)
                if lacks:
                    step.damage(step.offset, MAX_DROPS)
                step.go_on(later)
            else:
                if over and later is None and not files.overlooked(step.segno + 1, step.segno + 2):
                    self._leave(chunk, step)
                    self._close(files, step)
                break
        return (step.segno, step.offset, step.closed) != before

    def _leave(self, chunk: reader.Chunk, step: Step) -> None:
        """Take what stands at the end of a segment that is left: nothing, half a frame, or damage, which no call can have left."""
        if chunk.stop == reader.PARTIAL and chunk.short:
            step.torn += chunk.resume - chunk.next
        elif chunk.stop == reader.PARTIAL:
            keep_damage(self._home, self._fd, self.writer, step.segno, chunk.next, chunk.resume)
            step.damage(chunk.resume)

    def _open(self, files: Files, step: Step, over: bool) -> bool:
        if step.segno not in files.sizes:
            later = files.next_after(step.segno)
            if files.overlooked(step.segno, step.segno + 2 if later is None else later):
                return False
            if (step.segno, step.offset) != (0, 0) and (over or later is not None):
                step.vanished()
            elif later is not None:
                lacks = self._lacks(files, step, later)
                if lacks is None:
                    return False
                if lacks:
                    step.damage(0, MAX_DROPS)
            if later is None:
                if over:
                    self._close(files, step)
                return False
            step.go_on(later)
        if self._fd_number != step.segno:
            self.close()
            must_know(head_of(files, step.segno, self._salt).get("v"), f"segment {step.segno}")
            try:
                self._fd = files.open(segment_name(self.writer, step.segno, SEGMENT_SUFFIX))
            except FileNotFoundError:
                return False
            self._fd_number = step.segno
        return True

    def _lacks(self, files: Files, step: Step, number: int) -> bool | None:
        """Tell whether something is missing between the segment in hand and segment *number*; None: one between them has just come.

        Its header says which segment its writer had before, and how long that was: numbers may have gaps, for a birth can fail.
        """
        head = head_of(files, number, self._salt)
        before = head.get("prev")
        if head.get("segno") != number or not isinstance(before, list) or [type(item) for item in before] != [int, int]:
            return False
        previous, size = before
        if previous == step.segno and self._fd_number == previous:
            return bool(os.fstat(self._fd).st_size < size)
        if not step.segno <= previous < number or previous in files.sizes:
            return False
        return None if files.overlooked(previous, previous + 1) else True

    def _close(self, files: Files, step: Step) -> None:
        """Close the writer, with the drops that no record could declare any more: the lock file is as long as there were drops."""
        step.closed = True
        try:
            status = os.lstat(files.path(LOCK_SUFFIX))
        except OSError:
            return
        # A hole and nothing else: what was written into it is none of ours.
        if (
            stat.S_ISREG(status.st_mode)
            and status.st_nlink == 1
            and status.st_blocks == 0
            and status.st_uid == files.uid
        ):
            step.dropped = max(step.dropped, min(status.st_size, MAX_DROPS))

    def _take_once(self, frames: list[tuple[int, int, bytes]], step: Step, into: Intake) -> bool:
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

    def _is_ripe(self, files: Files, current: int, number: int) -> bool:
        """Tell whether segment *number* holds a record behind its header, so that nothing more comes to the one before."""
        if self._ripe != number:
            if files.overlooked(current + 1, number):
                return False
            try:
                fd = files.open(segment_name(self.writer, number, SEGMENT_SUFFIX))
            except (OSError, SegmentError):
                return False
            try:
                if len(reader.read_chunk(fd, self._salt, 0, 8192).frames) >= 2:
                    self._ripe = number
            finally:
                os.close(fd)
        return self._ripe == number

    def _take(self, frames: list[tuple[int, int, bytes]], step: Step, into: Intake) -> bool:
        """Make rows of frames; False when one of them has to wait for the next batch, in front of which the step then stands."""
        for first in range(0, len(frames), BLOCK_ROWS):
            lines: list[str] = []
            begins = array("Q")
            try:
                self._make(frames[first : first + BLOCK_ROWS], step, into, lines, begins)
            except (DayMissing, RunUnknown) as missing:
                step.wants = missing
            into.logs(lines, functools.partial(self._raw, step.segno, begins))
            if step.blocked:
                return False
        return True

    def _make(
        self, frames: list[tuple[int, int, bytes]], step: Step, into: Intake, lines: list[str], begins: array[int]
    ) -> None:
        """Put logs into *lines* and where their frames begin into *begins*, the rest where it belongs. Raises DayMissing, RunUnknown."""
        rows = self._rows
        if rows is None:
            rows = self._rows = into.rows_for(self.writer, self.head.get("pid", 0))
        read, make_line = into.sites.read, rows.line
        add, add_begin = lines.append, begins.append
        seq, offset, highest = step.seq, step.offset, -1
        events = dead = 0
        named, facts = "", None
        try:
            for end, n, payload in frames:
                try:
                    site, record = read(payload)
                    if record.k == "log":
                        if record.r != named or facts is None:
                            facts, named = self._facts(record.r, into), record.r
                            facts.seen(record.t)
                        add(make_line(site, record, facts.run, facts.pos, seq))
                        add_begin(offset)
                        seq += 1
                        facts.pos += 1
                        if record.t > facts.last:
                            facts.last = record.t
                        if site.lv >= 30:
                            facts.heed(site.lv)
                        if record.s is not None:
                            facts.stage = record.s
                    elif record.k == "event" and isinstance(record, Frame):
                        facts, named = self._event(record, payload, seq, into, rows), record.r
                        seq += 1
                        events += 1
                    elif record.k == "head":
                        step.take_drops(_dropped(payload))
                        offset = end
                        continue
                    elif record.k == "drops":
                        step.take_drops(_dropped(payload))
                except PoisonRecord as problem:
                    into.refuse(self.writer, seq, self.last_run, payload, problem)
                    seq += 1
                    dead += 1
                if n > highest:
                    if highest < 0:
                        step.number(n)
                    highest = n
                offset = end
        finally:
            step.passed(offset, highest, len(lines), events, dead)

    def _raw(self, segno: int, begins: array[int], index: int) -> bytes:
        """Return the payload of a frame from the spool, where it stays until it was shipped. Raises OSError, SegmentError."""
        fd = reader.open_segment(os.path.join(self._directory, segment_name(self.writer, segno, SEGMENT_SUFFIX)))
        try:
            frames = reader.read_chunk(fd, self._salt, begins[index], 1).frames
        finally:
            os.close(fd)
        if not frames:
            raise SegmentError(f"segment {segno} of writer {self.writer} changed while it was shipped")
        return frames[0][2]

    def _facts(self, run: str, into: Intake) -> RunFacts:
        """Return the facts of a record's run; what names no run belongs to the one before."""
        known = run_of(run) or self.last_run
        facts = into.run(known, self.pipeline)
        facts.writers.add(self.writer)
        self.last_run = known
        return facts

    def _event(self, frame: Frame, payload: bytes, seq: int, into: Intake, rows: Rows) -> RunFacts:
        facts = self._facts(frame.r, into)
        text = raw_text(frame.x) or "{}"
        line = rows.event(facts.run, frame.t, facts.pos, seq, frame.ev or "unnamed", frame.s, text)
        into.event(line, payload)
        try:
            data = clean(json.loads(text))
        except (ValueError, RecursionError):
            data = {}
        facts.event(frame.ev, frame.t, frame.s, data if isinstance(data, dict) else {})
        return facts

    def _meet(self, files: Files) -> None:
        """Learn what the writer says of itself, as soon as it has: a look at the spool may have found its lock and nothing else."""
        if not self.head:
            self.head = newest_head(files, self._salt)
            self.run = run_of(self.head.get("run")) or NO_RUN
            self.pipeline = str(self.head.get("pipeline") or program_of(self.head.get("argv0")))
            if self.last_run == NO_RUN:
                self.last_run = self.run

    def described(self) -> dict[str, Any]:
        """Return what the store keeps of this writer."""
        head = self.head
        kept = ("argv0", "boot", "py", "role", "start", "node")
        return {
            "pid": head.get("pid") or None,
            "opened_ns": head.get("t", 0),
            "header": {**{key: head[key] for key in kept if key in head}, "uid": self.uid},
        }


def _dropped(payload: bytes) -> dict[str, int]:
    """Return the counts of a `dropped` object."""
    try:
        counts = clean(json.loads(payload)).get("dropped") or {}
        return {
            key[:64]: value
            for key, value in list(counts.items())[:MAX_DROP_KEYS]
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}
