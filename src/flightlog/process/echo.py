"""The console's side of a captured stream: which bytes of the segment it still has to get, and giving them.

Invariants
- The console gets exactly the command's bytes less verified marks, in order. An incomplete mark is held back only until
  `release`.
- How far it has got is in the shared page; where sendfile(2) works the kernel itself writes it there, so that another
  process goes on without a byte lost or doubled, whenever this one is killed.
- A console that takes no more is left alone. A vanished reader is reported; other errors cost the console bytes, nobody
  else.
Owns: ranges, marks, writing. Leaves the segment to the pump and waiting to the loop.
"""

from __future__ import annotations

import collections
import errno
import os

from ..journal import mark
from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..journal.capture import CaptureWriter
    from .descriptors import Console
    from .page import Slot

PARSE_BYTES = 1 << 16
BUDGET_BYTES = 1 << 20  # per call, so that no stream starves another
GATHER_BYTES = 4096  # neighbouring ranges shorter than this are written together
_NO_SENDFILE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))
_LATER = frozenset((errno.EAGAIN, errno.EINTR))


class Echo:
    """See the module.

    Attributes:
        seen: up to where the current segment has been looked at.
        refused: bytes that the console did not take, for another reason than a vanished reader.
    """

    def __init__(self, console: Console, capture: CaptureWriter, slot: Slot) -> None:
        self.console, self.capture, self.slot = console, capture, slot
        self.seen = slot.offset
        self.refused = 0
        self._ranges: collections.deque[tuple[int, int]] = collections.deque()
        self._outside = b""  # never was in the segment; comes after the ranges
        self._splitter = mark.Splitter()
        self._tail = b""  # what the splitter holds back

    @property
    def pending(self) -> bool:
        """Something could be written now."""
        return bool(self._ranges or self._outside)

    @property
    def holding(self) -> int:
        """How many bytes are held back, because they may be the beginning of a mark."""
        return len(self._tail)

    @property
    def idle(self) -> bool:
        """Everything that came has been written."""
        return not (self._ranges or self._outside or self._tail)

    def note(self, end: int) -> None:
        """The segment now ends at *end*: find out what of it the console gets."""
        while self.seen < end:
            try:
                data = os.pread(self.capture.fd, min(PARSE_BYTES, end - self.seen), self.seen)
            except OSError:
                data = b""
            if not data:  # truncated under us, or an unreadable disk
                self.refused += end - self.seen
                self.seen = end
                return
            begin = self.seen - len(self._tail)
            self.seen += len(data)
            if not self._tail and b"\x1b" not in data:
                self._add(begin, self.seen)
            else:
                for start, stop in self._split(data):
                    self._add(begin + start, begin + stop)

    def divert(self, data: bytes) -> None:
        """Give the console bytes that are not in the segment. Whatever was held back before is released first."""
        self.release()
        self._outside += b"".join([data[start:stop] for start, stop in self._split(data)])
        if self._tail:
            self._outside += self._tail
            self._tail = b""
            self._splitter = mark.Splitter()

    def release(self) -> None:
        """Stop holding back: the stream has ended, or the rest of the mark takes too long."""
        if self._tail:
            begin = self.seen - len(self._tail)
            for start, stop in self._parts(self._splitter.flush(), self._tail):
                self._add(begin + start, begin + stop)
            self._tail = b""

    def begin_segment(self, number: int) -> None:
        """Everything of the segment before is written; go on with segment *number*."""
        self.slot.turn_to(number)
        self.seen = 0

    def skip(self, end: int) -> None:
        """The segment now ends at *end*, and what is new in it is on the console already. Only when nothing is pending."""
        self.seen = self.slot.offset = end

    def _split(self, data: bytes) -> list[tuple[int, int]]:
        """Feed *data*; return which parts of (what was held back + *data*) the console gets, and keep what is held back
        now.
        """
        raw = self._tail + data
        found = self._parts(self._splitter.feed(data), raw)
        self._tail = raw[len(raw) - self._splitter.held :] if self._splitter.held else b""
        return found

    @staticmethod
    def _parts(parts: list[tuple[bytes, bytes]], raw: bytes) -> list[tuple[int, int]]:
        found = []
        position = 0
        for reference, text in parts:
            if reference:
                position = raw.index(b"\x1b\\", position) + 2  # the end of the mark itself
            found.append((position, position + len(text)))
            position += len(text)
        return found

    def _add(self, start: int, stop: int) -> None:
        if self._ranges and self._ranges[-1][1] == start:
            start = self._ranges.pop()[0]
        if stop > start:
            self._ranges.append((start, stop))

    # -- writing ----------------------------------------------------------------------------------------------------

    def give(self) -> bool:
        """Write what the console takes without blocking (a careful one: once). False when its reader has vanished."""
        budget = BUDGET_BYTES
        while budget > 0 and self.pending:
            count = self._give_range() if self._ranges else self._give_outside()
            if count < 0:
                if -count in _LATER:
                    break
                if -count == errno.EPIPE:
                    return False
                self._refuse()
                continue
            budget -= count
            if self.console.careful:
                break
        if not self._ranges:
            self.slot.offset = self.seen - len(self._tail)
        return True

    def _give_range(self) -> int:
        start, stop = self._ranges[0]
        if self.slot.offset != start:
            self.slot.offset = start  # over a mark
        if len(self._ranges) > 1 and stop - start < GATHER_BYTES:
            return self._give_gathered()
        count = min(stop - start, self.console.chunk)
        if self.console.direct:
            done = linux.sendfile(self.console.fd, self.capture.fd, self.slot.address(), count)
            if -done in _NO_SENDFILE:
                self.console.direct = False
            else:
                return self._advance(done)
        try:
            done = os.write(self.console.fd, os.pread(self.capture.fd, count, start))
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        self.slot.offset = start + done
        return self._advance(done)

    def _give_gathered(self) -> int:
        """Write several short ranges at once: with marks between the lines one call per line would be slow."""
        begin = self._ranges[0][0]
        pieces = []
        size = 0
        try:
            data = os.pread(self.capture.fd, self.console.chunk, begin)
            for start, stop in self._ranges:
                piece = data[start - begin : stop - begin]
                pieces.append(piece)
                size += len(piece)
                if begin + len(data) <= stop:
                    break
            done = os.write(self.console.fd, b"".join(pieces))
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        self._advance(done)
        if self._ranges:
            self.slot.offset = self._ranges[0][0]
        return done

    def _advance(self, count: int) -> int:
        if count == 0:  # the segment is shorter than it was
            return -errno.EIO
        left = count
        while left > 0:
            start, stop = self._ranges.popleft()
            if stop - start > left:
                self._ranges.appendleft((start + left, stop))
            left -= stop - start
        return count

    def _give_outside(self) -> int:
        try:
            done = os.write(self.console.fd, self._outside[: self.console.chunk])
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        self._outside = self._outside[done:]
        return done

    def _refuse(self) -> None:
        """The console cannot take bytes (a full disk, a terminal that is gone): go on without these."""
        self.refused += sum([stop - start for start, stop in self._ranges]) + len(self._outside)
        self._ranges.clear()
        self._outside = b""
