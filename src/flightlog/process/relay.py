"""Signals that the keeper got: which of them the command has not got yet, and giving it those, once.

Who sent a signal says nothing: a terminal sends to the group, or to a session's leader alone. So the shim is asked,
which is in the same group, has all signals blocked, and therefore shows one sent to the group as pending. Equal signals
that come so close together that the kernel merges them in one of us count as one, as they do in a program that has not
got round to the first. Owns: this. Leaves waiting to the keeper.
"""

from __future__ import annotations

import os
import signal
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
        self._stuck: set[int] = set()  # not taken out by the shim: its queue says nothing about them
        self._open: list[tuple[float, int]] = []  # (when to decide, signal)

    @property
    def undecided(self) -> bool:
        """Some signal may still turn out to have gone to the group: call `decide` within a millisecond."""
        return bool(self._open)

    def note(self, shim: int, number: int) -> None:
        """The keeper got signal *number*. Returns at once, or, if the group got it, when the shim is ready for the
        next.
        """
        if not self._is_with_group(shim, number):
            self._open.append((time.monotonic() + CANARY_SECONDS, number))

    def decide(self, shim: int) -> list[int]:
        """Return the signals that turned out to be for the keeper alone: to be passed on now."""
        alone = []
        for entry in list(self._open):
            if entry not in self._open:
                continue  # settled with an equal one
            deadline, number = entry
            if self._is_with_group(shim, number):
                continue
            if time.monotonic() >= deadline:
                self._open.remove(entry)
                alone.append(number)
        return alone

    def _is_with_group(self, shim: int, number: int) -> bool:
        if number in self._stuck:
            if self._page.cleared < self._sent:
                return False
            self._stuck.clear()
        if not signals.is_pending(shim, number):
            return False
        while True:
            self._clear(number)
            # One more that came before the shim's was taken out has been merged there.
            merged = signal.sigtimedwait({number}, 0) is not None
            if not merged or number in self._stuck or not signals.is_pending(shim, number):
                break
        self._open = [entry for entry in self._open if entry[1] != number]
        return True

    def _clear(self, number: int) -> None:
        """Have the signal taken out of the shim's queue."""
        try:
            os.write(self._orders, bytes((number,)))
        except OSError:
            return
        self._sent += 1
        deadline = time.monotonic() + ACK_SECONDS
        while self._page.cleared < self._sent:
            if time.monotonic() > deadline:
                self._stuck.add(number)
                return
            time.sleep(0.0001)

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
