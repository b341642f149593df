"""The shim: starts the command, moves its output, waits for its end, says how it was.

Invariants
- It begins the command only when `run.started` is in the journal; it reaps it only when the status is in the shared
  page.
- All signals stay blocked and pending here: by that the keeper sees which of its own went to the whole group (see
  `keeper`).
- When the keeper is killed, the command is killed as it would have been without us, journalled first; the rest goes on.
- After the command's end it tells the keeper as soon as everything written so far is recorded and on the console; what
  descendants write later is still moved, detached, until the last of them has closed its output.
Owns: the command's process. Leaves the caller's view of it (signals, status, stopping) to the keeper.
"""

from __future__ import annotations

import os
import signal
import time

from .. import identity
from . import evidence, launch, report
from .admission import Admission
from .death import Death
from .descriptors import close_all, replace_by_null
from .loop import Loop
from .metrics import Metrics
from .page import DONE, EXITED, FAILED, RECORDED, RUNNING
from .pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .setup import Setup


def run(setup: Setup) -> NoReturn:
    """Be the shim, in the process forked for it. Ends the process; whatever goes wrong, the keeper takes over."""
    code = 71
    try:
        shim = Shim(setup)
        if shim.start():
            shim.work()
            shim.admission.finish(shim.pumps)
            shim.report.close()
            code = 0
    except BaseException:  # our own mistake: the keeper, which sees the death, goes on from the files
        if os.environ.get("FLIGHTLOG_DEBUG"):
            _explain()
    finally:
        os._exit(code)


def _explain() -> None:
    import traceback

    os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))


class Shim:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.page = setup.page
        self.child = 0
        self.pumps: list[Pump] = []
        self.report = report.Report(setup, "shim")
        self.admission = Admission(setup, self.report)
        self._death = Death(setup)
        self._exited = False
        self._done = False
        self._keeper_died = False
        self._wakes = self._wake_sink = -1

    # -- the beginning ------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Fork the command and let it go. False when that failed: nothing has begun, and the keeper runs it bare."""
        os.close(self.setup.order_sink)
        for stream in self.setup.streams:
            assert stream.capture is not None
            stream.capture.share()
        self._wakes, self._wake_sink = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._wake_sink, False)
        go_source, go_sink = os.pipe()
        error_source, error_sink = os.pipe()
        try:
            self.child = os.fork()
        except OSError as problem:
            self.page.error = problem.errno or 1
            self.page.phase = FAILED
            return False
        if self.child == 0:
            _be_command(self.setup, go_source, go_sink, error_source, error_sink)
        self.page.child = self.child
        self.page.child_start = identity.process_start_time(self.child)
        close_all([go_source, error_sink, *[stream.sink for stream in self.setup.streams], *self.setup.extra])
        replace_by_null(0)
        signal.set_wakeup_fd(self._wake_sink, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        self.report.started(self.child)
        self.pumps = [Pump(stream, self.page.slots[index]) for index, stream in enumerate(self.setup.streams)]
        self.page.started_ns = time.monotonic_ns()
        self.page.phase = RUNNING
        self._nudge()
        os.close(go_sink)
        answer = os.read(error_source, 8)  # empty as soon as the exec has succeeded
        os.close(error_source)
        if answer:
            self.page.exec_error = int(answer)
        return True

    # -- the middle ---------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Move output and wait, until the command is dead and nobody can write to its output any more."""
        loop = Loop(self.pumps, [self.setup.orders, self._wakes])
        self.metrics = Metrics(self.setup, self.report, self.child)
        ended = 0
        self._look_at_child()
        while True:
            if self._exited and not self._done and all(pump.reached() for pump in self.pumps):
                self._finish()
            if self._done and all(pump.ended for pump in self.pumps):
                return
            ready = loop.turn(self.metrics.bound(self.admission.pause(self.pumps)))
            if self._wakes in ready:
                _drain(self._wakes)
                self._look_at_child()
            if self.setup.orders in ready and not self._obey():
                loop.others.remove(self.setup.orders)
            if sum([pump.ended for pump in self.pumps]) != ended:
                ended = sum([pump.ended for pump in self.pumps])
                self._nudge()
            self.admission.look(self.pumps)
            self.metrics.look(self.pumps)

    def _obey(self) -> bool:
        """Take the signals out of our queue that the keeper names; False when the keeper is gone."""
        numbers = os.read(self.setup.orders, 64)
        if not numbers:
            self._keeper_gone()
            return False
        for number in numbers:
            info = signal.sigtimedwait({number}, 0)
            if info is not None:
                self._death.hear(info)
            self.page.cleared += 1
        return True

    def _keeper_gone(self) -> None:
        if self._exited or self.page.leaving:
            return
        # Nobody is left to hand the status to. Without us the signal would have hit the command itself.
        self._keeper_died = True
        self.report.event(report.KEEPER_DIED, {"action": "SIGKILL sent to the command", "pid": self.child})
        os.kill(self.child, signal.SIGKILL)  # not reaped yet, so it is this very process

    def _nudge(self) -> None:
        """Wake the keeper: the page has changed."""
        if os.getppid() == self.setup.keeper:
            try:
                os.kill(self.setup.keeper, signal.SIGCHLD)
            except OSError:
                pass

    # -- the end ------------------------------------------------------------------------------------------------------

    def _look_at_child(self) -> None:
        while not self._exited:
            options = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG | os.WNOWAIT
            result = os.waitid(os.P_PID, self.child, options)
            if result is None or result.si_pid == 0:
                return
            if result.si_code in (evidence.CLD_STOPPED, evidence.CLD_TRAPPED):
                os.waitid(os.P_PID, self.child, os.WSTOPPED | os.WNOHANG)
                self.page.stopped = result.si_status
                self.page.stops += 1
                self._nudge()
            elif result.si_code == evidence.CLD_CONTINUED:
                os.waitid(os.P_PID, self.child, os.WCONTINUED | os.WNOHANG)
                self.page.stopped = 0
                if os.getppid() == self.setup.keeper:
                    os.kill(self.setup.keeper, signal.SIGCONT)
            else:
                if self.page.stopped and os.getppid() == self.setup.keeper:
                    os.kill(
                        self.setup.keeper, signal.SIGCONT
                    )  # it stopped with a command that nobody continued before it died
                self._exited = True
                self.page.status = evidence.wait_status(result.si_code, result.si_status)
                self.page.exited_ns = time.monotonic_ns()
                self.page.phase = EXITED
                for pump in self.pumps:
                    pump.set_goal()

    def _finish(self) -> None:
        """Record the end, reap, and let the keeper go."""
        more: dict[str, Any] = {"duration_ns": report.duration_ns(self.page.started_ns), "pid": self.child}
        more["zombie"] = evidence.of_zombie(self.child)
        more["samples"] = self.metrics.end()
        if self.page.exec_error:
            more["exec_errno"] = self.page.exec_error
        if self._keeper_died:
            more["keeper"] = "killed"
        more["recorder_s"] = evidence.recorder_seconds(self.setup.keeper)
        counters = self._death.counters(self.child)
        try:
            more["rusage"] = evidence.usage(os.wait4(self.child, 0)[2])
        except OSError:
            pass
        self.admission.finish(self.pumps)
        self.report.ended(
            self._death.describe(self.page.status, self.child, self.pumps, {**counters, **more}), self.pumps
        )
        self.page.phase = RECORDED
        self._nudge()  # from here on it waits for the disk a second at most
        self.report.sync(self.pumps)
        self._done = True
        late = not all(pump.ended for pump in self.pumps)
        self.page.phase = DONE
        self._nudge()
        if late:  # descendants still hold the output: go on behind everybody's back
            for number in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.chdir("/")


def _drain(fd: int) -> None:
    try:
        while len(os.read(fd, 512)) == 512:
            pass
    except BlockingIOError:
        pass


def _be_command(setup: Setup, go_source: int, go_sink: int, error_source: int, error_sink: int) -> NoReturn:
    """In the child of the fork: wait for the shim's word, then become the command."""
    try:
        setup.page.child = os.getpid()
        os.close(go_sink)
        os.close(error_source)
        os.read(go_source, 1)  # its end is the word; it also ends when the shim is killed
        for stream in setup.streams:
            for number in stream.numbers:
                os.dup2(stream.sink, number)
        environment = setup.environment
        environment[b"FLIGHTLOG_ADOPT"] = b"%s:%d" % (setup.spec.run.encode(), os.getpid())
        launch.address(environment, setup.keeper)
        setup.limits.restore()
        setup.inherited.restore()
        code = launch.become(setup.spec.command, environment)
        os.write(error_sink, b"%d" % code)
        launch.exec_failed(setup.spec.command[0], code)
    finally:
        os._exit(126)
