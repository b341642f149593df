"""faulthandler for native crashes of a supervised Python, on a descriptor that nobody else gets.

A crash handler in C writes to a number, whatever is behind it by then: a program that closes every descriptor and opens its own would find
a stack in its data. Therefore the number lies just beyond the soft limit on descriptors, where the kernel opens nothing for anybody, and
which `closerange` up to the limit does not reach. Where the limit cannot be raised for a moment (soft = hard), or is so high that the
kernel's table would become large, it lies high below the limit, under those that the journal takes; there, and after the program raised
its limit, only a look at the inode helps, which is taken in each forked child, once a second while something is recorded, and whenever a fault is
noted. What remains: a program that closes descriptors it did not open, opens so many that this very number is among them, records nothing
in between, and crashes.

Owns: that descriptor, and faulthandler as long as the program does not use it itself. `is_enabled` goes on to say what the program did; its
`enable` replaces ours, its `disable` brings ours back. Never raises, creates no file.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

MOST = 65536  # as the journal's: a higher number costs each process a table of half a megabyte and more
BELOW = 64  # numbers under the limit that the journal uses
TRIES = 16
_FLAGS = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class Private:
    """A descriptor of ours that is never closed.

    Attributes:
        fd: its number; -1 when there is none.
        beyond: whether it lies beyond the soft limit.
    """

    __slots__ = ("_inode", "beyond", "fd")

    def __init__(self, low: int) -> None:
        """Take over *low*, which is closed."""
        status = os.fstat(low)
        self._inode = (status.st_dev, status.st_ino)
        self.fd, self.beyond = _place(low)

    def size(self) -> int:
        """Return how many bytes the file has; 0 when it is no file, or closed."""
        try:
            return os.fstat(self.fd).st_size
        except (OSError, ValueError):
            return 0

    def holds(self) -> bool:
        """Tell whether the number still is our file."""
        try:
            status = os.fstat(self.fd)
        except (OSError, ValueError):
            return False
        return (status.st_dev, status.st_ino) == self._inode


def _is_free(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _place(low: int) -> tuple[int, bool]:
    """Move descriptor *low* to where nobody meets it; return (number, is it beyond the limit)."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if soft != resource.RLIM_INFINITY and soft <= MOST:
            limit = soft + TRIES if hard == resource.RLIM_INFINITY else min(soft + TRIES, hard)
            number = next((n for n in range(soft, limit) if _is_free(n)), -1)
            if number >= 0:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                try:
                    os.dup2(low, number, inheritable=False)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                return number, True
        top = MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)
        for number in range(top - BELOW - 1, max(top - BELOW - 1 - TRIES, 3), -1):
            if _is_free(number):
                os.dup2(low, number, inheritable=False)
                return number, False
        return -1, False
    finally:
        os.close(low)


def open_private(path: str, create: bool = False) -> Private | None:
    """Return a descriptor for appending to the regular file at *path*, which is made, 0600, only when *create*; None where that cannot be."""
    try:
        low = os.open(path, _FLAGS | _NONBLOCK | (os.O_CREAT if create else 0), 0o600)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(low).st_mode):
            os.close(low)
            return None
        found = Private(low)
    except (ImportError, OSError, ValueError):
        return None
    return found if found.fd >= 0 else None


private: Private | None = None
ours = False  # faulthandler is enabled by us, not by the program
_real: dict[str, Any] = {}


def enable(path: str) -> None:
    """Let faulthandler write into the evidence file, unless the program's user has enabled it already. Never raises."""
    global private
    try:
        import faulthandler

        if faulthandler.is_enabled() or private is not None:
            return
        private = open_private(path)
        if private is None:
            return
        _real.update((name, getattr(faulthandler, name)) for name in ("enable", "disable", "is_enabled"))
        _begin()
        _veil(faulthandler)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=check)
    except Exception:
        _failed()


def _begin() -> None:
    global ours
    if private is not None and private.holds():
        _real["enable"](private.fd)
        ours = True


def check() -> None:
    """Let go of faulthandler when the descriptor has been closed by the program. Never raises."""
    global ours
    try:
        if ours and private is not None and not private.holds():
            ours = False
            _real["disable"]()
    except Exception:
        _failed()


def _failed() -> None:
    """Count a mistake of our own."""
    from .recorder import recorder

    recorder.errors += 1


def _veil(faulthandler: ModuleType) -> None:
    def enable(*arguments: Any, **named: Any) -> Any:
        global ours
        result = _real["enable"](*arguments, **named)
        ours = False
        return result

    def disable() -> Any:
        if ours:
            return False
        result = _real["disable"]()
        _begin()
        return result

    def is_enabled() -> bool:
        return not ours and bool(_real["is_enabled"]())

    for function in (enable, disable, is_enabled):
        function.__doc__ = _real[function.__name__].__doc__
        function.__module__ = "faulthandler"
        setattr(faulthandler, function.__name__, function)
