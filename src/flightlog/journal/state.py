"""Everything that belongs to one writer id in one process: descriptors, numbers, salt, drops.

Invariants: replaced as a whole at a fork, never repaired; a descriptor is closed or reused only when it still is one of our files.
Owns: these fields, the lock, and which descriptor is written to. Leaves when to change them to `writer`.
"""

from __future__ import annotations

import itertools
from zlib import crc32

from .. import identity
from ..system import native, os
from . import birth
from .drops import Drops

MAX_NOTED = 1 << 31  # drops; of a longer lock file the agent would not believe that it is one


class State:
    """Everything that belongs to one writer id in one process."""

    __slots__ = (
        "bad",
        "drops",
        "fd",
        "header",
        "inodes",
        "limit",
        "lock_fd",
        "lock_inode",
        "next",
        "numbers",
        "on_reserve",
        "retry_at",
        "salt",
        "same_process",
        "segment",
        "slow",
        "turns",
        "write",
        "write_alone",
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
        self.limit = 0  # bytes that a segment may have; 0: nobody limits it
        self.header = 0  # bytes that the header of the current segment takes
        self.slow = False  # bad, limited, or drops to be declared: the next append takes the slow path
        self.bad = False  # nothing may be appended to the current segment any more
        self.turns: dict[int, tuple[int, object]] = {}
        self.drops = Drops()
        self.on_reserve = False  # fd is a slot of the reserve: for last words only
        self.same_process = native.fork_sentinel()
        self.write, self.write_alone = birth.write_calls()

    def lock(self, directory: str) -> None:
        """Have the lock that says that this writer lives. Raises OSError."""
        if self.lock_fd < 0:
            lock_fd, inode = birth.make_lock(directory, self.writer)
            self.inodes.add(inode)
            self.lock_inode = inode
            self.lock_fd = lock_fd

    def note(self) -> None:
        """Make the lock file as long as there are drops: that needs no room on a full disk, and no later record. Never raises."""
        if self.lock_fd >= 0:
            birth.set_size(self.lock_fd, self.lock_inode, min(sum(self.drops.totals.values()), MAX_NOTED))

    def before(self) -> tuple[int, int]:
        """Return the number of the current segment (-1: there is none) and how long it is at least, for the header of the next one."""
        inode, size = birth.inode_and_size(self.fd)
        if inode not in self.inodes:
            return self.segment, 0
        if not self.on_reserve:
            return self.segment, size
        try:
            return self.segment, os.lseek(self.fd, 0, os.SEEK_CUR)  # a slot is longer than what stands in it
        except OSError:
            return self.segment, 0

    def fits(self, length: int) -> bool:
        """Tell whether *length* more bytes go into the current segment, if that still is one of ours."""
        inode, size = birth.inode_and_size(self.fd)
        if inode not in self.inodes:
            self.fd = -1
            return False
        return size + length <= self.limit

    def adopt(self, fd: int, number: int) -> None:
        """Write to *fd*, segment *number*, from now on, under the number that threads in flight use already. Raises OSError."""
        inode = birth.inode_of(fd)
        ours = self.fd >= 0 and birth.inode_of(self.fd) in self.inodes
        if inode is not None:
            self.inodes.add(inode)
        if ours:
            os.dup2(fd, self.fd, False)
            os.close(fd)
        else:
            self.fd = birth.move_high(fd)
        self.segment = number
