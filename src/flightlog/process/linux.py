"""System calls that Python has no name for, and what to do where they are missing.

Owns: subreaper, undumpable, sendfile with its position in shared memory, fallocate, "the same open file?", bytes waiting in a
pipe.
Invariants: nothing raises for a missing call; each function says how it tells "cannot". Keeps no state.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import struct
import sys
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUBREAPER, _DUMPABLE = 36, 4  # prctl(2)
_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "i686": 349, "armv7l": 378, "ppc64le": 354, "s390x": 343}
F_SETPIPE_SZ = 1031  # fcntl(2)
PIPE_BYTES = 1 << 20

_libc: Any = None
_sendfile: Any = None
try:
    if sys.platform != "linux":
        raise OSError
    _libc = ctypes.CDLL(None, use_errno=True)
    _sendfile = _libc.sendfile
    _sendfile.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    _sendfile.restype = ctypes.c_ssize_t
except (OSError, AttributeError):  # a static interpreter, another system
    pass


def prctl(option: int, value: int) -> bool:
    """Call prctl(2); False when it failed or does not exist."""
    try:
        return bool(_libc.prctl(option, value, 0, 0, 0) == 0)
    except AttributeError:
        return False


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process, so that the death of the shim gives the command to the
    keeper.
    """
    return prctl(_SUBREAPER, 1)


def forbid_dump() -> None:
    """Keep the coming death of this process from leaving a core file: the command's own is the one that matters."""
    prctl(_DUMPABLE, 0)


def sendfile(out: int, source: int, position: int, count: int) -> int:
    """Copy up to *count* bytes from *source* to *out*; return how many, or minus errno.

    Reading begins at the 64-bit number at address *position*, which the kernel moves on before it returns to this
    process. A SIGKILL cannot come between the copy and the note of it: whoever shares that memory goes on without a
    byte lost or doubled.
    """
    if _sendfile is None:
        return -errno.ENOSYS
    done = int(_sendfile(out, source, position, count))
    return done if done >= 0 else -ctypes.get_errno()


def fallocate(fd: int, mode: int, offset: int, length: int) -> bool:
    """Call fallocate(2); False when it failed or does not exist."""
    try:
        kinds = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        call = _libc.fallocate64 if hasattr(_libc, "fallocate64") else _libc.fallocate
        return bool(call(*[kind(value) for kind, value in zip(kinds, (fd, mode, offset, length))]) == 0)
    except AttributeError:
        return False


def same_open_file(first: int, second: int) -> bool:
    """Tell whether two descriptors are one open file (dup, `2>&1`), by kcmp(2), else by their flags and position."""
    number = _KCMP.get(os.uname().machine)
    if number is not None and _libc is not None:
        pid = os.getpid()
        answer = _libc.syscall(number, pid, pid, 0, ctypes.c_ulong(first), ctypes.c_ulong(second))
        if answer >= 0:
            return bool(answer == 0)
    try:
        return fcntl.fcntl(first, fcntl.F_GETFL) == fcntl.fcntl(second, fcntl.F_GETFL) and os.lseek(
            first, 0, os.SEEK_CUR
        ) == os.lseek(second, 0, os.SEEK_CUR)
    except OSError:
        return False


def waiting_bytes(fd: int) -> int:
    """Return how many bytes wait in a pipe; 0 when that cannot be asked."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0])
    except OSError:
        return 0


def capture_pipe() -> tuple[int, int]:
    """Make a pipe, 1 MB where the kernel lets us: a burst then does not wait for us. Raises OSError."""
    source, sink = os.pipe()
    try:
        fcntl.fcntl(source, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass
    return source, sink


def capture_terminal() -> tuple[int, int]:
    """Make a pseudo-terminal that changes no byte on its way, as large as the user's; return (master, slave). Raises OSError.

    It becomes nobody's controlling terminal: job control, Ctrl-C and standard input stay with the user's own.
    """
    master, slave = os.openpty()
    try:
        os.set_inheritable(master, False)
        modes = termios.tcgetattr(slave)
        modes[1] &= ~termios.OPOST  # no carriage return before each newline
        modes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
        termios.tcsetattr(slave, termios.TCSANOW, modes)
    except termios.error as problem:
        close_pair(master, slave)
        raise OSError(*problem.args) from None
    copy_size(master)
    return master, slave


def close_pair(first: int, second: int) -> None:
    """Close two descriptors."""
    os.close(first)
    os.close(second)


def copy_size(master: int) -> None:
    """Give a pseudo-terminal the size of the user's terminal, 24 rows of 80 columns where there is none. Never raises."""
    size = struct.pack("HHHH", 24, 80, 0, 0)
    for number in (1, 2, 0):
        try:
            size = fcntl.ioctl(number, termios.TIOCGWINSZ, b"\0" * 8)
            break
        except OSError:
            continue
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:
        pass


def is_hung_up(master: int) -> bool:
    """Tell whether nobody has a pseudo-terminal open any more, and nothing is left in it."""
    poll = select.poll()
    poll.register(master, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0)) and not waiting_bytes(master)
