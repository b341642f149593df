"""Writing the journal: one whole frame per record, by one write(2), into an append-only segment.

Invariants
- When `append` returned a number, the record survives the death of this process by any signal. Power loss is the agent's fdatasync.
- No lock, no fsync, no exception, no output. What cannot be written is counted, and the count is written as soon as anything can be.
- Nothing exists on disk before the first record. All state hangs on one object, which is replaced in a forked child.
- A descriptor is closed only when it still is one of our files: the program may have closed ours and opened its own.
- One thread at a time rotates (elected by `dict.setdefault`); the others go on with the old segment, or, when there is none
  yet, wait at most 50 ms; a signal handler inside a rotation takes a fresh writer instead of waiting for itself.

Owns: descriptors, rotation, forks, drops. Leaves encoding to the caller and everything after the file to the agent.
"""

from __future__ import annotations

import _thread
import itertools
import os
import threading
import time
from zlib import crc32

from .. import identity
from . import birth
from .drops import Drops
from .format import CRC_PIECE_BYTES, FRAME_HEAD, FRAME_HEAD_BYTES, ROTATE_BYTES, TAG, checksum
from .mistakes import MISTAKES, STACK_ABORTS, must_rise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

RETRY_SECONDS = 1.0  # after a failed birth or rotation
WAIT_SECONDS = 0.05  # at most, for another thread's birth of the first segment
NOTE_MASK = 0x3F  # of records shed for pressure, every 64th is noted at once: a note costs more than a record
TRIES = 8  # of one record, among forks, short writes and interrupted births
CHECK_MASK = 0xFF  # every 256 records: is the descriptor still ours, is it time to rotate; a segment ends up to so many records late
LAST_NUMBER = 1 << 31  # a fresh writer after so many records
_pack = FRAME_HEAD.pack
_os_write = os.write
_companions = _thread._count  # how many threads this process has besides the main one
_HEAD = FRAME_HEAD_BYTES
_TAG = TAG << 24


class _State:
    """Everything that belongs to one writer id in one process."""

    __slots__ = (
        "bad",
        "dropped",
        "fd",
        "inodes",
        "lock_fd",
        "lock_inode",
        "next",
        "numbers",
        "owes",
        "retry_at",
        "salt",
        "same_process",
        "segment",
        "slow",
        "turns",
        "write",
        "writer",
    )

    def __init__(self) -> None:
        self.writer = identity.new_writer_id()
        self.salt = crc32(bytes.fromhex(self.writer))
        self.fd = -1  # the first write fails with EBADF and so takes the slow path to birth
        self.lock_fd = -1
        self.lock_inode: tuple[int, int] | None = None
        self.next = itertools.count(1).__next__
        self.numbers = itertools.count().__next__
        self.segment = -1
        self.retry_at = 0.0
        self.inodes: set[tuple[int, int]] = set()
        self.slow = False  # bad, or drops to be declared: the next append takes the slow path
        self.bad = False  # nothing may be appended to the current segment any more
        self.turns: dict[int, tuple[int, object]] = {}
        self.dropped = Drops()
        self.owes = False
        self.same_process = birth.fork_sentinel()
        self.write = birth.fast_write or birth.plain_write


class Writer:
    """One process's writer. Make one per process; it renews itself in forked children.

    Args:
        directory: the spool directory; created at the first record.
        head: called at the birth of each segment; what it returns goes into the header (run, pipeline).
        rotate_bytes: a new segment begins when the current one is larger than this.
    """

    def __init__(
        self, directory: str, head: Callable[[], dict[str, Any]] | None = None, rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        self.directory = directory
        self.rotate_bytes = rotate_bytes
        self._head = head
        self._state = _State()
        _writers.append(self)

    @property
    def writer_id(self) -> str:
        """The id of this process's writer, 32 hexadecimal digits."""
        return self._current().writer

    @property
    def dropped(self) -> dict[str, int]:
        """How many records were dropped so far in this process, by "LEVEL/reason"."""
        return self._state.dropped.counts()

    def append(self, payload: bytes, level: int = 20) -> int:
        """Append one record; return its number (from 1), or 0 when it was dropped.

        When a number is returned the record survives `kill -9`. Never raises (but see `mistakes`), takes no lock, does not wait for a disk (the
        kernel may throttle a writer while it writes back). Safe in threads, signal handlers, `__del__` and after forks.

        Args:
            payload: one JSON object in UTF-8, at most 256 KB.
            level: under which level a drop is counted.
        """
        state = self._state
        if not state.same_process[0]:
            state = self._current()
        n = state.next()
        length = len(payload)
        if length > CRC_PIECE_BYTES or state.slow:
            return self._append_with_care(state, payload, n, level)
        # n stays below 2**32: a writer id is given up long before, see _check.
        frame = _pack(crc32(payload, state.salt) ^ n, _TAG | length, n) + payload
        try:
            # With company, giving the interpreter lock up would cost 5 ms; alone it costs nothing, and os.write is the faster call.
            written = state.write(state.fd, frame, length + _HEAD) if _companions() else _os_write(state.fd, frame)
        except OSError:
            written = -1
        if written != length + _HEAD:
            return self._append_slowly(state, payload, n, level)
        if not n & CHECK_MASK:
            self._check(state, n)
        return n

    def drop(self, level: int, reason: str) -> None:
        """Count a record that is shed on purpose; the count is written with the next record that is accepted."""
        state = self._current()
        count = state.dropped.add("%d/%s" % (level, reason))
        state.owes = state.slow = True
        if reason != "pressure" or not count & NOTE_MASK:
            self._note(state)

    def sync(self) -> None:
        """Flush this writer's current segment to disk (fdatasync); for the shim, never for a pipeline. Blocks; never raises."""
        try:
            os.fdatasync(self._state.fd)
        except OSError:
            pass

    def close(self) -> None:
        """Declare drops that nothing declared yet and let go of the files. A later append begins a new writer."""
        state = self._current()
        if state.owes and (state.bad or state.fd < 0):
            state.retry_at = 0.0  # the last chance to say it: the header of a new segment does
            self._rotate(state)
        if state.owes:
            self._declare(state)
        if state.owes:
            self._note(state)
        state = self._state
        self._state = _State()
        birth.close_ours(state.fd, state.inodes)
        birth.close_ours(state.lock_fd, state.inodes)

    # -- the slow path ------------------------------------------------------------------------------------------

    def _append_with_care(self, state: _State, payload: bytes, n: int, level: int) -> int:
        """Append a record whose checksum is taken piece by piece, or behind trouble; look at once whether the segment is full."""
        if state.slow:
            return self._append_slowly(state, payload, n, level)
        frame = _pack(checksum(payload, state.salt, n), _TAG | len(payload), n) + payload
        if state.write(state.fd, frame, len(frame)) != len(frame):
            return self._append_slowly(state, payload, n, level)
        self._check(state, n)
        return n

    def _current(self) -> _State:
        """Return the state of this process, a new one when a fork happened that our hook did not see."""
        state = self._state
        if not state.same_process[0]:
            self._renew()
        return self._state

    def _renew(self) -> None:
        old = self._state
        self._state = _State()
        birth.close_ours(old.fd, old.inodes)
        birth.close_ours(old.lock_fd, old.inodes)

    def _append_slowly(self, state: _State, payload: bytes, n: int, level: int) -> int:
        """Handle the first record, a fork in between, an error or short write, and drops to be declared."""
        for _ in range(TRIES):
            if state is not self._state:
                state = self._state
                n = state.next()
            if state.owes and not state.bad and state.fd >= 0:
                self._declare(state)
            if state.bad or state.fd < 0:
                if not self._rotate(state):
                    if state is self._state and time.monotonic() < state.retry_at:
                        break
                    continue  # a fork, or somebody's birth that was interrupted and did not fail
                if state is not self._state:
                    continue
            frame = _pack(checksum(payload, state.salt, n), _TAG | len(payload), n) + payload
            if state.write(state.fd, frame, len(frame)) == len(frame):
                return n
            state.bad = state.slow = True
        self.drop(level, "unwritable")
        return 0

    def _declare(self, state: _State) -> None:
        """Write how many records were dropped so far, as a frame of its own."""
        from .encode import encode

        told = state.dropped.counts()
        payload = encode({"k": "drops", "t": time.time_ns(), "dropped": told})
        n = state.next()
        frame = _pack(checksum(payload, state.salt, n), _TAG | len(payload), n) + payload
        if state.write(state.fd, frame, len(frame)) == len(frame):
            state.owes = state.dropped.counts() != told
            state.slow = state.bad or state.owes
        else:
            state.bad = state.slow = True

    def _note(self, state: _State) -> None:
        """Make the lock file as long as there are drops: that needs no room on a full disk, and no later record."""
        if state.lock_fd >= 0:
            birth.set_size(state.lock_fd, state.lock_inode, sum(state.dropped.counts().values()))

    def _check(self, state: _State, n: int) -> None:
        """Every 256 records: leave a descriptor that is not ours any more; rotate when the segment is full."""
        inode, size = birth.inode_and_size(state.fd)
        if inode not in state.inodes:
            if state is self._state and state.segment not in state.turns:
                state.fd = -1
                state.bad = state.slow = True
        elif n >= LAST_NUMBER and state is self._state:
            self._state = _State()  # the old files stay open: other threads may be writing to them
        elif size > self.rotate_bytes:
            self._rotate(state)

    def _rotate(self, state: _State) -> bool:
        """Begin a new segment; True when *state* can be written to, or was replaced meanwhile."""
        turn, me = state.segment, (threading.get_ident(), object())
        owner = state.turns.setdefault(turn, me)
        if owner is not me:
            return self._wait_for(state, owner, turn)
        try:
            return self._begin_segment(state)
        finally:
            state.turns.pop(turn, None)

    def _wait_for(self, state: _State, owner: tuple[int, object], turn: int) -> bool:
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
            self._state = _State()
        return True

    def _begin_segment(self, state: _State) -> bool:
        now = time.monotonic()
        if now < state.retry_at:
            return False
        pid = os.getpid()
        number = state.numbers()
        try:
            if state.lock_fd < 0:
                lock_fd, inode = birth.make_lock(self.directory, state.writer)
                state.inodes.add(inode)
                state.lock_inode = inode
                state.lock_fd = lock_fd
            old, size = birth.inode_and_size(state.fd)
            before = (state.segment, size if old in state.inodes else 0)
            header = birth.header(state.writer, number, state.dropped.counts(), before, self._head)
            fd, made, network = birth.make_segment(self.directory, state.writer, number, state.salt, header)
        except (*MISTAKES, OSError) as problem:
            if STACK_ABORTS and must_rise(problem):
                raise
            state.retry_at = now + RETRY_SECONDS
            return False
        if state is not self._state or os.getpid() != pid:  # a fork, or a handler that took a fresh writer
            birth.close_ours(fd, {made})
            return True
        state.inodes.add(made)
        if network:
            state.write = birth.plain_write
        try:
            if state.fd < 0 or birth.inode_of(state.fd) not in state.inodes:
                state.fd = birth.move_high(fd)
            else:
                os.dup2(fd, state.fd, False)
                os.close(fd)
        except OSError:
            birth.close_ours(fd, {made})
            state.retry_at = now + RETRY_SECONDS
            return False
        state.segment = number
        state.bad = False
        # The header carries the counts, but another thread may have dropped something meanwhile.
        state.owes = state.slow = state.dropped.counts() != header["dropped"]
        return True


_writers: list[Writer] = []


def _after_fork_in_child() -> None:
    for writer in _writers:
        writer._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
