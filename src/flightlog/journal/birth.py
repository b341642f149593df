"""How a writer's files come into the world: lock, segment, header; and the system calls behind them.

Owns: open flags, descriptor placement, the choice of write call, the fork sentinel. Keeps no state.
Leaves when to do it to `journal.writer`. Functions that touch files raise OSError; the writer counts.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import sys
import time

from .. import identity
from .encode import encode
from .format import FORMAT_VERSION, LOCK_SUFFIX, frame, segment_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

_F_DUPFD_CLOEXEC = getattr(fcntl, "F_DUPFD_CLOEXEC", 1030)
_MADV_WIPEONFORK = 18  # madvise(2); not exported by Python
# statfs(2) f_type of file systems whose server may hang: nfs, smb, cifs, fuse, 9p, ceph, lustre, gpfs
_NETWORK = frozenset(
    (0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x00C36400, 0x0BD00BD0, 0x47504653)
)
_OPEN_FLAGS = os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)

try:
    if hasattr(sys, "pypy_version_info"):
        raise ImportError  # there is no interpreter lock to keep, and ctypes is slow
    import ctypes

    # PyDLL keeps the interpreter lock during the call: beside a busy thread a call takes 2.5 us, not 140 (ADR 0002).
    fast_write: Any = ctypes.PyDLL(None).write
    # No argtypes: an int and a bytes object are passed right without them, and converting by them costs 0.3 us of 1.25.
    # The length goes as a C int, which libffi extends to the register; a frame has at most 256 KB and a bit.
    fast_write.restype = ctypes.c_ssize_t
except (ImportError, AttributeError, OSError):
    fast_write = None


def plain_write(fd: int, data: bytes, length: int) -> int:
    """Write *data* by `os.write`, which gives up the interpreter lock; -1 on any error."""
    try:
        return os.write(fd, data)
    except OSError:
        return -1


class _PidSentinel:
    """Where memory cannot be wiped on fork: compare the pid. Costs 0.1 us."""

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __getitem__(self, index: int) -> int:
        return self.pid == os.getpid()


def fork_sentinel() -> Sequence[int]:
    """Return something whose item 0 is true in this process and false in a child, also after a fork made in C."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
        page[0] = 1
    except (AttributeError, OSError, ValueError):
        return _PidSentinel()  # type: ignore[return-value]
    return page  # type: ignore[return-value]


def inode_of(fd: int) -> tuple[int, int] | None:
    """Return (device, inode) of a descriptor, None when it is not open."""
    return inode_and_size(fd)[0]


def inode_and_size(fd: int) -> tuple[tuple[int, int] | None, int]:
    """Return (device, inode) of a descriptor and its size in bytes; None and 0 when it is not open."""
    try:
        status = os.fstat(fd)
    except (OSError, OverflowError, ValueError):
        return None, 0
    return (status.st_dev, status.st_ino), status.st_size


def close_ours(fd: int, inodes: set[tuple[int, int]]) -> None:
    """Close *fd* if it still is one of our files. Never raises."""
    if fd >= 0 and inode_of(fd) in inodes:
        try:
            os.close(fd)
        except OSError:
            pass


def set_size(fd: int, inode: tuple[int, int] | None, size: int) -> None:
    """Set the size of *fd* if it still is the file *inode*. Never raises."""
    if inode is not None and inode_of(fd) == inode:
        try:
            os.ftruncate(fd, size)
        except (OSError, ValueError):
            pass


def move_high(fd: int) -> int:
    """Move a descriptor near the end of the table, where a program that closes and opens low numbers does not meet it."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limit = 65536 if soft == resource.RLIM_INFINITY else min(soft, 65536)
    for lowest in (limit - 64, 256, 64):
        if lowest <= fd:
            break
        try:
            moved = fcntl.fcntl(fd, _F_DUPFD_CLOEXEC, lowest)
        except (OSError, ValueError):
            continue
        os.close(fd)
        return moved
    return fd


def make_lock(directory: str, writer: str) -> tuple[int, tuple[int, int]]:
    """Create and lock `<writer>.lock` for as long as this process lives. Returns (descriptor, inode)."""
    path = os.path.join(directory, writer + LOCK_SUFFIX)
    try:
        fd = os.open(path, os.O_RDWR | _OPEN_FLAGS, 0o600)
    except FileNotFoundError:
        identity.make_spool(directory)
        fd = os.open(path, os.O_RDWR | _OPEN_FLAGS, 0o600)
    # A POSIX lock: unlike flock, a forked child that outlives us does not keep it. Taken again: closing the low number drops it.
    _lock(fd)
    fd = move_high(fd)
    _lock(fd)
    inode = inode_of(fd)
    assert inode is not None
    return fd, inode


def _lock(fd: int) -> None:
    """Lock *fd*, where the file system can: without a lock we count as alive by our process alone."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass


def header(
    writer: str,
    number: int,
    dropped: dict[str, int],
    before: tuple[int, int],
    head: Callable[[], dict[str, Any]] | None,
) -> dict[str, Any]:
    """Return the header record of a segment. *before*: number and size of the one before; *head* may add keys; what it raises is ignored."""
    pid = os.getpid()
    record = {
        "k": "head",
        "v": FORMAT_VERSION,
        "writer": writer,
        "segno": number,
        "node": identity.node_name(),
        "boot": identity.boot_id(),
        "pid": pid,
        "start": identity.process_start_time(pid),
        "uid": os.geteuid(),
        "t": time.time_ns(),
        "mono": time.monotonic_ns(),
        "argv0": os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else "",
        "py": "%d.%d.%d" % sys.version_info[:3],
        "dropped": dropped,
        "prev": before,
    }  # type: dict[str, Any]
    try:
        if head is not None:
            record.update(head())
    except Exception:
        record["head_failed"] = True
    return record


def make_segment(
    directory: str, writer: str, number: int, salt: int, record: dict[str, Any]
) -> tuple[int, tuple[int, int], bool]:
    """Create a segment and write its header. Returns (descriptor, inode, is on a network file system)."""
    path = os.path.join(directory, segment_name(writer, number))
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_EXCL | _OPEN_FLAGS, 0o600)
    try:
        data = frame(encode(record), salt, number)
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, "no room for the header of a segment")
        inode = inode_of(fd)
        assert inode is not None
        return fd, inode, _on_network(fd)
    except BaseException:
        os.close(fd)
        try:
            os.unlink(path)
        except OSError:
            pass
        raise


def _on_network(fd: int) -> bool:
    if fast_write is None:
        return False  # plain_write is used anyway
    try:
        buffer = ctypes.create_string_buffer(256)
        if ctypes.CDLL(None).fstatfs(fd, buffer) != 0:
            return False
        return int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF in _NETWORK
    except (AttributeError, OSError):
        return False
