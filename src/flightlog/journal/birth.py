"""How a writer's files come into the world: lock, segment, header; and the system calls behind them.

Owns: open flags, descriptor placement, the choice of write call. Keeps no state.
Leaves when to do it to `journal.writer`. Functions that touch files raise OSError; the writer counts.
"""

from __future__ import annotations

import errno
import resource
import sys

from .. import identity
from ..system import fcntl, native, os, time
from .encode import encode
from .format import CRC_PIECE_BYTES, FORMAT_VERSION, LOCK_SUFFIX, MAX_PAYLOAD_BYTES, frame, segment_name
from .mistakes import MISTAKES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_F_DUPFD_CLOEXEC = getattr(fcntl, "F_DUPFD_CLOEXEC", 1030)
# statfs(2) f_type of file systems whose server may hang: nfs, smb, cifs, fuse, 9p, ceph, lustre, gpfs
_NETWORK = frozenset(
    (0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x00C36400, 0x0BD00BD0, 0x47504653)
)
_OVER_BYTES = 256 * CRC_PIECE_BYTES + 2 * MAX_PAYLOAD_BYTES  # how much longer than asked for a segment may become
_SMALL_BYTES = 1 << 16
_DISPENSABLE = (
    "mono",
    "argv0",
    "py",
    "pipeline",
    "prev",
)  # of a header, where a file may have a few hundred bytes only
_OPEN_FLAGS = os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


def plain_write(fd: int, data: bytes, length: int) -> int:
    """Write *data* by `os.write`, which gives up the interpreter lock; -1 on any error."""
    try:
        return os.write(fd, data)
    except OSError:
        return -1


def write_calls() -> tuple[Callable[[int, bytes, int], int], Callable[[int, bytes], int]]:
    """Return the call that keeps the interpreter lock, or what stands for it, and the plain one, for a process without threads."""
    return native.fast_write or plain_write, os.write


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
    if inode is not None and may_have(size) and inode_of(fd) == inode:
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


def file_limit(rotate_bytes: int) -> int:
    """Return how many bytes a segment may have under this process's limit on file sizes; 0 when that is more than it gets anyway.

    The write that goes beyond it would not only fail: SIGXFSZ comes with it, which Python ignores and a program may not.
    """
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if soft == resource.RLIM_INFINITY or soft >= rotate_bytes + _OVER_BYTES:
        return 0
    return max(1, soft - (soft // 8 if soft >= _SMALL_BYTES else 0))  # threads may write at the same time


def may_have(size: int) -> bool:
    """Tell whether files of this process may have *size* bytes."""
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return soft == resource.RLIM_INFINITY or soft >= size


def make_lock(directory: str, writer: str) -> tuple[int, tuple[int, int]]:
    """Create and lock `<writer>.lock` for as long as this process lives. Returns (descriptor, inode).

    It gets this name when it is locked, and not before: who finds it free may take the writer for dead, and that is for ever.
    """
    unborn = os.path.join(directory, "claimed.%d.%s" % (os.getpid(), writer))  # swept like what `reserve` leaves behind
    try:
        mode = identity.spool_file_mode(directory)
    except FileNotFoundError:
        identity.make_spool(directory)
        mode = identity.spool_file_mode(directory)
    fd = os.open(unborn, os.O_RDWR | _OPEN_FLAGS, mode)
    try:
        identity.give_spool_mode(fd, mode)
        fd = move_high(fd)  # before it is locked: closing the low number would drop the lock
        # A POSIX lock: unlike flock, a forked child that outlives us does not keep it.
        _lock(fd)
        os.rename(unborn, os.path.join(directory, writer + LOCK_SUFFIX))
    except OSError:
        os.close(fd)
        raise
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
    except (*MISTAKES, OSError):
        record["head_failed"] = True
    return record


def first_frame(record: dict[str, Any], salt: int, limit: int) -> bytes:
    """Return the frame of a header; the short one, when the long one would take more than half of a segment of *limit* bytes."""
    data = frame(encode(record), salt, record["segno"])
    if limit and len(data) > limit // 2:
        short = {key: value for key, value in record.items() if key not in _DISPENSABLE and value != {}}
        data = frame(encode(short), salt, record["segno"])
    return data


def make_segment(directory: str, writer: str, number: int, data: bytes) -> tuple[int, tuple[int, int], bool]:
    """Create a segment and write its header, *data*. Returns (descriptor, inode, is on a network file system)."""
    path = os.path.join(directory, segment_name(writer, number))
    mode = identity.spool_file_mode(directory)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_EXCL | _OPEN_FLAGS, mode)
    try:
        identity.give_spool_mode(fd, mode)
        if not may_have(len(data)) or os.write(fd, data) != len(data):
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
    if native.fast_write is None:
        return False  # plain_write is used anyway
    return native.file_system_type(fd) in _NETWORK
