"""A pipe by which a signal handler wakes somebody: one byte, no lock, no memory, never into a file of the program's.

Owns: the two ends, high in the table, and looking at the inode before each write: a program may have closed them and opened its own.
"""

from __future__ import annotations

import os
import select
import signal

from ..journal import birth


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

    def wait(self, timeout: float | None) -> None:
        """Wait until the reader's end is readable, for at most *timeout* seconds."""
        try:
            poll = select.poll()
            poll.register(self.reader, select.POLLIN)
            poll.poll(None if timeout is None else int(max(0.0, min(timeout, 2e6)) * 1000))
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
