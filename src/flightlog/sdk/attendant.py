"""The thread that attends to a process which was asked to stop: it begins with the first signal and goes with the process.

It begins earlier where the main thread is about to wait for other threads without end: see `EnhancedSignalHandler._leave_early`.

A signal handler may do next to nothing. This thread does the rest beside the main one: puts the signal on record, watches the deadlines of cleanup
callbacks, and when the main thread does not come back from one, or does not come to a third signal, runs what is left and ends the process.
Owns: that. Leaves signals and dispositions to `signals`. Never raises.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import time

from . import resignal
from .cleanup import DONE, FAILED, OVERRAN, SKIPPED, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cleanup import Callback
    from .signals import EnhancedSignalHandler

GRACE_SECONDS = 1.0  # for the main thread to come to what it was sent
NUDGE_SECONDS = 0.1
NUDGES = 20


class Attendant:
    """Attends to the handler *owner*; woken by bytes in *fd*: 0 from ourselves, else the number of a signal that arrived.

    *arrived*: how many signals came before anybody looked at *fd*.
    """

    def __init__(self, owner: EnhancedSignalHandler, fd: int, arrived: int = 1) -> None:
        self._owner, self._fd = owner, fd
        self._pid = os.getpid()
        self._told = self._number = 0
        self._sent: dict[int, int] = {}  # pokes of ours whose bytes are still to come, by number
        self._arrived = arrived  # signals from outside that the kernel brought
        self._requests = arrived  # the same without mere repeats
        self._last = time.monotonic() if arrived else float("-inf")
        self._nudges = self._nudge_at = self._end_at = self._stuck_at = 0.0
        self._stuck: Callback | None = None
        self._telling = _thread.allocate_lock()
        self._gone = _thread.allocate_lock()  # locked while the thread is there

    def start(self) -> None:
        """Begin, unless there can be no more threads."""
        try:
            self._gone.acquire()
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self._gone.release()

    def join(self) -> None:
        """Wait for its end, which has been announced; a second at most. A thread that the interpreter has to end is a danger to a process without descriptors."""
        if self._gone.acquire(True, GRACE_SECONDS):
            self._gone.release()

    def _run(self) -> None:
        try:
            self._attend()
        except Exception as problem:
            self._owner.problems.append("nobody attends to deadlines any more: %s" % ascii(problem))
        self._gone.release()

    def _attend(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while os.getpid() == self._pid and not self._owner.finished:
            self.tell()
            due = [at for at in (self._nudge(), self._third(), self._deadline()) if at]
            timeout = int(max(0.0, min(min(due) - time.monotonic(), 3600.0)) * 1000) + 1 if due else None
            if poll.poll(timeout):
                self._count(os.read(self._fd, 64))

    def tell(self) -> None:
        """Put each signal on record, once, in order, and before what the caller records next; from any thread."""
        alone = self._telling.acquire(True, GRACE_SECONDS)  # bounded: a handler may have interrupted this very function
        try:
            while self._told < self._owner.count:
                self._told += 1
                self._owner.put_on_record(self._told)
        finally:
            if alone:
                self._telling.release()

    def _count(self, data: bytes) -> None:
        now = time.monotonic()
        for number in data:
            if number not in self._owner.numbers:
                continue
            if self._sent.get(number):
                self._sent[number] -= 1
                continue
            self._arrived, self._number = self._arrived + 1, number
            self._nudges, self._nudge_at = 0, now + NUDGE_SECONDS
            if now - self._last >= self._owner.debounce:
                self._requests += 1
                if self._requests == 3:
                    self._end_at = now + GRACE_SECONDS
            self._last = now

    # -- what is due; each returns when it has to be asked again, 0 for not ------------------------------------------

    def _nudge(self) -> float:
        """Wake the main thread when a signal came just before it went to sleep in a system call, which Python does not notice."""
        if not self._nudge_at or self._owner.handled >= self._arrived:
            self._nudge_at = 0.0
        elif time.monotonic() >= self._nudge_at:
            self._nudges += 1
            self._poke()
            if self._nudges >= NUDGES:  # some came at the same moment, and are one to Python
                self._arrived = self._owner.handled
            self._nudge_at = time.monotonic() + NUDGE_SECONDS
        return self._nudge_at

    def _third(self) -> float:
        """End the process when the main thread does not come to the third signal."""
        if self._end_at and time.monotonic() >= self._end_at:
            self._end()
        return self._end_at

    def _deadline(self) -> float:
        """Let the main thread leave a callback whose deadline has passed; if it does not, do without it."""
        current, now = self._owner.cleanup.current, time.monotonic()
        if current is None:
            return 0.0
        if current is not self._stuck:
            if now < current.until:
                return current.until
            self._stuck, self._stuck_at = current, now + GRACE_SECONDS
            self._owner.overran = current
            self._poke()
        if now >= self._stuck_at:
            self._take_over()
        elif self._owner.overran is current:  # it has not come to it: see _nudge
            self._poke()
            return min(self._stuck_at, now + NUDGE_SECONDS)
        return self._stuck_at

    def _poke(self) -> None:
        """Let the main thread's handler be called, and its system call return."""
        owner = self._owner
        number = owner.number_to_poke(self._number)
        if owner.count or number != self._number:
            owner.poked = number  # otherwise it is the very signal that came, and is to be taken for it
        self._sent[number] = self._sent.get(number, 0) + 1
        try:
            signal.pthread_kill(owner.main_thread, number)
        except (OSError, ValueError):
            pass

    def _take_over(self) -> None:
        """Run what is left, for the main thread does not come back, and end the process."""
        owner = self._owner
        owner.cleanup.taken = True
        if self._stuck is not None:
            self._stuck.outcome = OVERRAN
        for callback in owner.cleanup.in_order():
            if callback.outcome != WAITING:
                continue
            if callback.slow and owner.cleanup.in_hurry:
                callback.outcome = SKIPPED
            else:
                _run_aside(callback)
        self._end()

    def _end(self) -> None:
        self.tell()
        self._owner.report()
        resignal.flush_soon()
        resignal.die(self._owner.signal)


def _run_aside(callback: Callback) -> None:
    """Run a callback in a thread of its own, for as long as its deadline lets us."""
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            callback.function()
            callback.outcome = DONE
        except BaseException as problem:
            callback.problem, callback.outcome = problem, FAILED
        done.release()

    began = time.monotonic()
    try:
        _thread.start_new_thread(run, ())
        if not done.acquire(True, min(callback.deadline, 3600.0)):
            callback.outcome = OVERRAN
    except RuntimeError:
        callback.outcome = FAILED
    callback.seconds = time.monotonic() - began
