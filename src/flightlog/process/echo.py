"""The console's side of a captured stream: which bytes of the segment it still has to get, and giving them.

Invariants
- The console gets exactly the command's bytes less verified marks, in order. An incomplete mark is held back only until
  `release`.
- How far it has got is in the shared page; where sendfile(2) works the kernel itself writes it there, so that another
  process goes on without a byte lost or doubled, whenever this one is killed.
- A console that takes no more is left alone. A vanished reader is reported; other errors cost the console bytes, nobody
  else.
Owns: what the console gets and in which order, marks, writing. Leaves the segment to the pump and waiting to the loop.
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
        loose: how many of the bytes that are held back are in no segment, or in the one before.
    """

    def __init__(self, console: Console, capture: CaptureWriter, slot: Slot) -> None:
        self.console, self.capture, self.slot = console, capture, slot
        self.seen = slot.offset
        self.refused = 0
        self.loose = 0
        # What the console gets, in order: ranges of the segment, and bytes that are not in it.
        self._queue: collections.deque[tuple[int, int] | bytes] = collections.deque()
        self._splitter = mark.Splitter()
        self._tail = (
            b""  # what the splitter holds back; its first `loose` bytes, and the rest at the end of what was seen
        )

    @property
    def pending(self) -> bool:
        """Something could be written now."""
        return bool(self._queue)

    @property
    def holding(self) -> int:
        """How many bytes are held back, because they may be the beginning of a mark."""
        return len(self._tail)

    @property
    def idle(self) -> bool:
        """Everything that came has been written."""
        return not (self._queue or self._tail)

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
            self.seen += len(data)
            if not self._tail and b"\x1b" not in data:
                self._add(self.seen - len(data), self.seen)
            else:
                self._split(data, True)

    def divert(self, data: bytes) -> None:
        """Give the console bytes that are not in the segment; a mark may have begun there."""
        self._split(data, False)

    def release(self) -> None:
        """Stop holding back: the stream has ended, or the rest of the mark takes too long."""
        if self._tail:
            raw, self._tail = self._tail, b""
            self._place(self._parts(self._splitter.flush(), raw), raw, True)
            self.loose = 0

    def begin_segment(self, number: int) -> None:
        """Everything of the segment before is written or held back; go on with segment *number*."""
        self.slot.turn_to(number)
        self.seen = 0
        self.loose = len(self._tail)

    def skip(self, end: int) -> None:
        """The segment now ends at *end*, and what is new in it is on the console already, or loose. Only when nothing is pending."""
        self.seen = self.slot.offset = end

    def _split(self, data: bytes, inside: bool) -> None:
        """Queue what of (what was held back + *data*) the console gets, and keep what is held back now.

        *inside*: *data* ends in the segment, where `seen` is.
        """
        raw = self._tail + data
        self._place(self._parts(self._splitter.feed(data), raw), raw, inside)
        held = self._splitter.held
        self._tail = raw[len(raw) - held :] if held else b""
        self.loose = max(0, self.loose - (len(raw) - held)) if inside else held

    def _place(self, parts: list[tuple[int, int]], raw: bytes, inside: bool) -> None:
        """Queue *parts* of *raw*: as ranges of the segment what is in it, else as bytes."""
        outside = self.loose if inside else len(raw)
        base = self.seen - len(raw)
        for start, stop in parts:
            if start < outside:
                self._add_bytes(raw[start : min(stop, outside)])
            if stop > outside:
                self._add(base + max(start, outside), base + stop)

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
        last = self._queue[-1] if self._queue else b""
        if not isinstance(last, bytes) and last[1] == start:
            self._queue.pop()
            start = last[0]
        if stop > start:
            self._queue.append((start, stop))

    def _add_bytes(self, data: bytes) -> None:
        last = self._queue[-1] if self._queue else ()
        if isinstance(last, bytes):
            self._queue.pop()
            data = last + data
        if data:
            self._queue.append(data)

    # -- writing ----------------------------------------------------------------------------------------------------

    def give(self) -> bool:
        """Write what the console takes without blocking (a careful one: once). False when its reader has vanished."""
        budget = BUDGET_BYTES
        while budget > 0 and self._queue:
            head = self._queue[0]
            count = self._give_bytes(head) if isinstance(head, bytes) else self._give_range(*head)
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
        if not self._queue:
            self.slot.offset = self.seen - (len(self._tail) - self.loose)
        return True

    def _give_range(self, start: int, stop: int) -> int:
        if self.slot.offset != start:
            self.slot.offset = start  # over a mark
        if len(self._queue) > 1 and stop - start < GATHER_BYTES:
            return self._give_gathered(start)
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

    def _give_gathered(self, begin: int) -> int:
        """Write several short ranges at once: with marks between the lines one call per line would be slow."""
        pieces = []
        try:
            data = os.pread(self.capture.fd, self.console.chunk, begin)
            for part in self._queue:
                if isinstance(part, bytes):
                    break
                pieces.append(data[part[0] - begin : part[1] - begin])
                if begin + len(data) <= part[1]:
                    break
            done = os.write(self.console.fd, b"".join(pieces))
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        self._advance(done)
        head = self._queue[0] if self._queue else b""
        if not isinstance(head, bytes):
            self.slot.offset = head[0]
        return done

    def _advance(self, count: int) -> int:
        if count == 0:  # the segment is shorter than it was
            return -errno.EIO
        left = count
        while left > 0:
            start, stop = self._queue.popleft()  # ranges only, as many as were written
            if stop - start > left:
                self._queue.appendleft((start + left, stop))
            left -= stop - start
        return count

    def _give_bytes(self, data: bytes) -> int:
        try:
            done = os.write(self.console.fd, data[: self.console.chunk])
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        self._queue.popleft()
        if done < len(data):
            self._queue.appendleft(data[done:])
        return done

    def _refuse(self) -> None:
        """The console cannot take bytes (a full disk, a terminal that is gone): go on without these."""
        self.refused += sum([len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self._queue])
        self._queue.clear()
