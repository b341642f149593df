"""Signals that the keeper got: which of them the command has not got yet, and giving it those, once.

Who sent a signal says nothing: a terminal sends to the group, or to a session's leader alone. So the shim is asked, which is in the
same group, has all signals blocked, and therefore shows one sent to the group as pending. Owns: this. Leaves waiting to the keeper.
"""

from __future__ import annotations

import os
import time

from .. import identity
from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .page import Page

CANARY_SECONDS = 0.005  # a signal to the group is with all of it long before
ACK_SECONDS = 0.05
START_SECONDS = 1.0


class Relay:
    """See the module.

    Args:
        page: the shared page.
        orders: write end of the shim's orders: a byte names a signal to be taken out of its queue.
    """

    def __init__(self, page: Page, orders: int) -> None:
        self._page = page
        self._orders = orders
        self._sent = 0
        self._stuck = set()  # type: set[int]  # orders that the shim has not carried out: its queue says nothing about them

    def group_got(self, shim: int, number: int) -> bool:
        """Tell whether the group got signal *number*, and make the shim ready for the next one. Blocks for 5 ms, at most 55 ms."""
        if number in self._stuck:
            if self._page.cleared < self._sent:
                return False
            self._stuck.clear()
        deadline = time.monotonic() + CANARY_SECONDS
        while not signals.is_pending(shim, number):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0005)
        try:
            os.write(self._orders, bytes((number,)))
        except OSError:
            return True
        self._sent += 1
        deadline = time.monotonic() + ACK_SECONDS
        while self._page.cleared < self._sent:
            if time.monotonic() > deadline:
                self._stuck.add(number)
                break
            time.sleep(0.0002)
        return True

    def pass_on(self, number: int) -> None:
        """Send signal *number* to the command; wait for it to exist, if need be. Never raises."""
        deadline = time.monotonic() + START_SECONDS
        while not self._page.started_ns and time.monotonic() < deadline:
            time.sleep(0.0005)
        child, start = self._page.child, self._page.child_start
        if not child or (start and identity.process_start_time(child) != start):
            return
        try:
            os.kill(child, number)
        except OSError:
            pass
