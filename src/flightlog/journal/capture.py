"""Captures: one output stream of a supervised process as raw bytes, in segments, with a time index.

    <writer>.<number>.cap   the bytes                 <writer>.meta  JSON, written once, locked by keeper and shim
    <writer>.<number>.idx   24-byte entries: u64 end offset, u64 wall ns, u64 monotonic ns       <writer>.end  nothing comes any more

Invariants: bytes arrive by splice(2) at the end of the file, so that they are either still in the pipe or in the file; the
file's size is the truth, the index a help; files are 0600, or 0640 in a spool that users share (`identity.spool_file_mode`). Any process that has the directory can go on where another died.
Owns: files and rotation. Leaves moving bytes to `process`, and making lines of them to the agent.
"""

from __future__ import annotations

import errno
import struct

from .. import identity
from ..errors import SegmentError
from ..system import fcntl, os, time
from . import reserve
from .encode import encode
from .format import (
    CAPTURE_SUFFIX,
    END_SUFFIX,
    INDEX_SUFFIX,
    META_SUFFIX,
    ROTATE_BYTES,
    segment_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INDEX_ENTRY = struct.Struct("<QQQ")  # end offset within the segment, ns since the epoch, monotonic ns
MAX_INDEX_BYTES = 8 << 20  # read of one, which is all of it unless somebody else made it
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class CaptureWriter:
    """The files of one stream. Made by the keeper before it forks; the shim uses them, the keeper after the shim died.

    Args:
        directory: the spool directory; must exist.
        meta: what is known at birth: stream, run, pipeline, keeper, shim; kept in `<writer>.meta`.
        rotate_bytes: a new segment begins when the current one is larger than this.
    """

    def __init__(self, directory: str, meta: dict[str, Any], rotate_bytes: int = ROTATE_BYTES) -> None:
        self.directory = directory
        self.writer_id = identity.new_writer_id()
        self.rotate_bytes = rotate_bytes
        self.number = 0
        self.lost_bytes = 0
        self.meta = dict(meta, k="capture", v=1, writer=self.writer_id, t=time.time_ns())
        self._lock_fd = -1
        self._mode = 0o600
        self.fd = self._index_fd = -1

    def open(self) -> None:
        """Create metadata and the first segment. Raises OSError."""
        self._mode = identity.spool_file_mode(self.directory)
        # It gets its name when it is locked and whole: who finds it free takes the capture for ended, and reads it once.
        unborn = os.path.join(self.directory, "claimed.%d.%s" % (os.getpid(), self.writer_id))
        self._lock_fd = self._create(unborn)
        fcntl.lockf(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)  # one byte: `share` locks the next one
        data = encode(self.meta)
        if os.write(self._lock_fd, data) != len(data):
            raise OSError(errno.ENOSPC, "no room for what describes a capture", self._path(META_SUFFIX))
        os.rename(unborn, self._path(META_SUFFIX))
        self._open_segment()

    def share(self) -> None:
        """Keep the files locked by this process too, after a fork: POSIX locks are not inherited. Raises OSError."""
        fcntl.lockf(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)

    def _create(self, path: str, flags: int = 0) -> int:
        fd = os.open(path, _FLAGS | flags, self._mode)
        try:
            identity.give_spool_mode(fd, self._mode)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _path(self, suffix: str) -> str:
        return os.path.join(self.directory, self.writer_id + suffix)

    def _open_segment(self) -> None:
        base = os.path.join(self.directory, segment_name(self.writer_id, self.number, ""))
        fd = self._create(base + CAPTURE_SUFFIX)
        try:
            index_fd = self._create(base + INDEX_SUFFIX, os.O_APPEND)
        except OSError:
            os.close(fd)
            os.unlink(base + CAPTURE_SUFFIX)
            raise
        for old in (self.fd, self._index_fd):
            if old >= 0:
                os.close(old)
        self.fd, self._index_fd = fd, index_fd

    def size(self) -> int:
        """Return how many bytes the current segment holds."""
        return os.fstat(self.fd).st_size

    def stamp(self, end: int) -> None:
        """Note that the bytes up to *end* of the current segment had arrived by now. Never raises."""
        try:
            os.write(self._index_fd, INDEX_ENTRY.pack(end, time.time_ns(), time.monotonic_ns()))
        except (OSError, struct.error):  # the latter: a clock beyond the year 2554
            pass  # lines then get the time of the entry before

    def rotate(self) -> bool:
        """Begin the next segment; False (and the old one stays) when that is not possible."""
        self.number += 1
        try:
            self._open_segment()
        except OSError:
            self.number -= 1
            return False
        return True

    def rescue(self, data: bytes) -> int:
        """Make the end of *data* a segment of its own, the current one, in room that was set aside; return how many bytes. Never raises."""
        name = segment_name(self.writer_id, self.number + 1, CAPTURE_SUFFIX)
        done = reserve.write(self.directory, name, data)
        if not done:
            return 0
        try:
            fd = os.open(os.path.join(self.directory, name), os.O_RDWR | os.O_CLOEXEC)
            index_fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)  # its lines get the file's time
        except OSError:
            return 0
        os.close(self.fd)
        os.close(self._index_fd)
        self.number, self.fd, self._index_fd = self.number + 1, fd, index_fd
        return done

    def take_over(self) -> None:
        """Find the newest segment, after another process may have begun some. Raises OSError."""
        number = self.number
        while os.path.exists(os.path.join(self.directory, segment_name(self.writer_id, number + 1, CAPTURE_SUFFIX))):
            number += 1
        if number == self.number:
            return
        base = os.path.join(self.directory, segment_name(self.writer_id, number, ""))
        fd = os.open(base + CAPTURE_SUFFIX, os.O_RDWR | os.O_CLOEXEC)
        index_fd = os.open(base + INDEX_SUFFIX, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
        os.close(self.fd)
        os.close(self._index_fd)
        self.number, self.fd, self._index_fd = number, fd, index_fd

    def end(self) -> None:
        """Say that nothing comes any more. Never raises."""
        try:
            fd = os.open(self._path(END_SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, self._mode)
            try:
                identity.give_spool_mode(fd, self._mode)
            finally:
                os.close(fd)
        except OSError:
            pass


def read_index(path: str, owner: int | None = None) -> list[tuple[int, int]]:
    """Return the time index of a capture segment: (end offset, ns since the epoch), in order; empty when there is none.

    Args:
        path: where it lies; whatever lies there, nothing is waited for.
        owner: whose file it has to be; None: anybody's.
    """
    from .reader import open_segment  # who writes captures has no use for it

    try:
        fd = open_segment(path, owner)
    except (OSError, SegmentError):
        return []
    try:
        data = os.pread(fd, MAX_INDEX_BYTES, 0)
    except OSError:
        return []
    finally:
        os.close(fd)
    data = data[: len(data) - len(data) % INDEX_ENTRY.size]
    return [(end, wall) for end, wall, _ in INDEX_ENTRY.iter_unpack(data)]
