"""Writing the journal: one whole frame per record, by one write(2), into an append-only segment.

Invariants
- When `append` returned a number, the record survives the death of this process by any signal. Power loss is the agent's fdatasync.
- No lock, no fsync, no exception, no output. What cannot be written is counted, and the count is written as soon as anything can be;
  how a run ended and what killed it goes into room that was set aside (`reserve`).
- Nothing exists on disk before the first record. All state hangs on one object, which is replaced in a forked child.
- A descriptor is closed only when it still is one of our files: the program may have closed ours and opened its own.
- One thread at a time rotates (elected by `dict.setdefault`); the others go on with the old segment, or, when there is none
  yet, wait at most 50 ms; a signal handler inside a rotation takes a fresh writer instead of waiting for itself.
- Under a limit on file sizes (`ulimit -f`) nothing is written that would go beyond it: a segment ends before, and a record that no segment
  can take is dropped.

Owns: the way of a record, rotation, forks. Leaves what belongs to one writer id to `state`, drops and the reserve to `last_words`, encoding to
the caller, and everything after the file to the agent.
"""

from __future__ import annotations

import _thread
import atexit
import threading
from zlib import crc32

from .. import identity
from ..system import os, time
from . import birth, last_words, reserve
from .drops import PRESSURE, UNWRITABLE
from .format import CRC_PIECE_BYTES, FRAME_HEAD, FRAME_HEAD_BYTES, MAX_PAYLOAD_BYTES, ROTATE_BYTES, TAG, frame
from .mistakes import MISTAKES, STACK_ABORTS, must_rise
from .patience import Patience
from .state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

RETRY_SECONDS = 1.0  # after a failed birth or rotation
WAIT_SECONDS = 0.05  # at most, for another thread's birth of the first segment
NOTE_MASK = 0x3F  # of records shed for pressure, every 64th is noted at once: a note costs more than a record
CHECK_MASK = 0xFF  # every 256 records: is the descriptor still ours, is it time to rotate; a segment ends up to so many records late
HEADER_GROWS = 16  # bytes at most, behind whose back a record was made to fit: its numbers get a digit more
LAST_NUMBER = 1 << 31  # a fresh writer after so many records
_pack = FRAME_HEAD.pack
_companions = _thread._count  # how many threads this process has besides the main one
_HEAD = FRAME_HEAD_BYTES
_TAG = TAG << 24


class Writer:
    """One process's writer. Make one per process; it renews itself in forked children.

    Args:
        directory: the spool directory; created at the first record.
        head: called at the birth of each segment; what it returns goes into the header (run, pipeline).
        rotate_bytes: a new segment begins when the current one is larger than this.
        spare: keep room of our own for last words; for who speaks for a whole run.

    Attributes:
        patience: how long a call may wait for a disk that is full; at birth not at all.
    """

    def __init__(
        self,
        directory: str,
        head: Callable[[], dict[str, Any]] | None = None,
        rotate_bytes: int = ROTATE_BYTES,
        spare: bool = False,
    ) -> None:
        self.directory = directory
        self.rotate_bytes = rotate_bytes
        self.patience = Patience()
        self._head = head
        self._spare = spare
        self._declares_at_exit = False
        self._state = State()
        _writers.append(self)

    @property
    def writer_id(self) -> str:
        """The id of this process's writer, 32 hexadecimal digits."""
        return self._current().writer

    @property
    def numbered(self) -> int:
        """How many records this writer id has given a number so far, those that were then dropped included; about a microsecond."""
        counter: Any = self._current().next
        return int(repr(counter.__self__)[6:-1]) - 1  # "count(17)": what itertools.count tells on every Python

    @property
    def dropped(self) -> dict[str, int]:
        """How many records were dropped so far in this process, by "LEVEL/reason"."""
        return self._state.drops.totals

    def append(self, payload: bytes, level: int = 20, final: bool = False) -> int:
        """Append one record; return its number (from 1), or 0 when it was dropped.

        When a number is returned the record survives `kill -9`. Never raises (but see `mistakes`), takes no lock, does not wait for
        a disk (the kernel may throttle a writer while it writes back). Safe in threads, signal handlers, `__del__` and after forks.

        Args:
            payload: one JSON object in UTF-8, at most 256 KB.
            level: under which level a drop is counted.
            final: last words, for which room is set aside.
        """
        state = self._state
        if not state.same_process[0]:
            state = self._current()
        n = state.next()
        length = len(payload)
        if length > CRC_PIECE_BYTES or state.slow:
            return self._append_with_care(state, payload, n, level, final)
        # n stays below 2**32: a writer id is given up long before, see _check.
        frame = _pack(crc32(payload, state.salt) ^ n, _TAG | length, n) + payload
        try:
            # With company, giving the interpreter lock up would cost 5 ms; alone it costs nothing, and os.write is the faster call.
            written = (
                state.write(state.fd, frame, length + _HEAD) if _companions() else state.write_alone(state.fd, frame)
            )
        except OSError:
            written = -1
        if written != length + _HEAD:
            return self._append_slowly(state, payload, n, level, final)
        if not n & CHECK_MASK:
            self._check(state, n)
        return n

    def largest(self) -> int:
        """Return the bytes of the largest payload that a segment of this process can take: few under a small limit on file sizes."""
        limit = birth.file_limit(self.rotate_bytes)
        if not limit:
            return MAX_PAYLOAD_BYTES
        state = self._current()
        header = birth.header(state.writer, max(state.segment, 0), state.drops.totals, state.before(), self._head)
        return max(0, limit - len(birth.first_frame(header, state.salt, limit)) - _HEAD - HEADER_GROWS)

    def drop(self, level: int, reason: str, pressure: int = 0) -> None:
        """Count a record that is shed on purpose; the count is written with the next record that is accepted, or soon."""
        state = self._current()
        self._count(state, level, reason, pressure)
        if state.drops.overdue():
            self._declare_now(state)

    def turn(self, more_than: int) -> None:
        """Begin a new segment if the current one holds *more_than* bytes, so that the agent can remove the old one. Never raises."""
        state = self._current()
        inode, size = birth.inode_and_size(state.fd)
        if inode in state.inodes and size > more_than and not state.on_reserve:
            self._rotate(state)

    def sync(self) -> None:
        """Flush this writer's current segment to disk (fdatasync); for the shim, never for a pipeline. Blocks; never raises."""
        try:
            os.fdatasync(self._state.fd)
        except OSError:
            pass

    def close(self) -> None:
        """Declare drops that nothing declared yet and let go of the files. A later append begins a new writer."""
        self._declare_at_exit()
        state = self._current()
        self._state = State()
        if state.on_reserve:
            reserve.cut(state.fd)
        if self._spare:
            reserve.give_up(self.directory, state.writer)
        birth.close_ours(state.fd, state.inodes)
        birth.close_ours(state.lock_fd, state.inodes)

    # -- the slow path ------------------------------------------------------------------------------------------

    def _append_with_care(self, state: State, payload: bytes, n: int, level: int, final: bool) -> int:
        """Append a record whose checksum is taken piece by piece, or behind trouble; look at once whether the segment is full."""
        if state.slow:
            return self._append_slowly(state, payload, n, level, final)
        data = frame(payload, state.salt, n)
        if state.write(state.fd, data, len(data)) != len(data):
            return self._append_slowly(state, payload, n, level, final)
        self._check(state, n)
        return n

    def _current(self) -> State:
        """Return the state of this process, a new one when a fork happened that our hook did not see."""
        state = self._state
        if not state.same_process[0]:
            self._renew()
        return self._state

    def _renew(self) -> None:
        old = self._state
        self._state = State()
        birth.close_ours(old.fd, old.inodes)
        birth.close_ours(old.lock_fd, old.inodes)

    def _append_slowly(self, state: State, payload: bytes, n: int, level: int, final: bool) -> int:
        """Handle the first record, a fork in between, an error or short write, and drops to be declared."""
        for attempt in range(8):
            if state is not self._state:
                state = self._state
                n = state.next()
            if state.bad or state.fd < 0:
                if not self._rotate(state):
                    if state is not self._state:
                        continue
                    if time.monotonic() >= state.retry_at:
                        continue  # somebody's birth was interrupted: it has not failed
                    if attempt < 4 and not final and self.patience.wait(lambda: self._rotate(self._state)):
                        continue
                    break
                if state is not self._state:
                    continue
            if state.drops.owed:
                last_words.declare(state, self._head)
            if state.bad:
                continue
            data = frame(payload, state.salt, n)
            if state.limit and not state.fits(len(data)):
                if state.header + len(data) > state.limit:
                    break  # no segment would take it
            elif state.write(state.fd, data, len(data)) == len(data):
                return n
            state.bad = state.slow = True
        if final and self._append_to_reserve(state, payload, n):
            return n
        state = self._current()
        self._count(state, level, UNWRITABLE)
        return 0

    # -- what was dropped, and last words ------------------------------------------------------------------------

    def _count(self, state: State, level: int, reason: str, pressure: int = 0) -> None:
        count = state.drops.count(level, reason, pressure)
        state.slow = True
        if reason != PRESSURE or not count & NOTE_MASK:
            state.note()
        if not self._declares_at_exit:
            self._declares_at_exit = True
            atexit.register(self._declare_at_exit)

    def _declare_at_exit(self) -> None:
        """Nobody may be there to close us: a program that only has loggers, and neither run nor `init`."""
        state = self._current()
        if state.drops.owed or state.drops.untold:
            self._declare_now(state, last=True)
        if state.drops.owed:
            state.note()

    def _declare_now(self, state: State, last: bool = False) -> None:
        """Declare drops although no record comes; begins a segment when there is none. *last*: nothing comes any more."""
        if (state.bad or state.fd < 0) and not self._rotate(state):
            if last:
                self._append_to_reserve(state, b"", 0)
        elif state is self._state and not state.bad:
            last_words.declare(state, self._head, last)
            if state.limit:
                self._declare_by_header(state, last)

    def _declare_by_header(self, state: State, last: bool) -> None:
        """The header of a segment says what was dropped, too: where a record of that did not fit behind the others."""
        if state.bad and self._rotate(state) and last and state is self._state:
            last_words.declare(state, self._head, last)

    def _append_to_reserve(self, state: State, payload: bytes, n: int) -> bool:
        """Write last words, and what was dropped, into room that was set aside; empty *payload*: only the latter. Never raises."""
        turn, me = state.segment, (threading.get_ident(), object())
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            owner = state.turns.setdefault(turn, me)
            if owner is me:
                break
            if owner[0] == me[0] or time.monotonic() > deadline:
                return False  # we have interrupted ourselves, or somebody takes too long
            time.sleep(0.0002)
        try:
            if state is not self._state or state.segment != turn:
                return False
            return last_words.write(state, self.directory, self._head, self._spare, payload, n)
        except (*MISTAKES, OSError):
            return False
        finally:
            state.turns.pop(turn, None)

    # -- births ---------------------------------------------------------------------------------------------------

    def _check(self, state: State, n: int) -> None:
        """Every 256 records: leave a descriptor that is not ours any more; rotate when the segment is full."""
        inode, size = birth.inode_and_size(state.fd)
        if inode not in state.inodes:
            if state is self._state and state.segment not in state.turns:
                state.fd = -1
                state.bad = state.slow = True
        elif n >= LAST_NUMBER and state is self._state:
            self._begin_anew(state)
        elif size > self.rotate_bytes:
            self._rotate(state)
        elif state is self._state:
            state.limit = birth.file_limit(self.rotate_bytes)  # set meanwhile, maybe
            state.slow = state.slow or state.limit > 0

    def _rotate(self, state: State) -> bool:
        """Begin a new segment; True when *state* can be written to, or was replaced meanwhile."""
        turn, me = state.segment, (threading.get_ident(), object())
        owner = state.turns.setdefault(turn, me)
        if owner is not me:
            return self._wait_for(state, owner, turn)
        try:
            # Between our look at the number and our turn, somebody may have had that turn and be done. A segment of ours would then get a number of
            # its own beside the next one's, and what is written to the lower of the two after the higher one was begun may never be read.
            return state.segment != turn or self._begin_segment(state)
        finally:
            state.turns.pop(turn, None)

    def _wait_for(self, state: State, owner: tuple[int, object], turn: int) -> bool:
        """Another call is rotating: go on with the old segment if it is good, else wait shortly, else take a fresh writer."""
        if not state.bad and state.fd >= 0:
            return True
        if owner[0] != threading.get_ident():
            deadline = time.monotonic() + WAIT_SECONDS
            while time.monotonic() < deadline:
                if state.turns.get(turn) is not owner:
                    return state.segment != turn or state is not self._state
                time.sleep(0.0002)
        if state is self._state:
            self._begin_anew(state)
        return True

    def _begin_anew(self, old: State) -> None:
        """Go on as a fresh writer. The old files stay open: other threads may be writing to them.

        What *old* has dropped its lock file says; where it never got so far as to have one, the fresh writer answers for it.
        """
        fresh = State()
        if old.lock_fd < 0:
            fresh.drops, fresh.slow = old.drops, old.drops.owed
        else:
            old.note()
        self._state = fresh

    def _begin_segment(self, state: State) -> bool:
        now = time.monotonic()
        if now < state.retry_at:
            return False
        pid = os.getpid()
        directory = identity.own_spool(self.directory)
        if directory != self.directory:  # the process changed its user: a fresh writer, in that one's spool
            self.directory = directory
            if state.lock_fd >= 0:
                self._begin_anew(state)
                return True
        number = state.numbers()
        first = state.lock_fd < 0
        try:
            state.lock(self.directory)
            limit = birth.file_limit(self.rotate_bytes)
            header = birth.header(state.writer, number, state.drops.totals, state.before(), self._head)
            data = birth.first_frame(header, state.salt, limit)
            fd, inode, network = birth.make_segment(self.directory, state.writer, number, data)
        except (*MISTAKES, OSError) as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            state.retry_at = now + RETRY_SECONDS
            return False
        if state is not self._state or os.getpid() != pid:  # a fork, or a handler that took a fresh writer
            birth.close_ours(fd, {inode})
            return True
        if network:
            state.write = birth.plain_write
        if state.on_reserve:
            reserve.cut(state.fd)
        try:
            state.adopt(fd, number)
        except OSError:
            birth.close_ours(fd, {inode})
            state.retry_at = now + RETRY_SECONDS
            return False
        state.on_reserve = state.bad = False
        state.limit, state.header = limit, len(data)
        if limit:
            state.drops.declared(False, header["dropped"])  # the header says it; a record of its own may find no room
        state.slow = state.drops.owed or limit > 0
        self.patience.renew()
        if first:
            last_words.set_aside(state, self.directory, self._spare)
        return True


_writers: list[Writer] = []


def _after_fork_in_child() -> None:
    for writer in _writers:
        try:
            writer._renew()
        except OSError:  # PyPy opens /dev/urandom, for which there may be no descriptor; the next record tries again
            pass


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
