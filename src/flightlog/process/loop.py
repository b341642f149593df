"""Waiting for pumps: one poll(2) over pipes, consoles and whatever else the process has to hear.

Owns: which descriptor is asked for what. Leaves moving bytes to the pumps. Blocks in `turn` only.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from .pump import Pump

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Loop:
    """See the module.

    Args:
        pumps: the streams.
        others: descriptors to wait for besides; `turn` returns those that are readable or hung up.
    """

    def __init__(self, pumps: Sequence[Pump], others: Sequence[int]) -> None:
        self.pumps = list(pumps)
        self.others = list(others)

    def turn(self, seconds: float | None) -> set[int]:
        """Wait at most *seconds* (None: for ever) until something can be done, and do it for the pumps; return the
        others' turn.
        """
        poll = select.poll()
        for fd in self.others:
            poll.register(fd, select.POLLIN)
        inputs, outputs = {}, {}  # type: dict[int, Pump], dict[int, Pump]
        for pump in self.pumps:
            if pump.ended:
                continue
            if pump.wants_input():
                poll.register(pump.source, select.POLLIN)
                inputs[pump.source] = pump
            if pump.echo.pending:
                poll.register(pump.console.fd, select.POLLOUT)
                outputs[pump.console.fd] = pump
            elif pump.console.watched:
                poll.register(pump.console.fd, 0)
                outputs[pump.console.fd] = pump
            pump.settle()
            wake_at = pump.wake_at()
            if wake_at:
                left = max(0.0, wake_at - time.monotonic())
                seconds = left if seconds is None else min(seconds, left)
        ready = set()
        for fd, events in poll.poll(None if seconds is None else int(seconds * 1000 + 0.999)):
            if fd in outputs:
                self._console(outputs[fd], events)
            elif fd in inputs:
                inputs[fd].take()
            else:
                ready.add(fd)
        now = time.monotonic()
        for pump in self.pumps:
            if not pump.ended:
                pump.tick(now)
        return ready

    @staticmethod
    def _console(pump: Pump, events: int) -> None:
        if pump.ended:
            return
        if pump.echo.pending:
            pump.give()  # a vanished reader shows as EPIPE
        elif events & _GONE and pump.console.watched:
            pump.break_off()
