"""SIGUSR1: the stacks of all threads at once, even when the program is stuck in C, and a status record when it is not.

faulthandler answers in the C handler, on a descriptor of its own that is never closed, and hands on to the handler in Python, which the
interpreter calls when it can; that one lets a short thread write the record. Owns: both. Leaves stopping to `signals`, the
descriptor to `crash`. Never raises.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time

from .. import identity
from ..journal import evidence
from . import crash, faults
from .logger import get_logger
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from .signals import EnhancedSignalHandler

MAX_STACKS = evidence.MAX_BYTES // 2  # bytes
_kept: dict[str, crash.Private] = {}  # by target: they are never closed


def _target(wanted: bool | str) -> crash.Private | None:
    path = wanted if isinstance(wanted, str) else faults.evidence or os.environ.get("FLIGHTLOG_EVIDENCE", "")
    if path and not isinstance(wanted, str) and crash.private is not None and crash.private.holds():
        return crash.private
    found = _kept.get(path)
    if found is None or not found.holds():
        found = crash.open_private(path, create=isinstance(wanted, str)) if path else None
        if found is None and not isinstance(wanted, str):
            found = crash.Private(os.dup(2))
        if found is not None:
            _kept[path] = found
    return found


class Reporter:
    """Answers SIGUSR1 for the handler *owner*."""

    number = signal.SIGUSR1

    def __init__(self, owner: EnhancedSignalHandler, wanted: bool | str) -> None:
        self._owner, self._wanted = owner, wanted
        self._pid = os.getpid()
        self._before: Any = None
        self._ours = self._handle
        self._private: crash.Private | None = None
        self._writing = _thread.allocate_lock()

    def install(self) -> None:
        """Begin to answer. Main thread only."""
        self._before = signal.getsignal(self.number)
        if self._before is None or self._before == signal.SIG_IGN:
            self._owner.problems.append("SIGUSR1 is ignored, or has a handler not made by Python; it is left alone")
            return
        signal.signal(self.number, self._ours)
        try:
            import faulthandler

            self._private = _target(self._wanted)
            if self._private is None or self._private.fd < 0:
                raise OSError("no descriptor for it")
            faulthandler.register(self.number, file=self._private.fd, all_threads=True, chain=True)
            self._offer(self.number)
        except Exception as problem:
            self._private = None
            self._owner.problems.append("SIGUSR1 shows no stacks: %s" % ascii(problem))

    def uninstall(self) -> None:
        """Give SIGUSR1 back, unless somebody has replaced us. Main thread only; waits, a second at most, for a record that is under way."""
        if os.getpid() == self._pid and self._writing.acquire(True, 1.0):
            self._writing.release()
        if signal.getsignal(self.number) != self._ours:
            return
        if self._private is not None:
            import faulthandler

            faulthandler.unregister(self.number)
            self._offer(0)
        signal.signal(self.number, self._before)

    def _offer(self, number: int) -> None:
        """Say in the run's evidence that whoever wants our stacks may send signal *number*; 0: not any more. To others nobody sends one."""
        if faults.evidence and not isinstance(self._wanted, str):
            name = self.number.name if number else ""
            evidence.note(faults.evidence, "stacks", signal=name, start=identity.process_start_time(os.getpid()))

    def check(self) -> bool:
        """Let go of the descriptor when it is not ours any more, or the evidence is full; tell whether stacks can be shown."""
        if self._private is None:
            return False
        problem = ""
        if not self._private.holds():
            problem = "the descriptor for stacks was closed by the program; SIGUSR1 shows none"
        elif not isinstance(self._wanted, str) and self._private.size() > MAX_STACKS:
            problem = "there are many stacks among the evidence; SIGUSR1 shows no more"  # notes of faults need the room
        if problem:
            import faulthandler

            faulthandler.unregister(self.number)
            self._private = None
            self._offer(0)
            self._owner.problems.append(problem)
        return not problem

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid and self._writing.acquire(False):  # else one is under way: it says the same
            try:
                _thread.start_new_thread(self._report, ())
            except RuntimeError:
                self._writing.release()
        if callable(self._before):
            self._before(number, frame)

    def _report(self) -> None:
        """Put the state of this process on record."""
        try:
            owner = self._owner
            get_logger("flightlog.signals").info(
                "status",
                signal="SIGUSR1",
                threads=len(sys._current_frames()) - 1,
                cpu_s=round(time.process_time(), 3),
                rss_kb=_resident(),
                stopping=owner.stopping,
                cleanups=[callback.name for callback in owner.cleanup.in_order()],
                replaced=owner.replaced(),
                stacks=self.check(),
            )
        except Exception:
            recorder.errors += 1
        self._writing.release()


def _resident() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, ValueError, IndexError):
        return 0
