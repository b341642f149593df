"""The keeper in the shim's place, after the shim was killed: moves what is left, waits for the command, records its
end.

Invariants: it goes on at the end of the segment and at the console position in the shared page, so that nothing is
lost; the command, which it inherited as subreaper, notices nothing. A signal is passed on whoever got it (there is no
shim to ask: a group signal may reach the command twice). Owns: this. Leaves the keeper's normal life to `keeper`.
"""

from __future__ import annotations

import os
import signal
import time

from . import evidence, report, signals
from .admission import Admission
from .death import Death
from .loop import Loop
from .page import EXITED, FLOWING, RECORDED, RUNNING
from .pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .relay import Relay
    from .setup import Setup

POLL_SECONDS = 0.02
SYNC_SECONDS = 1.0
SETTLE_NS = 200_000_000  # a signal within this of the command's death may be the one it died of
FATAL = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))


class TakeOver:
    """See the module.

    Args:
        setup: the plan of the run.
        relay: how signals reach the command.
        status: the shim's wait status.
        rusage: of the command, when the keeper has reaped it already.
    """

    def __init__(self, setup: Setup, relay: Relay, status: int, rusage: Any = None) -> None:
        self.setup, self.relay = setup, relay
        self.page = setup.page
        self.report = report.Report(setup, "keeper")
        if self.page.phase < RUNNING:
            self.report.started(self.page.child)
            self.page.started_ns = time.monotonic_ns()
        self.admission = Admission(setup, self.report)
        self._death = Death(setup)
        self._shim = evidence.describe(status)
        self.report.event(report.SHIM_DIED, self._shim)
        slots = self.page.slots
        self.pumps = [
            Pump(stream, slots[index]) for index, stream in enumerate(setup.streams) if slots[index].state == FLOWING
        ]
        self._rusage = rusage
        self._exited = False
        if self.page.phase >= EXITED:
            self._set_exited()

    def work(self) -> None:
        """Return when the keeper may end like the command; its wait status is then in the shared page."""
        loop = Loop(self.pumps, [])
        while not (self._exited and all(pump.reached() for pump in self.pumps)):
            loop.turn(POLL_SECONDS)
            self.admission.look(self.pumps)
            self._reap()
            while True:
                info = signal.sigtimedwait(signals.CATCHABLE, 0)
                if info is None:
                    break
                if info.si_signo == signal.SIGCHLD or info.si_pid == os.getpid():
                    continue
                if not self._exited:
                    self.relay.pass_on(info.si_signo)
                elif info.si_signo in FATAL and time.monotonic_ns() - self.page.exited_ns > SETTLE_NS:
                    return
        self._record()
        if not all(pump.ended for pump in self.pumps):
            self._stay_behind(loop)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, rusage = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                if not self._exited:  # nobody can say any more how it ended
                    self.page.status = 255 << 8
                    self._set_exited()
                return
            if pid == 0:
                return
            if pid != self.page.child:
                continue
            if os.WIFSTOPPED(status):
                signals.stop_like(os.WSTOPSIG(status))
            else:
                self._rusage = rusage
                self.page.status = status
                self._set_exited()

    def _set_exited(self) -> None:
        self._exited = True
        self.page.exited_ns = self.page.exited_ns or time.monotonic_ns()
        for pump in self.pumps:
            pump.set_goal()

    def _record(self) -> None:
        if self.page.phase >= RECORDED:
            return
        more = {
            "duration_ns": report.duration_ns(self.page.started_ns),
            "pid": self.page.child,
            "shim": self._shim,
        }  # type: dict[str, Any]
        if self.page.exec_error:
            more["exec_errno"] = self.page.exec_error
        if self._rusage is not None:
            more["rusage"] = evidence.usage(self._rusage)
        self.admission.finish(self.pumps)
        data = self._death.describe(self.page.status, self.page.child, self.pumps, more)
        self.report.ended(data, self.pumps)
        self.page.phase = RECORDED
        self._sync()

    def _sync(self) -> None:
        """Flush to the disk in a helper, because a hung disk would keep this process for ever."""
        try:
            helper = os.fork()
        except OSError:
            return
        if helper == 0:
            try:
                self.report.sync(self.pumps)
            finally:
                os._exit(0)
        deadline = time.monotonic() + SYNC_SECONDS
        while time.monotonic() < deadline and os.waitpid(helper, os.WNOHANG)[0] == 0:
            time.sleep(0.001)

    def _stay_behind(self, loop: Loop) -> None:
        """Descendants still hold the output: leave a process that goes on moving it."""
        try:
            if os.fork() != 0:
                return
        except OSError:
            return
        try:
            for stream in self.setup.streams:
                assert stream.capture is not None
                stream.capture.share()
            os.chdir("/")
            while not all(pump.ended for pump in self.pumps):
                loop.turn(self.admission.pause(self.pumps))
                self.admission.look(self.pumps)
            self.admission.finish(self.pumps)
            self.report.close()
        finally:
            os._exit(0)
