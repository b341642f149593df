"""The keeper: the process that the user started. It holds the read ends, waits, and ends as the command ended.

Invariants
- It writes nothing of its own, except one line when the run cannot be recorded and the command runs bare.
- A signal that only the keeper got is passed on, exactly once; one that the whole group got is not (see `relay`).
- It stops when the command has stopped, by the same signal, and not before.
- When the shim dies the keeper, as subreaper, inherits the command and takes over.
Owns: the caller's view. Leaves the command's process to the shim while that lives, its own beginning to `keeper`.
"""

from __future__ import annotations

import os
import signal
import time

from .. import records
from ..journal import evidence as notes
from . import evidence, launch, linux, report, shim, signals
from .descriptors import close_all, replace_by_null
from .page import DONE, EXITED, FAILED, FLOWING, RECORDED
from .relay import Relay
from .setup import Setup
from .spec import RunSpec
from .takeover import FATAL, SETTLE_NS, SYNC_SECONDS, TakeOver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Sequence

BIRTH_SECONDS = 1.0
MAX_BIRTHS = 3
DECIDE_SECONDS = 0.001
TOLD = FATAL | {signal.SIGABRT}  # whose sender is put on record: systemd's watchdog aborts
MAX_TOLD = 16  # signals that are recorded of one run


class Keeper:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.page = setup.page
        self.shim = 0
        self._births = 1
        self._open = list(range(len(setup.streams)))  # streams whose ends we still hold
        self._stops = 0
        self._deadline = 0.0
        self._rusage: object = None
        self._report: report.Report | None = None
        self._told = 0

    def work(self) -> NoReturn:
        """Start the shim and keep the run until the command has ended."""
        linux.become_subreaper()
        self._fork_shim()
        try:
            while True:
                self._wait()
                self._look()
        except Exception:  # our own mistake must not become the caller's
            self._wait_bluntly()

    def _fork_shim(self) -> None:
        self.relay = Relay(self.page, self.setup.order_sink)
        self.page.cleared = 0
        try:
            self.shim = os.fork()
        except OSError as problem:
            self._run_bare("cannot start a process: %s" % problem.strerror)
        if self.shim == 0:
            shim.run(self.setup)
        close_all([self.setup.orders, *[stream.sink for stream in self.setup.streams]])

    def _wait(self) -> None:
        """Wait for a signal and see to it. All that wait are taken at once: those that stay in the queue are merged
        there.
        """
        came = []
        info = self._next(None)
        while info is not None:
            if info.si_signo != signal.SIGCHLD and not self._is_our_own(info):
                if info.si_signo == signal.SIGWINCH and self.page.child and self.setup.resize():
                    self.relay.pass_on(signal.SIGWINCH)  # once more, now that there is a new size to be seen
                elif self.page.phase < EXITED:
                    self.relay.note(self.shim, info.si_signo)
                    came.append(info)
                elif info.si_signo in FATAL and time.monotonic_ns() - self.page.exited_ns > SETTLE_NS:
                    self._leave()  # the command has gone, only its console keeps us, and nobody wants to wait for that
            info = self._next(0.0)
        for number in self.relay.decide(self.shim):
            if self.page.phase < EXITED:
                self.relay.pass_on(number)
        for info in came:
            self._tell(info)

    def _next(self, seconds: float | None) -> signal.struct_siginfo | None:
        if seconds is None and self.relay.undecided:
            seconds = DECIDE_SECONDS
        elif seconds is None and self._deadline:
            seconds = self._deadline - time.monotonic()
            if seconds <= 0.0:
                self._leave()  # the disk did not answer in time
        if seconds is None:
            return signal.sigwaitinfo(signals.CATCHABLE)
        return signal.sigtimedwait(signals.CATCHABLE, seconds)

    def _is_our_own(self, info: signal.struct_siginfo) -> bool:
        """Tell whether keeper or shim sent it, for its own ends."""
        return info.si_pid == os.getpid() or (info.si_signo == signal.SIGCONT and info.si_pid == self.shim)

    def _tell(self, info: signal.struct_siginfo) -> None:
        """Record who wants the run to end: what comes next may kill the whole group, and nobody is left to say anything."""
        if info.si_signo not in TOLD or self._told >= MAX_TOLD:
            return
        self._told += 1
        try:
            if self._report is None:
                self._report = report.Report(self.setup, "keeper", spare=False)
            data = evidence.sender(info)
            notes.note(notes.path_of(self.setup.spool, self.setup.spec.run), "signal", **data)
            who = " ".join([str(data[key]) for key in ("sender", "sender_pid") if key in data])
            self._report.say("%s came from %s" % (data["signal"], who), data, "flightlog.signals", records.INFO)
        except Exception:  # the signal counts, not that we tell of it
            pass

    # -- what the shared page says ----------------------------------------------------------------------------------

    def _look(self) -> None:
        page = self.page
        for index in list(self._open):
            if page.slots[index].state != FLOWING:
                self._let_go(index)
        if page.started_ns and not self.setup.released:
            self.setup.released = True  # the command has its own copies
            close_all(self.setup.extra)
            replace_by_null(0)
        if page.phase == DONE:
            self._leave()
        if page.phase == RECORDED and not self._deadline:
            self._deadline = time.monotonic() + SYNC_SECONDS
        if page.stops != self._stops:
            self._stops = page.stops
            if page.stopped:
                signals.stop_like(page.stopped)
        self._reap()

    def _let_go(self, index: int) -> None:
        """The stream has ended or its reader has gone: nothing of it may stay open in us."""
        self._open.remove(index)
        stream = self.setup.streams[index]
        close_all([stream.source])
        stream.console.close()

    def _reap(self) -> None:
        """Reap the shim, and the strangers that come to a subreaper; the command itself only after the shim's death."""
        died = None
        while True:
            try:
                pid, status, rusage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.shim:
                died = status
            elif pid == self.page.child:
                self._rusage = rusage
                self.page.status = status
                self.page.phase = max(self.page.phase, EXITED)
        if died is not None:
            self._shim_died(died)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _leave(self) -> NoReturn:
        self.page.leaving = 1
        signals.die_like(self.page.status)

    def _run_bare(self, reason: str) -> NoReturn:
        self.setup.abandon()
        launch.run_bare(self.setup.spec.command, self.setup.inherited, self.setup.limits, reason)

    def _shim_died(self, status: int) -> None:
        page = self.page
        if page.phase == DONE:
            self._leave()
        if page.phase == FAILED:
            self._run_bare("cannot start a process: %s" % os.strerror(page.error))
        # The command writes its pid into the page before anything else. Without a child of ours there is none.
        deadline = time.monotonic() + BIRTH_SECONDS
        while not page.child:
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self._begin_again()
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.0005)
        TakeOver(self.setup, self.relay, status, self._rusage).work()
        self._leave()

    def _begin_again(self) -> None:
        """The shim died before there was a command: nothing has happened yet."""
        self._births += 1
        if self._births > MAX_BIRTHS:
            self._run_bare("its recorder dies at once")
        try:
            self.setup.renew()
        except OSError as problem:
            self._run_bare("no pipes: %s" % problem.strerror)
        self._fork_shim()

    def _wait_bluntly(self) -> NoReturn:
        """Only wait, and end like the command."""
        while self.page.phase < EXITED:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                break
            if pid == self.page.child:
                self.page.status = status
                break
        self._leave()


def main(arguments: Sequence[str]) -> NoReturn:
    """Record the run that *arguments* describe (see `spec`); run its command bare when that cannot be."""
    inherited = signals.Inherited()
    limits = launch.Limits()
    command = list(arguments[arguments.index("--") + 1 :]) if "--" in arguments else []
    if not command:
        os.write(2, b"flightlog: the keeper was started without a command\n")
        os._exit(2)
    if not (hasattr(signal, "sigtimedwait") and hasattr(os, "waitid")):
        launch.run_bare(command, inherited, limits, "that needs Linux")
    try:
        setup = Setup(RunSpec.from_arguments(arguments), inherited, limits)
    except Exception as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        where = getattr(problem, "filename", None)
        launch.run_bare(command, inherited, limits, "%s: %s" % (where, reason) if where else reason)
    Keeper(setup).work()
