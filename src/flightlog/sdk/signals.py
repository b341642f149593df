"""Asked to stop: `EnhancedSignalHandler` lets a program end in good order on SIGTERM, SIGINT and SIGHUP, and still end by that signal.

    with flightlog.EnhancedSignalHandler() as handler:
        handler.add_cleanup(save_state, deadline=5)
        main()

The handler proper counts, wakes and lets the main thread leave what it does (KeyboardInterrupt or SystemExit, as it would without us); it logs
nothing, takes no lock, and calls no callback. Callbacks run in the main thread when the block, or the program, is left. What was there before
is chained; what is ignored stays ignored; who replaces us afterwards is reported, not fought. Forked children get back what was there before.
Owns: dispositions and what the first, second and third signal do. Leaves callbacks to `cleanup`, clock and record to `attendant`, stacks to
`stacks`, dying to `resignal`, words to `stop_records`. Standard library only; nothing raises into the program.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import time

from . import resignal
from . import stop_records as said
from .attendant import Attendant
from .cleanup import OVERRAN, SKIPPED, Callback, Cleanup, Interruption
from .stacks import Reporter
from .stop_records import name_of, number_of
from .wake import Pipe, wait_in_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Callable, Sequence, TypeVar

    Function = TypeVar("Function", bound=Callable[[], Any])

_active: list[EnhancedSignalHandler] = []


class Stopped(SystemExit):
    """Raised in the main thread by the first and second signal whose default is to end the process; `code` is 128 + its number."""


class EnhancedSignalHandler:
    """Ends a program in good order when it is asked to stop.

    First signal: graceful. The main thread is interrupted: by KeyboardInterrupt for SIGINT, by a SystemExit for the others, or, when the
    program had a handler of its own, by whatever that does. Cleanup callbacks run when the block is left (or, after
    `install()`, when the program is): higher priority first, then in reverse order of registration. Second signal: slow callbacks
    are skipped, also one that runs. Third: streams are flushed, for at most a second, and the process ends at once.
    Then the process dies by the very signal, when that was its default, after everything else that Python does at exit.
    Callbacks are not called when nothing asked the program to stop.

    Args:
        signals: names or numbers.
        deadline: seconds that a callback may take which has no deadline of its own.
        interrupt: whether the main thread is interrupted. If not, the program has to look at `stopping` or to `wait`.
        reraise: whether the process ends by the signal; if not, with the status that the program gives.
        stacks: let SIGUSR1 write the stacks of all threads at once, even when the program is stuck in C: into the evidence of a supervised run,
            else to standard error, or to the file of that name; and put a status record into the log.
        debounce: a signal within so many seconds after the one before counts as the same: it was sent to the process and to its group, say.

    Attributes:
        signal: the number of the first signal; 0 as long as nobody asked to stop.
        count: how many came.
        problems: sentences; what could not be done as asked.
    """

    def __init__(
        self,
        signals: Sequence[int | str] = ("SIGTERM", "SIGINT", "SIGHUP"),
        deadline: float = 10.0,
        interrupt: bool = True,
        reraise: bool = True,
        stacks: bool | str = False,
        debounce: float = 0.1,
    ) -> None:
        self.signal = self.count = 0
        self.problems = ["no such signal: %r" % (one,) for one in signals if not number_of(one)]
        self.cleanup = Cleanup()
        self.overran: Callback | None = None  # by the attendant: this one is to be left
        self.poked = 0  # by the attendant, with this signal
        self.handled = 0  # calls of the handler by signals from outside, mere repeats included
        self.debounce, self._last = debounce, 0.0
        self.main_thread = 0
        self.finished = False
        self.numbers = frozenset(map(number_of, signals)) - {0}
        self._deadline, self._interrupt, self._reraise, self._stacks = deadline, interrupt, reraise, stacks
        self._before: dict[int, Any] = {}  # what we stand for at this moment
        self._found: dict[int, Any] = {}  # what was there, also when we have given it back
        self._ours = self._handle  # one bound method, to be recognised
        self._pid = 0
        self._cleaning = self._in_block = self._late = self._delivered = self._armed = False
        self._replaced: dict[str, str] = {}
        self._stopped: Pipe | None = None
        self._wake: Pipe | None = None
        self.attendant: Attendant | None = None
        self._reporter: Reporter | None = None
        self._reported: set[str] = set()

    # -- what the program calls ------------------------------------------------------------------------------------

    def add_cleanup(
        self,
        function: Function,
        name: str = "",
        deadline: float | None = None,
        slow: bool = False,
        priority: int = 0,
    ) -> Function:
        """Register a cleanup callback, called without arguments, and return it: also a decorator. Never raises, does not block.

        Args:
            function: what to call.
            name: how reports call it; default: its own name.
            deadline: seconds it may take; after that an exception is raised inside it and the next one begins. Default: the handler's.
            slow: the second signal skips it.
            priority: those with a higher one run first; among equals the one registered last.
        """
        name = name or str(getattr(function, "__qualname__", None) or type(function).__name__)
        limit = self._deadline if deadline is None else deadline
        self.cleanup.callbacks.append(Callback(function, name, float(limit), slow, priority))
        return function

    def remove_cleanup(self, function: Callable[[], Any]) -> bool:
        """Take a callback back; tell whether it was registered."""
        before = len(self.cleanup.callbacks)
        self.cleanup.callbacks[:] = [one for one in self.cleanup.callbacks if one.function != function]
        return len(self.cleanup.callbacks) < before

    @property
    def stopping(self) -> bool:
        """Whether somebody asked the program to stop. For loops; costs nothing."""
        return self.count > 0

    def wait(self, timeout: float | None = None) -> bool:
        """Block until somebody asks the program to stop, at most *timeout* seconds; return `stopping`. For any thread."""
        if self._stopped is not None and not self.count:
            if self._wake is not None and self.attendant is None and _thread.get_ident() == self.main_thread:
                wait_in_main(self, self._stopped, self._wake, timeout)
            else:
                self._stopped.wait(timeout)
        return self.count > 0

    def fileno(self) -> int:
        """Return a descriptor that becomes readable with the first signal, for select and event loops; -1 when not installed. Do not read from it."""
        return self._stopped.reader if self._stopped is not None else -1

    def replaced(self) -> dict[str, str]:
        """Return which of our handlers somebody has replaced since, and by what: {"SIGTERM": "uvicorn.server.Server.handle_exit"}."""
        for number in self._before:
            now = signal.getsignal(number)
            if now != self._ours:
                self._replaced[name_of(number)] = said.describe(now)
        return dict(self._replaced)

    def check_stacks(self) -> bool:
        """Tell whether SIGUSR1 would show stacks; when the program has closed the descriptor for them, it is from now on not written to."""
        return self._reporter is not None and self._reporter.check()

    def install(self) -> bool:
        """Take over the signals, for the rest of the program or until `uninstall`; tell whether it worked. Idempotent, never raises.

        Only the main thread can; signals that are ignored (nohup, a shell's `&`) and handlers that were not made by Python are left alone.
        """
        if self._before or self.finished:
            return bool(self._before)
        try:
            self._install()
        except Exception as problem:
            self._problem("signal handlers cannot be installed here: %s" % ascii(problem))
            self._restore()
        return bool(self._before)

    def uninstall(self) -> None:
        """Put back what was there before, where nobody else has replaced us. Only the main thread can; never raises."""
        try:
            if self._pid == os.getpid():
                self._report_replaced()
            self._restore()
        except Exception:
            self.problems.append("signal handlers cannot be removed here: not the main thread")

    def __enter__(self) -> EnhancedSignalHandler:
        self._in_block = True
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        atexit.unregister(self._leave)

    # -- installing ---------------------------------------------------------------------------------------------------

    def _install(self) -> None:
        self._pid, self.main_thread = os.getpid(), _thread.get_ident()
        self._stopped, self._wake = Pipe(), Pipe()
        resignal.register()
        for number in sorted(self.numbers):
            before = signal.getsignal(number)
            if before is None:
                self._problem("%s has a handler that was not made by Python; it is left alone" % name_of(number))
            elif before != signal.SIG_IGN:
                self._before[number] = self._found[number] = before
                signal.signal(number, self._ours)
        if self._stacks:
            self._reporter = Reporter(self, self._stacks)
            self._reporter.install()
        _active.append(self)
        if not self._in_block:
            resignal.before_threads(self._leave_early)
        atexit.register(self._leave)  # of a block as well: a signal may come just when it is left

    def _restore(self) -> None:
        for number, before in list(self._before.items()):
            if signal.getsignal(number) == self._ours:
                signal.signal(number, before)
            del self._before[number]
        if self._reporter is not None:
            self._reporter.uninstall()
            self._reporter = None
        if self._wake is not None:
            self._wake.stop_watching()
        if self in _active:
            _active.remove(self)

    def forget(self) -> None:
        """In a forked child: what was there before applies again, and no callback is ours to call."""
        self.finished, self._armed = True, False
        try:
            self._restore()
        except Exception:
            self._before.clear()

    # -- the handler proper -------------------------------------------------------------------------------------------

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid or (self.finished and not self._armed):
            self._as_before(number, frame)
            return
        if number == self.poked:  # it is the attendant's: no signal from outside
            self.poked = 0
            overran, self.overran = self.overran, None
            if overran is not None and self.cleanup.current is overran:
                raise Interruption(OVERRAN)
            return
        self.handled += 1
        now, last = time.monotonic(), self._last
        self._last = now
        if self.count and now - last < self.debounce:  # to the process and to its group, say
            if callable(self._found.get(number)) and self._found[number] is not signal.default_int_handler:
                self._as_before(number, frame)
            return
        self.count += 1
        if self.finished:
            self._end_now(number)
        if self.count == 1:
            self._first(number)
        elif self._wake is not None:
            self._wake.notify()
        if self.count >= 3:
            self._end_now(number)
        if self.count == 2:
            self.cleanup.in_hurry = True
            current = self.cleanup.current
            if current is not None and current.slow:
                raise Interruption(SKIPPED)
        if not self._cleaning:
            self._delivered = self._interrupt
            if self._found.get(number) == signal.SIG_DFL and (self._late or resignal.main_thread_has_ended()):
                self._leave()  # the main thread has nothing to do but to wait for others
                atexit._run_exitfuncs()
                resignal.flush_soon()
                resignal.die(number)
            self._as_before(number, frame, stop=True)

    def _first(self, number: int) -> None:
        self.signal = number
        if self._stopped is not None and self._wake is not None:
            self._stopped.notify()
            self._attend(self._wake, arrived=1)

    def _attend(self, wake: Pipe, arrived: int) -> None:
        if self.attendant is None:
            wake.drain()
            wake.watch_signals()
            self.attendant = Attendant(self, wake.reader, arrived)
            self.attendant.start()
        else:
            wake.notify()

    def number_to_poke(self, sent: int) -> int:
        """Return the signal for the attendant to wake the main thread by: rather one that nobody is sending, as somebody did with *sent*."""
        ours = [number for number in self._before if signal.getsignal(number) == self._ours]
        return next((number for number in ours if number not in (self.signal, sent)), self.signal or sent)

    def _as_before(self, number: int, frame: FrameType | None, stop: bool = False) -> None:
        """Do what the handler before us did. *stop*: let the main thread leave what it does, where the default was to end."""
        before = self._found.get(number)
        if callable(before):
            if before is not signal.default_int_handler or self._interrupt or not stop:
                before(number, frame)
        elif not stop:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._interrupt:
            raise Stopped(128 + number)

    def _end_now(self, number: int) -> None:
        self.signal = number
        if self.attendant is not None:
            self.attendant.tell()
        self.report()
        resignal.flush_soon()
        resignal.die(number)

    # -- leaving ------------------------------------------------------------------------------------------------------

    def _leave_early(self) -> None:
        """Run the callbacks before Python waits for threads, if anybody asked; if not, see to it that a signal wakes it from that.

        One that comes just before it goes to sleep would not be noticed until the last thread has ended, which may wait for that very signal.
        """
        self._late = True
        if self.count:
            self._leave()
        elif self._wake is not None and self._pid == os.getpid() and resignal.threads_are_left():
            self._attend(self._wake, arrived=0)

    def _leave(self) -> None:
        """Run the callbacks if anybody asked, and give the signals back. Never raises."""
        if self._pid != os.getpid() or self.finished:
            return
        self._cleaning = True
        try:
            if self.count:
                self._clean_up()
            if self._armed:  # signals stay ours until the end: a mere repeat is not to cut it short
                self._report_replaced()
            else:
                self.uninstall()
            if self.count:  # also when it came just now
                self._clean_up()
        except Exception as problem:
            self._problem("the cleanup failed: %s" % ascii(problem))
        self.finished = True
        if self._wake is not None and self._stopped is not None:
            self._stopped.notify()  # who waits
            self._wake.notify()  # the attendant's last look
            if self.attendant is not None:
                self.attendant.join()
            if not self.count:
                self._stopped.close()
                self._wake.close()
                self._stopped = self._wake = None

    def _clean_up(self) -> None:
        found = self._found.get(self.signal)
        undelivered = found is signal.default_int_handler and not self._delivered
        if self._reraise and (found == signal.SIG_DFL or undelivered):
            resignal.arm(self.signal)
            self._armed = True
        self.cleanup.run(self._notify)
        if self.cleanup.taken:  # the attendant runs the rest, and ends the process
            time.sleep(sum(callback.deadline for callback in self.cleanup.callbacks) + 5)
        if self.attendant is not None:
            self.attendant.tell()
        self.report()

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake.notify()

    # -- reports ------------------------------------------------------------------------------------------------------

    def put_on_record(self, count: int) -> None:
        """Say that signal number *count* came. Not to be called in the handler; never raises."""
        said.asked(name_of(self.signal), count)

    def report(self) -> None:
        """Put on record what became of the callbacks, each once. Never raises."""
        said.callbacks(self.cleanup.in_order(), self._reported)

    def _report_replaced(self) -> None:
        said.replaced(self.replaced(), self._reported)

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        said.problem(text)


def _after_fork() -> None:
    for handler in list(_active):
        handler.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
