"""sd_notify(3), both sides: what a kept process says of itself, and what a caretaker that systemd started says to systemd.

A kept process finds NOTIFY_SOCKET, a datagram socket in its state directory (0700: nobody else reaches it). Honoured are READY=1, STATUS=,
WATCHDOG=1, STOPPING=1; the rest is read past. A path of more than 107 bytes is no socket's: then nothing is offered.
With WatchdogSec= systemd wants to hear from the caretaker as well; it says so from its loop, never from a thread of its own, which would hide a hang.
Owns: the socket and its words. Leaves their consequences to the caretaker. Never raises, never blocks.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, MutableMapping

MAX_PATH = 107  # sun_path of unix(7)
MAX_MESSAGES = 64  # at one look
_FROM_SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LONG = 3600.0
_KNOWN = frozenset(("READY", "STATUS", "WATCHDOG", "STOPPING"))


class Listener:
    """The receiving side.

    Args:
        path: of the socket; what is there is replaced.

    Attributes:
        fd: readable when something was said; -1 when there is no socket.
        path: empty when there is no socket.
    """

    def __init__(self, path: str) -> None:
        self.fd, self.path = -1, ""
        self._socket: Any = None
        if len(os.fsencode(path)) > MAX_PATH:
            return
        try:
            os.unlink(path)
        except OSError:
            pass
        try:
            one = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            one.bind(os.fsencode(path))
        except OSError:
            return
        self._socket, self.fd, self.path = one, one.fileno(), path

    def read(self) -> list[dict[str, str]]:
        """Return what has been said since the last look, oldest first."""
        said: list[dict[str, str]] = []
        while self._socket is not None and len(said) < MAX_MESSAGES:
            try:
                data = self._socket.recv(8192)
            except OSError:
                break
            said.append(parse(data))
        return said

    def close(self) -> None:
        """Remove the socket. Never raises."""
        if self._socket is None:
            return
        try:
            os.unlink(self.path)
        except OSError:
            pass
        self._socket.close()
        self._socket, self.fd, self.path = None, -1, ""


def parse(data: bytes) -> dict[str, str]:
    """Return the assignments of one message that mean something here."""
    found = {}
    for line in data.decode("utf-8", "replace").splitlines():
        name, equals, value = line.partition("=")
        if equals and name in _KNOWN:
            found[name] = value[:500]
    return found


def tell(path: str, text: str) -> bool:
    """Say *text* to the service manager whose socket is at *path* (`@` is the abstract one); tell whether it took it."""
    if not path:
        return False
    address = os.fsencode(path)
    if address[:1] == b"@":
        address = b"\0" + address[1:]
    try:
        one = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        one.connect(address)
        one.send(text.encode("utf-8", "replace"))
        one.close()
    except OSError:
        return False
    return True


class Service:
    """The service manager that started us.

    Args:
        environment: where it says how it wants to be told; that is taken out, for it is meant for nobody else. None: nobody started us as a service.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        given = {} if environment is None else {name: environment.pop(name, "") for name in _FROM_SERVICE}
        self._path = given.get("NOTIFY_SOCKET", "")
        wanted, whose = given.get("WATCHDOG_USEC", ""), given.get("WATCHDOG_PID", "")
        ours = self._path and wanted.isdigit() and whose in ("", str(os.getpid()))
        self._interval = int(wanted) / 2e6 if ours else 0.0
        self._next = 0.0

    def say(self, text: str) -> None:
        """Tell it."""
        tell(self._path, text)

    def bark(self, now: float) -> float:
        """Say that we are at work when that is due; return how many seconds we may sleep until it is again."""
        if not self._interval:
            return _LONG
        if now >= self._next:
            self._next = now + self._interval
            self.say("WATCHDOG=1")
        return self._next - now
