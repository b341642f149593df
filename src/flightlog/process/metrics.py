"""The shim's eye on its command: a look at the process tree each second, kept and recorded, and the watch for hangs.

Invariants: nothing here raises or waits; with the kill switch on, or where output is shed, nothing is recorded; it ends with the command. Owns: when to look, the last 60 looks,
the event `metrics` each `metrics.interval`. Leaves looking to `sampler`, GPUs to `gpu`, hangs to `hang`, settings to `tuning`.
"""

from __future__ import annotations

import os
import time

from .. import identity
from ..config.compiled import path_for
from .gpu import Gpu
from .hang import Hang
from .sampler import Sampler
from .silence import Silence
from .tuning import Tuning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from .pump import Pump
    from .report import Report
    from .setup import Setup

METRICS = "metrics"
LOGGER = "flightlog.metrics"
KEPT = 60
FIRST_SECONDS = 0.2  # a short run leaves something, too; `true` costs nothing
SETTINGS_SECONDS = 2.0
SLACK_SECONDS = 0.05  # so that a look which is a little early counts as one that is due


class Metrics:
    """See the module.

    Args:
        setup: the plan of the run.
        report: where to record.
        child: pid of the command.
    """

    def __init__(self, setup: Setup, report: Report, child: int) -> None:
        self._report = report
        self._tuning = Tuning()
        self._settings = path_for(setup.control_page)
        now = time.monotonic()
        self._sampler = Sampler(child, setup.keeper, (os.getpid(),), identity.home())
        self._gpu = Gpu(setup.control_page)
        self._hang = Hang(setup, report, self._sampler, Silence(setup.spool, now), self._tuning)
        self._look_at = now + FIRST_SECONDS
        self._record_at = self._settings_at = 0.0
        self._kept: list[dict[str, Any]] = []
        self._over = False

    def bound(self, pause: float | None) -> float | None:
        """Return *pause*, for how long the loop may wait, or less, so that the next look is in time."""
        if self._over:
            return pause
        left = max(0.0, self._look_at - time.monotonic())
        return left if pause is None else min(pause, left)

    def look(self, pumps: Sequence[Pump]) -> None:
        """Look, if it is time."""
        if self._over or time.monotonic() < self._look_at:
            return
        try:
            self._look(time.monotonic(), pumps)
        except Exception as problem:  # our own mistake: nobody looks any more, all else goes on
            self._give_up(problem)

    def _look(self, now: float, pumps: Sequence[Pump]) -> None:
        if now >= self._settings_at:
            self._settings_at = now + SETTINGS_SECONDS
            self._tuning.look(self._settings)
        sample = self._sampler.look()
        self._look_at = now + self._sampler.interval
        if sample["state"] in ("", "Z", "X"):
            self._over = True  # it has died, which is for the shim to see
            return
        sample.update(self._gpu.look(self._sampler.processes))
        self._kept.append(sample)
        if len(self._kept) > KEPT:
            del self._kept[0]
        if self._tuning.interval and now >= self._record_at and not any(pump.off or pump.shed for pump in pumps):
            self._record_at = now + self._tuning.interval - SLACK_SECONDS
            self._report.event(METRICS, sample)
        self._hang.look(now, sample, pumps)

    def end(self) -> list[dict[str, Any]]:
        """The command has ended: return the last 60 looks, oldest first. Never raises."""
        self._over = True
        try:
            self._hang.close()
        except Exception as problem:
            self._give_up(problem)
        return self._kept

    def _give_up(self, problem: Exception) -> None:
        self._over = True
        said = "its processes are not looked at any more: %s" % ascii(problem)
        self._report.say(said, {"error": type(problem).__name__}, LOGGER)
