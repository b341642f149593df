"""What the captures of a run may take: kill switch and rollout, pressure, waiting for room; and saying what was not kept.

At pressure 3 standard output (and both streams, where they are one) goes to the console only, when the spool is full standard error as well. With
`on_full: block` the pipe is left alone first, so that the command waits for room as it would for a slow reader, at most for the timeout.
Invariants: the console goes on; nothing here blocks; what was not kept is counted in bytes, as an event each second and as a line of the run's log,
each once: the counts are in the shared page, so that who takes over goes on counting.
Owns: these decisions. Leaves bytes to `pump`, rules to `config.quota`. Used by the shim, and by the keeper in its place.
"""

from __future__ import annotations

import time

from ..config.control import DISABLED, STATE, ControlReader
from ..config.quota import FULL, segment_bytes
from ..journal.patience import POLL_SECONDS, Patience
from . import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from .pump import Pump
    from .setup import Setup

LOOK_SECONDS = 1.0
TELL_SECONDS = 5.0
SHED_AT = {"stdout": 3, "stderr": FULL}


class Admission:
    """See the module."""

    def __init__(self, setup: Setup, told: report.Report) -> None:
        self._report = told
        self._control = ControlReader(setup.control_page, setup.spec.config, setup.spool, setup.spec.pipeline)
        self._patience = Patience()
        self._look_at = self._tell_at = 0.0
        self._numbers: list[int] = []
        self._lost: dict[str, int] = {}  # by stream, as far as events have said
        self._pressure = 0  # the highest since the last line

    def pause(self, pumps: Sequence[Pump]) -> float | None:
        """Return for how long the loop may wait although nothing happens; None: for ever."""
        if any(pump.held for pump in pumps):
            return POLL_SECONDS
        due = [self._look_at for pump in pumps if pump.lost != self._lost.get(pump.name, 0)]
        due += [max(self._look_at, self._tell_at) for pump in pumps if pump.lost > pump.slot.told]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def look(self, pumps: Sequence[Pump]) -> None:
        """Do what is due, once a second, while something happens."""
        now = time.monotonic()
        held = any(pump.held for pump in pumps)
        if now < self._look_at and not held:
            return
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._control.look()
            numbers = [pump.capture.number for pump in pumps]
            if numbers != self._numbers:  # a segment has begun: where nobody else looks at the disk, we do
                self._numbers = numbers
                self._control.measure()
            self._report_gaps(pumps)
        self._decide(pumps)

    def finish(self, pumps: Sequence[Pump]) -> None:
        """The command has ended: keep its last words, and say what is missing before them."""
        for pump in pumps:
            pump.keep_words()
        self._report_gaps(pumps, last=True)

    def _decide(self, pumps: Sequence[Pump]) -> None:
        off = bool(self._control.page[STATE] & DISABLED)
        pressure = self._control.pressure
        self._pressure = max(self._pressure, pressure)
        self._patience.seconds = self._control.limits.block_ms / 1000.0
        if not pressure:
            self._patience.renew()
        for pump in pumps:
            pump.off = off
            wanted = pressure >= SHED_AT.get(pump.name, 3)
            pump.held = wanted and not off and not pump.ended and self._patience.lasts()
            pump.shed = wanted and not pump.held
            if self._control.quota:
                pump.limit_segment(segment_bytes(self._control.quota))

    def _report_gaps(self, pumps: Sequence[Pump], last: bool = False) -> None:
        for pump in pumps:
            if pump.lost != self._lost.get(pump.name, 0):
                self._lost[pump.name] = pump.lost
                self._report.event(report.CAPTURE_GAP, report.capture_state(pump))
        untold = [pump for pump in pumps if pump.lost > pump.slot.told]
        now = time.monotonic()
        if untold and (last or now >= self._tell_at):
            self._tell_at = now + TELL_SECONDS
            why = "the spool was full" if self._pressure >= FULL else "pressure %d" % self._pressure
            reason = why if self._pressure else "the spool could not be written"
            for pump in untold:
                count, pump.slot.told = pump.lost - pump.slot.told, pump.lost
                message = "%d bytes of %s were not kept (%s); the console had them" % (count, pump.name, reason)
                data = {"lost_bytes": count, "stream": pump.name, "pressure": self._pressure}
                self._report.say(message, data, ns=pump.lost_ns)  # where the gap is
                pump.lost_ns = 0
            self._pressure = 0
