"""Output of a kept process in plain files that the command itself appends to: no pipe, so that nobody's death ends or delays it.

A file that has grown beyond its size gives up its front: what is copied to `<name>.1` is taken out of the file by fallocate(2), as a whole under
the inode's lock (FALLOC_FL_COLLAPSE_RANGE on ext4 and xfs; FALLOC_FL_PUNCH_HOLE elsewhere, then the file begins with a hole), so that a
command that writes meanwhile loses nothing. Cuts are at blocks of 4 KB, the pieces put together are the exact bytes. Where neither exists the file is
copied and cut to nothing: what is written in that instant is lost.
Owns: opening and rotating. Leaves the moment to the caretaker. Never raises but where it says so.
"""

from __future__ import annotations

import errno
import os

from . import linux

BLOCK = 4096
MAX_BYTES, BACKUPS = 16 << 20, 3
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE = 1, 2, 8  # fallocate(2)
_PIECE = 1 << 20


def open_output(path: str) -> int:
    """Open the file for a command. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)


def data_start(fd: int) -> int:
    """Return where the file's bytes begin: behind the hole, when its front was punched out."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:
        return 0


def rotate(path: str, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> bool:
    """Move the front of the file to its first backup, if it is larger than *max_bytes*; tell whether it was."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_size <= max_bytes:
            return False
        begin = data_start(fd)
        size = os.fstat(fd).st_size
        if size - begin <= max_bytes:
            return False
        end = size // BLOCK * BLOCK - (
            BLOCK if size % BLOCK == 0 else 0
        )  # a range that reaches the end cannot collapse
        if end <= begin or not _copy(fd, begin, end, path, backups):
            return False
        if _take_out(fd, begin, end):
            return True
        last = os.open(path + ".1", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            while True:
                piece = os.pread(fd, _PIECE, end)
                if not piece:
                    break
                os.write(last, piece)
                end += len(piece)
        finally:
            os.close(last)
        os.ftruncate(fd, 0)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def _copy(fd: int, begin: int, end: int, path: str, backups: int) -> bool:
    """Copy a range into a fresh first backup; the others move on by one, the last one goes."""
    fresh = "%s.%d" % (path, os.getpid())
    out = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        while begin < end:
            piece = os.pread(fd, min(_PIECE, end - begin), begin)
            if not piece:
                raise OSError(errno.EIO, "it became shorter")
            os.write(out, piece)
            begin += len(piece)
    except OSError:  # no room: let the oldest backup go, and try again at the next look
        _remove(fresh)
        _remove("%s.%d" % (path, backups))
        return False
    finally:
        os.close(out)
    for number in range(backups, 1, -1):
        try:
            os.rename("%s.%d" % (path, number - 1), "%s.%d" % (path, number))
        except OSError:
            continue
    os.rename(fresh, path + ".1")
    return True


def _take_out(fd: int, begin: int, end: int) -> bool:
    """Take a range out of the file, in one step for who appends to it."""
    if linux.fallocate(fd, _COLLAPSE, 0, end):
        return True
    return linux.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, begin, end - begin)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
