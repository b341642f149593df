"""The descriptors that the user gave us: which are there, where output really goes, and how to write there without
harm.

Invariants: a closed descriptor stays closed for the command; no flag of the user's open files is ever changed
(O_NONBLOCK is set on a second opening of the same pipe or terminal, or not at all); nothing that was inherited is kept
open longer than needed.
Owns: `Console`, low and inherited numbers. Leaves moving bytes to the pump.
"""

from __future__ import annotations

import fcntl
import os
import stat

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

CHUNK_BYTES = 1 << 16
CAREFUL_BYTES = 4096  # what a pipe that polls as writable takes without blocking
_PTMX = os.makedev(5, 2)  # opening it again would make another terminal


class Console:
    """Where one stream of the command went before we came.

    Attributes:
        fd: what to write to; -1 when it is closed.
        careful: it may block; write `chunk` bytes only after poll(2) said that it is writable.
        watched: its reader's end can be noticed while nothing is to be written (a pipe without a name, a socket).
        direct: sendfile(2) works on it, as far as is known.
        numbers: the user's descriptors behind it.
    """

    __slots__ = ("careful", "chunk", "direct", "fd", "numbers", "watched")

    def __init__(self, numbers: Sequence[int], pipe_device: int) -> None:
        self.numbers = list(numbers)
        number = self.numbers[0]
        status = os.fstat(number)
        kind = stat.S_IFMT(status.st_mode)
        terminal = kind == stat.S_IFCHR and status.st_rdev != _PTMX and os.isatty(number)
        self.fd = number
        if kind == stat.S_IFIFO or terminal:
            self.fd = _open_again(number)
        self.careful = self.fd == number and kind != stat.S_IFREG and (kind != stat.S_IFCHR or terminal)
        self.chunk = CAREFUL_BYTES if self.careful else CHUNK_BYTES
        self.watched = kind == stat.S_IFSOCK or (kind == stat.S_IFIFO and status.st_dev == pipe_device)
        self.direct = True

    def close(self) -> None:
        """Let go of it, so that whoever reads it sees the end. Low numbers stay occupied."""
        if self.fd < 0:
            return
        if self.fd not in self.numbers:
            os.close(self.fd)
        self.fd = -1
        for number in self.numbers:
            replace_by_null(number)


def _open_again(number: int) -> int:
    """Return a non-blocking opening of the same pipe or terminal; *number* itself where that is forbidden or
    impossible.
    """
    try:
        return os.open("/proc/self/fd/%d" % number, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return number


def is_writable(number: int) -> bool:
    """Tell whether descriptor *number* is open for writing."""
    try:
        return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


def is_same_output(first: int, second: int) -> bool:
    """Tell whether the order of writes to the two descriptors can be seen: one terminal, pipe, socket or open file
    behind both.
    """
    one, two = os.fstat(first), os.fstat(second)
    if (one.st_dev, one.st_ino) != (two.st_dev, two.st_ino):
        return False
    if not stat.S_ISREG(one.st_mode):
        return True
    both_append = fcntl.fcntl(first, fcntl.F_GETFL) & fcntl.fcntl(second, fcntl.F_GETFL) & os.O_APPEND
    return bool(both_append) or linux.same_open_file(first, second)


def park_low_numbers() -> list[int]:
    """Put /dev/null on those of 0, 1, 2 that are closed, so that nothing of ours gets there; return which. Closed by
    exec.
    """
    parked: list[int] = []
    while True:
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if fd > 2:
            os.close(fd)
            return parked
        parked.append(fd)


def replace_by_null(number: int) -> None:
    """Let go of what is behind *number*, which stays occupied."""
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, number, inheritable=False)
        os.close(null)
    except OSError:
        pass


def inherited_numbers() -> list[int]:
    """Return the descriptors above 2 that an exec would pass on. To be asked before we open any."""
    found: list[int] = []
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for name in names:
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except (OSError, ValueError):
            continue
    return found


def close_all(numbers: Sequence[int]) -> None:
    """Close descriptors; those that are closed already do not matter."""
    for number in numbers:
        try:
            os.close(number)
        except OSError:
            pass
