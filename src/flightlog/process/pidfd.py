"""One process, meant by what cannot be reused: a pidfd, or, where the kernel has none, its pid with its start time.

Invariants: a signal goes to the very process that was looked at, or to nobody; opening proves the start time after the pidfd is there, so that
a pid that was reused in between is noticed. Owns: opening, signalling, waiting, and how a process ended that is not our child (pidfd ioctl
PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15: include/uapi/linux/pidfd.h; before it is reaped, /proc). Leaves finding processes to `family`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroupid, pids and ids, exit_code
# Not before Python 3.9.
_open: Any = getattr(os, "pidfd_open", None)
_send: Any = getattr(signal, "pidfd_send_signal", None)


class Process:
    """See the module. `fd` is readable when it has ended; -1 where there are no pidfds."""

    __slots__ = ("fd", "pid", "start")

    def __init__(self, pid: int, start: int, fd: int) -> None:
        self.pid, self.start, self.fd = pid, start, fd

    def send(self, number: int) -> bool:
        """Send a signal; False when it has gone, or is not ours to signal. Never raises."""
        try:
            if self.fd >= 0 and _send is not None:
                _send(self.fd, number)
            elif identity.process_alive(self.pid, self.start) and self.start:
                os.kill(self.pid, number)
            else:
                return False
        except OSError:
            return False
        return True

    def alive(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        return identity.process_alive(self.pid, self.start)

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def find(pid: int, start: int) -> Process | None:
    """Return the process with that pid and start time (0: whatever it is); None when there is none. Never raises."""
    if pid <= 0:
        return None
    fd = -1
    if _open is not None:
        try:
            fd = _open(pid)
        except ProcessLookupError:
            return None
        except OSError:  # no such call, no descriptor left
            fd = -1
    now = identity.process_start_time(pid)
    if not now or (start and now != start):
        if fd >= 0:
            os.close(fd)
        return None
    return Process(pid, now, fd)


def exit_status(process: Process) -> int | None:
    """Return the wait status of a dead process, whoever its parent is: of a zombie or, where the kernel tells, of one that has been reaped.

    None when that cannot be known. Never raises.
    """
    if process.fd < 0:
        return _of_zombie(process)
    buffer = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(process.fd, _PIDFD_GET_INFO, buffer)
    except OSError:
        return _of_zombie(process)
    found = _INFO.unpack(buffer)
    return int(found[-1]) if found[0] & _INFO_EXIT else _of_zombie(process)


def _of_zombie(process: Process) -> int | None:
    """Return what proc(5) says of it (stat, field 52). To who may not trace it that is always 0.

    Who may sees in field 35 (wchan) that it does not run; before Linux 5.16 that is 0 as well, and then `io` is asked, which root can read.
    """
    try:
        with open("/proc/%d/stat" % process.pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] != b"Z" or int(fields[19]) != process.start:
            return None
        status = int(fields[49])
        if not status and fields[32] == b"0":
            with open("/proc/%d/io" % process.pid, "rb") as file:
                file.read()
        return status
    except (OSError, ValueError, IndexError):
        return None
