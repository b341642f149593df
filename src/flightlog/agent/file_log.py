"""One text log: appending, flushing, rotating, and finding it again after a crash or after somebody has moved it.

Invariants: nothing is appended before the positions file knows the file (inode, length); what is beyond the known length is never anybody's but
ours, and is cut off before the next append; only plain files are written to, never through a symbolic link. A file that was renamed or removed
by somebody else is left to them, and a new one is begun. Owns: one file. Leaves when to do what to `file_sink`.
"""

from __future__ import annotations

import os
import stat
import zlib

from ..errors import SinkMisconfigured
from . import faults
from .file_names import rotated
from .file_positions import LogState

CHECKED_BYTES = 256
MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class FileLog:
    """An active log.

    Args:
        folder: a descriptor of the directory.
        name: of the file in it.
        state: shared with the positions file; changed here.
    """

    def __init__(self, folder: int, name: str, state: LogState) -> None:
        self.name, self.state = name, state
        self._folder = folder
        self._fd = -1
        self._tail = b""

    def ready(self, day: int) -> bool:
        """Open the file of this name, or begin one; tell whether the positions file must hear of it before anything is appended.

        Raises OSError; SinkMisconfigured when something else stands there.
        """
        if self._fd >= 0:
            here = self._there(self.name)
            mine = os.fstat(self._fd)
            if here is not None and here.st_ino == mine.st_ino and here.st_dev == mine.st_dev:
                if mine.st_size == self.state.length:
                    return False
                self._adopt(mine)  # somebody else has cut or lengthened it
                return True
            self.close()
        self._fd = self._opened()
        status = os.fstat(self._fd)
        changed = status.st_ino != self.state.inode or status.st_size != self.state.length
        if status.st_ino != self.state.inode:
            self.state.day = day
        self._adopt(status)
        return changed

    def append(self, data: bytes) -> None:
        """Append *data*. Raises OSError: then a part of it may stand there, beyond the known length."""
        half = len(data) // 2 if faults.asked("file_half_written") else len(data)
        if self._tail and not self._tail.endswith(b"\n"):
            data = b"\n" + data  # somebody else's last line; ours must not go on in it
        for part in (data[:half], data[half:]):
            view = memoryview(part)
            while view:
                view = view[os.write(self._fd, view) :]
            faults.point("file_half_written")
        self.state.length += len(data)
        self._tail = (self._tail + data[-CHECKED_BYTES:])[-CHECKED_BYTES:]
        self.state.check = zlib.crc32(self._tail)

    def sync(self) -> None:
        """Flush it to the disk. Raises OSError."""
        os.fdatasync(self._fd)

    def rotate(self, day: int) -> str:
        """Give the file its rotated name, of number `state.next - 1`, and begin a new one; return that name. The positions file must hear of it. Raises OSError."""
        while self._there(rotated(self.name, self.state.next)) is not None:
            self.state.next += 1  # somebody's, or of a time the positions file knows nothing of: never written over
        old = rotated(self.name, self.state.next)
        os.rename(self.name, old, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self.close()
        faults.point("file_rotated")
        self.state.next += 1
        self.state.inode = self.state.length = self.state.check = 0
        self.ready(day)
        return old

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _there(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _opened(self) -> int:
        try:
            fd = os.open(self.name, _FLAGS | os.O_CREAT, MODE, dir_fd=self._folder)
        except OSError as problem:
            there = self._there(self.name)
            if there is None or stat.S_ISREG(there.st_mode):
                raise
            raise self._foreign() from problem
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise self._foreign()
        if status.st_size == 0:
            os.fchmod(fd, MODE)  # whatever the umask is
        return fd

    def _foreign(self) -> SinkMisconfigured:
        return SinkMisconfigured(f"{self.name} is no plain file", "move it out of the directory of text logs")

    def _adopt(self, status: os.stat_result) -> None:
        """Take the open file as it is."""
        self.state.inode, self.state.length = status.st_ino, status.st_size
        self._tail = tail_of(self._fd, status.st_size)
        self.state.check = zlib.crc32(self._tail)


def tail_of(fd: int, length: int) -> bytes:
    """Return the last bytes before *length*, by which a file is recognised."""
    begin = max(0, length - CHECKED_BYTES)
    return os.pread(fd, length - begin, begin)


def cut_off(folder: int, name: str, state: LogState) -> bool:
    """Cut what was never acknowledged off the file *name*, if it is the one *state* speaks of; tell whether it is. Raises OSError."""
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as problem:
        if isinstance(problem, (FileNotFoundError, IsADirectoryError)) or problem.errno in (40, 6):  # ELOOP, ENXIO
            return False
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_ino != state.inode or status.st_size < state.length:
            return False
        if zlib.crc32(tail_of(fd, state.length)) != state.check:
            return False
        if status.st_size > state.length:
            os.ftruncate(fd, state.length)
            os.fsync(fd)
        return True
    finally:
        os.close(fd)
