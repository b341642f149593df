"""A pipe by which a signal handler wakes somebody: one byte, no lock, no memory, never into a file of the program's.

Owns: the two ends, high in the table, and looking at the inode before each write: a program may have closed them and opened its own.
"""

from __future__ import annotations

import os
import select
import signal
import time

from ..journal import birth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .signals import EnhancedSignalHandler


class Pipe:
    """See the module.

    Attributes:
        reader: the end to poll.
    """

    __slots__ = ("_inode", "_watching", "_writer", "reader")

    def __init__(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self.reader, self._writer = birth.move_high(reader), birth.move_high(writer)
        self._inode = birth.inode_of(self._writer)
        self._watching = False

    def _is_ours(self) -> bool:
        return birth.inode_of(self._writer) == self._inode

    def notify(self) -> None:
        """Make the reader's end readable. For signal handlers; never raises."""
        try:
            if self._is_ours():
                os.write(self._writer, b"\0")
        except OSError:  # full: somebody is being woken already
            pass

    def wait(self, timeout: float | None, other: Pipe | None = None) -> None:
        """Wait until the reader's end, or that of *other*, is readable, for at most *timeout* seconds."""
        try:
            poll = select.poll()
            for pipe in (self, other or self):
                poll.register(pipe.reader, select.POLLIN)
            poll.poll(None if timeout is None else int(max(0.0, min(timeout, 2e6)) * 1000))
        except OSError:
            pass

    def drain(self) -> None:
        """Take out what is in it."""
        try:
            while os.read(self.reader, 4096):
                pass
        except OSError:
            pass

    def watch_signals(self) -> None:
        """Let the interpreter write the number of each signal into the pipe as it arrives, unless somebody else has that. Main thread only."""
        try:
            before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            if before != -1:
                signal.set_wakeup_fd(before)
            else:
                self._watching = True
        except (OSError, ValueError):
            pass

    def stop_watching(self) -> None:
        """Take that back."""
        if self._watching:
            self._watching = False
            before = signal.set_wakeup_fd(-1)
            if before not in (-1, self._writer):
                signal.set_wakeup_fd(before)

    def close(self) -> None:
        """Let go of both ends, where they still are ours."""
        self.stop_watching()
        for fd in (self.reader, self._writer):
            birth.close_ours(fd, {self._inode} if self._inode else set())


def wait_in_main(owner: EnhancedSignalHandler, stopped: Pipe, wake: Pipe, timeout: float | None) -> None:
    """Wait in the main thread until *stopped* is readable, for at most *timeout* seconds.

    Notices also a signal that comes just before the system call goes to sleep, or that the kernel gives to another thread: neither ends it.
    """
    wake.watch_signals()
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while not owner.count:
            left = None if until is None else until - time.monotonic()
            if left is not None and left < 0:
                break
            stopped.wait(left, wake)
            if owner.attendant is None:
                wake.drain()
    finally:
        if owner.attendant is None:
            wake.stop_watching()
