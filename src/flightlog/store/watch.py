"""A connection that says nothing is found dead: a server that hangs, a line that is cut without a word, a proxy that keeps its other side open.

TCP's own timers see only a peer whose kernel does not answer. Here a round trip in which no byte moves for a while has its socket shut down, and ends
like any connection that is lost. Invariants: what moves is never ended, however slowly; a thread only while there are watched connections.
Owns: the clock over waits of such connections. Leaves when to try again to the agent.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import threading
import time
import weakref
from typing import Any

import psycopg

SILENT_SECONDS = 25.0
LOOK_SECONDS = 1.0


class WatchedConnection(psycopg.Connection[Any]):
    """A connection none of whose waits is without bound."""

    _since = 0.0  # monotonic: when the wait began that goes on; 0: it waits for nothing
    # The watching thread's: of which wait it has seen when bytes moved last, and how many were in the socket then.
    _seen = (0.0, 0.0, -1)

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait as any connection does, watched."""
        self._since = time.monotonic()
        try:
            return super().wait(*arguments, **options)
        finally:
            self._since = 0.0

    def look(self, now: float) -> None:
        """End it when nothing has moved for too long. Called by the watching thread."""
        since = self._since
        if not since or self.closed:
            return
        try:
            fd = self.pgconn.socket
            unsent = _unsent(fd)
            wait, moved, before = self._seen
            if wait != since or unsent != before:
                self._seen = (since, now, unsent)
            elif now - moved > SILENT_SECONDS and self._since == since:
                with socket.socket(fileno=os.dup(fd)) as end:
                    end.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            pass


def watch(connection: WatchedConnection) -> None:
    """Look after *connection* from now on, until it is closed or forgotten."""
    global _watching
    with _lock:
        _watched.add(connection)
        if not _watching:
            _watching = True
            threading.Thread(target=_look_after_all, name="flightlog-watch", daemon=True).start()


def _look_after_all() -> None:
    while _look_once():
        time.sleep(LOOK_SECONDS)


def _look_once() -> bool:
    """Look at each; False when there is none any more."""
    global _watching
    with _lock:
        there = [connection for connection in _watched if not connection.closed]
        if not there:
            _watched.clear()
            _watching = False
            return False
    for connection in there:
        connection.look(time.monotonic())
    return True


def _unsent(fd: int) -> int:
    """Return how many bytes of a socket the other side has not taken yet."""
    found: int = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4))[0]
    return found


_lock = threading.Lock()
_watched: weakref.WeakSet[WatchedConnection] = weakref.WeakSet()
_watching = False
