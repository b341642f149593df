"""What wakes a caretaker: signals, whoever rings at its directory, what its process says by sd_notify, the end of a process that is no child.

Owns: these descriptors and one poll(2) over them. Leaves acting on it to the caretaker. Blocks in `listen` only.
"""

from __future__ import annotations

import os
import select
import signal

from . import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .statedir import StateDir

HEARD = (signal.SIGCHLD, signal.SIGTERM)


class Ears:
    """See the module.

    Args:
        folder: the caretaker's directory.

    Attributes:
        asked_to_end: SIGTERM has come since the last look.
        messages: what the process has said since the last look.
        socket: the path of the socket that it can say it at; empty when there is none.
    """

    def __init__(self, folder: StateDir) -> None:
        self._listener = notify.Listener(folder.file("notify"))
        self.socket = self._listener.path
        self.asked_to_end = False
        self.messages: list[dict[str, str]] = []
        self._wake = folder.open_wake()
        self._signals, sink = os.pipe()
        for fd in (self._signals, sink):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
        for number in HEARD:
            signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)

    def listen(self, seconds: float, stranger: int) -> bool:
        """Wait at most *seconds* until something is to be heard; tell whether descriptor *stranger* (-1: none) is ready."""
        poll = select.poll()
        for fd in (self._signals, self._wake, self._listener.fd, stranger):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(int(seconds * 1000 + 0.999))}
        self.asked_to_end = self._signals in ready and signal.SIGTERM in _drain(self._signals)
        if self._wake in ready:
            _drain(self._wake)
        self.messages = self._listener.read() if self._listener.fd in ready else []
        return stranger in ready

    def close(self) -> None:
        """Nothing is kept any more: leave no socket behind. Never raises."""
        self._listener.close()


def _drain(fd: int) -> bytes:
    data = b""
    try:
        while True:
            piece = os.read(fd, 512)
            data += piece
            if len(piece) < 512:
                return data
    except BlockingIOError:
        return data
