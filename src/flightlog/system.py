"""The operating system as the journal and the agent see it: stand-ins for the modules os, fcntl and time, and for what only C can do.

    from ..system import native, os, time        instead of        import os, time

Invariants: a stand-in hands every name through to what it stands for, which in a pipeline and in a real agent is the module itself; nothing but
`play`, which the simulation (tests/simulation) uses, ever puts anything else there. The hot path takes its calls from `Writer._State`, bound
once, and never comes by here. Owns: which system this is, and how to write while the interpreter lock is kept. Standard library only, Python 3.8.
"""

from __future__ import annotations

import fcntl as _fcntl
import mmap
import os as _os
import sys
import time as _time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import fcntl
    import os
    import time
    from typing import Any, Callable, Sequence

__all__ = ["Native", "fcntl", "native", "os", "play", "time"]
_MADV_WIPEONFORK = 18  # madvise(2); not exported by Python


class _StandIn:
    """Stands for another object."""

    __slots__ = ("_target",)

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class _PidSentinel:
    """Where memory cannot be wiped on fork: compare the pid. Costs 0.1 us."""

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = _os.getpid()

    def __getitem__(self, index: int) -> int:
        return self.pid == _os.getpid()


class Native:
    """What is reached below Python's own modules."""

    def __init__(self) -> None:
        # All that needs the dynamic linker is found here: in a child that was forked while another thread loaded a library (or ended: glibc loads one
        # then) it is in the midst of that for ever, and glibc ends a process that calls it.
        self.fast_write: Callable[[int, bytes, int], int] | None = None
        self._fstatfs: Callable[[int, Any], int] | None = None
        try:
            import ctypes

            self._buffer, self._long_bytes = ctypes.create_string_buffer, ctypes.sizeof(ctypes.c_long)
            self._fstatfs = ctypes.CDLL(None).fstatfs
            if hasattr(sys, "pypy_version_info"):
                return  # there is no interpreter lock to keep, and ctypes is slow
            # PyDLL keeps the interpreter lock during the call: beside a busy thread a call takes 2.5 us, not 140 (ADR 0002).
            write = ctypes.PyDLL(None).write
            # No argtypes: an int and a bytes object are passed right without them, and converting by them costs 0.3 us of 1.25.
            # The length goes as a C int, which libffi extends to the register; a frame has at most 256 KB and a bit.
            write.restype = ctypes.c_ssize_t
            self.fast_write = write
        except (ImportError, AttributeError, OSError):
            pass

    def fork_sentinel(self) -> Sequence[int]:
        """Return something whose item 0 is true in this process and false in a child, also after a fork made in C."""
        try:
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_MADV_WIPEONFORK)
            page[0] = 1
        except (AttributeError, OSError, ValueError):
            return _PidSentinel()  # type: ignore[return-value]
        return page  # type: ignore[return-value]

    def file_system_type(self, fd: int) -> int:
        """Return statfs(2)'s f_type of the file system that *fd* is on; 0 when it cannot be known."""
        if self._fstatfs is None:
            return 0
        try:
            buffer = self._buffer(256)
            if self._fstatfs(fd, buffer) != 0:
                return 0
            return int.from_bytes(buffer.raw[: self._long_bytes], sys.byteorder) & 0xFFFFFFFF
        except OSError:
            return 0


native = Native()
if not TYPE_CHECKING:
    os, fcntl, time, native = _StandIn(_os), _StandIn(_fcntl), _StandIn(_time), _StandIn(native)


def play(**parts: Any) -> dict[str, Any]:
    """Let other objects stand for `os`, `fcntl`, `time` and `native`; returns those that stood there before. For tests."""
    before = {}
    for name, part in parts.items():
        stand = globals()[name]
        before[name], stand._target = stand._target, part
    return before
