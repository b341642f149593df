"""One captured stream in motion: pipe -> capture segment -> console.

Invariants
- A byte is in the pipe or in the segment, never only in this process: splice(2) moves it. The file's size is the truth.
- Nothing here blocks: a console that takes no more is left alone, and when it is 1 MB behind, the pipe is left alone
  too: the command then waits for it as it would without us.
- A segment begins only when the one before is on the console.
- What the capture cannot take (disk full), or must not (kill switch, quota), goes to the console by a detour, is counted,
  and the capture is tried again each second. The last 64 KB of it stay in memory, for the case that they are last words.
Owns: source, segment, detour, the end. Leaves the console's side to `echo` and waiting to the loop.
"""

from __future__ import annotations

import errno
import os
import time

from . import linux
from .echo import Echo
from .page import BROKEN, ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .page import Slot
    from .setup import Stream

LAG_BYTES = 1 << 20
TAKE_BYTES = 1 << 18
READ_BYTES = 1 << 16
BUDGET_BYTES = 1 << 20  # per turn, so that no stream starves the other
SMALL_BYTES = 1 << 16  # a limit on file sizes below this: too many segments
HOLD_SECONDS = 0.02
SLACK_BYTES = 2 << 20  # how much longer a segment may become
RETRY_SECONDS = 1.0
WORDS_BYTES = 1 << 16
STAMP_NS = 1_000_000
_splice = getattr(os, "splice", None)
_NONBLOCK = getattr(os, "SPLICE_F_NONBLOCK", 2)


class Pump:
    """See the module. Made by the process that moves the bytes: the shim, or the keeper after the shim died.

    Attributes:
        source: read end of the pipe; -1 after its end.
        ended: everything that will ever come is on the console and in the files.
        lost_ns: when the first byte went by that no line of the log has told; 0: there is none.
        off: the kill switch: nothing is captured.
        shed: the quota: nothing is captured, but the last words are.
        held: the pipe is left alone, so that the command waits for room.
    """

    def __init__(self, stream: Stream, slot: Slot) -> None:
        assert stream.capture is not None
        self.name = stream.name
        self.source = stream.source
        self.console = stream.console
        self.capture = stream.capture
        self.slot = slot
        self.capture.take_over()
        if slot.number != self.capture.number:
            slot.turn_to(self.capture.number)
        self.end = self.capture.size()
        self.before = 0  # bytes that came before this segment, or took the detour
        self.echo = Echo(self.console, self.capture, slot)
        self.ended = False
        self.lost_ns = 0
        self.off = self.shed = self.held = False
        self._words = b""  # the end of what was not captured, as long as nothing has been captured since
        self._can_splice = _splice is not None
        self._rotate_at = self.capture.rotate_bytes
        self._full = False  # the segment may not become larger
        self._held_since = 0.0
        self._retry_at = 0.0
        self._stamped_ns = 0
        self._unstamped = False
        self._goal = -1
        os.set_blocking(self.source, False)
        self.echo.note(self.end)

    @property
    def lost(self) -> int:
        """How many bytes went to the console only, though they were wanted; since the run began, whoever counted."""
        return self.slot.lost

    # -- what the loop asks -----------------------------------------------------------------------------------------

    def wants_input(self) -> bool:
        """Tell whether to look at the pipe."""
        if self.source < 0 or self.held:
            return False
        if self._on_detour():
            return not self.echo.pending
        if self.end - self.slot.offset > LAG_BYTES:
            return False
        # The next segment waits for the rest of a mark: whoever takes over in the middle of one would show it.
        return self.end < self._rotate_at + (SLACK_BYTES if self.echo.holding and not self._full else 0)

    def wake_at(self) -> float:
        """Return when `tick` has to be called although nothing happens (monotonic seconds); 0.0 for never."""
        return self._held_since + HOLD_SECONDS if self.echo.holding else 0.0

    def tick(self, now: float) -> None:
        """Release an incomplete mark that has been held back for 20 ms, unless more of it waits in the pipe."""
        if self.echo.holding and now >= self._held_since + HOLD_SECONDS:
            if self.wants_input() and linux.waiting_bytes(self.source):
                return
            self.echo.release()
            self._after_echo()

    def set_goal(self) -> None:
        """Remember what is in the pipe at this moment; `reached` then tells whether it has all arrived."""
        self._goal = self.before + self.end + (linux.waiting_bytes(self.source) if self.source >= 0 else 0)

    def reached(self) -> bool:
        """Tell whether everything up to the goal is in the files and on the console."""
        on_console = not self.echo.pending and not self.echo.loose
        return self.ended or (on_console and self.before + self.slot.offset >= self._goal)

    # -- pipe -> segment --------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Move what waits in the pipe, and on to the console if that cannot block."""
        if self.ended:
            return
        taken = 0
        while taken < BUDGET_BYTES and self.wants_input():
            try:
                count = self._read_past() if self._on_detour() else self._move()
            except BlockingIOError:
                break
            except OSError as problem:
                if problem.errno != errno.EIO or not self._is_over():
                    self._capture_failed(problem)
                    continue
                count = 0
            if count == 0:
                os.close(self.source)
                self.source = -1
                self.echo.release()
                break
            taken += count
        if self.echo.holding:
            self._held_since = time.monotonic()
        if not self.console.careful or not self.echo.pending:
            self.give()

    def _is_over(self) -> bool:
        """Tell whether an error is how a terminal says that everybody has closed it."""
        return os.isatty(self.source) and linux.is_hung_up(self.source)

    def _move(self) -> int:
        """Move bytes from the pipe to the end of the segment; 0 at the end of the stream. Raises OSError, nothing moved
        then.
        """
        if self._can_splice:
            try:
                count = int(_splice(self.source, self.capture.fd, TAKE_BYTES, offset_dst=self.end, flags=_NONBLOCK))  # type: ignore[misc]
            except OSError as problem:
                if problem.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
                self._can_splice = False
                return self._copy()
            self._arrived(count)
            return count
        return self._copy()

    def _copy(self) -> int:
        """Do what splice does where there is none: a kill between the two calls would lose what was read."""
        data = os.read(self.source, READ_BYTES)
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self.capture.fd, data[done:], self.end + done)
        except OSError as problem:
            self._arrived(done)
            self._capture_failed(problem)
            self._pass(data[done:])
            return len(data)
        self._arrived(done)
        return done

    def _arrived(self, count: int) -> None:
        if count:
            self.end += count
            self._words = b""
            self._unstamped = True
            if time.monotonic_ns() - self._stamped_ns >= STAMP_NS:
                self.settle()
            self.echo.note(self.end)

    def limit_segment(self, size: int) -> None:
        """Let segments end at *size* from now on, the current one as well."""
        if size != self.capture.rotate_bytes:
            self.capture.rotate_bytes = size
            self._rotate_at = min(self._rotate_at, size)
            self._after_echo()  # it may be past its end already, and nothing more is read before the next one begins

    def settle(self) -> None:
        """Note when the newest bytes came; at the latest before the loop waits."""
        if self._unstamped:
            self._unstamped = False
            self._stamped_ns = time.monotonic_ns()
            self.capture.stamp(self.end)

    def _rotate(self) -> None:
        self.settle()
        size = self.end
        self._full = False
        if not self.capture.rotate():
            self._rotate_at = self.end + self.capture.rotate_bytes
            return
        self.before += size
        self.end = 0
        self._rotate_at = self.capture.rotate_bytes
        self.echo.begin_segment(self.capture.number)

    # -- around the segment -----------------------------------------------------------------------------------------

    def _on_detour(self) -> bool:
        return self.off or self.shed or (self._retry_at > 0.0 and time.monotonic() < self._retry_at)

    def _capture_failed(self, problem: OSError) -> None:
        if problem.errno == errno.EFBIG and self.end >= SMALL_BYTES:
            # A limit on the size of files: a new one as soon as the console has all of this one.
            self._rotate_at, self._full = self.end, True
            self._after_echo()
            if self._rotate_at <= self.end or self.end == 0:
                return
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _read_past(self) -> int:
        data = os.read(self.source, READ_BYTES)
        if data:
            self._pass(data)
        return len(data)

    def _pass(self, data: bytes) -> None:
        self.before += len(data)
        if not self.off:  # who switched recording off misses nothing
            self.settle()
            self.lost_ns = self.lost_ns or time.time_ns()
            self.slot.lost += len(data)
            self._words = (self._words + data)[-WORDS_BYTES:]
        self.echo.divert(data)

    def keep_words(self) -> None:
        """Capture what was said last and not captured: the quota has room for that, and a full disk the reserve. Once the console has it."""
        if not self._words or self.echo.pending or self.echo.holding != self.echo.loose:
            return
        words, self._words = self._words, b""
        try:
            done = os.pwrite(self.capture.fd, words, self.end)
        except OSError:
            done = 0
        self.end += done
        if done < len(words):
            rescued = self.capture.rescue(words[done:])
            if rescued:
                self.before += self.end
                self.end = rescued
                self.echo.begin_segment(self.capture.number)
                done += rescued
        self.slot.lost -= done
        self.before -= done
        if done:
            self.capture.stamp(self.end)
            self.echo.skip(self.end)

    # -- segment -> console -----------------------------------------------------------------------------------------

    def give(self) -> None:
        """Write to the console what it takes now."""
        if self.echo.give():
            self._after_echo()
        else:
            self.break_off()

    def _after_echo(self) -> None:
        if self.echo.pending or (self.echo.holding and not self._full):
            return
        if self.source < 0:
            if self.echo.idle:
                self._finish(ENDED)
        elif self.end >= self._rotate_at:
            self._rotate()

    def break_off(self) -> None:
        """The console's reader has gone: close the pipe, so that the command gets its SIGPIPE (the keeper closes it,
        too).
        """
        if self.source >= 0:
            os.close(self.source)
            self.source = -1
        self._finish(BROKEN)

    def _finish(self, state: int) -> None:
        if not self.ended:
            self.ended = True
            self.keep_words()
            self.settle()
            self.capture.end()
            self.console.close()
            self.slot.state = state
