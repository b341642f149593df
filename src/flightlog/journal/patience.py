"""How long a full spool may keep a pipeline waiting: `on_full: block(timeout)`.

Invariants: while nothing is ready, all threads together wait until one moment, *seconds* after the first of them began to; after that nobody
waits until room was seen again. So a disk that stays full costs a process one timeout, whatever it logs. No lock, no thread: polling.
Owns: that rule. Leaves what room is to the caller.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

POLL_SECONDS = 0.02


class Patience:
    """See the module.

    Attributes:
        seconds: the timeout; 0: nobody waits.
    """

    __slots__ = ("_over_at", "seconds")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._over_at = 0.0  # when this episode's waiting ends, monotonic; 0: nobody has waited since room was seen

    def lasts(self) -> bool:
        """Tell whether to go on waiting; begins an episode when none goes on."""
        if self.seconds <= 0.0:
            return False
        now = time.monotonic()
        if not self._over_at:
            self._over_at = now + self.seconds
        return now < self._over_at

    def renew(self) -> None:
        """Room was seen."""
        self._over_at = 0.0

    def wait(self, ready: Callable[[], bool]) -> bool:
        """Wait until *ready*() or until patience is over; return the former. Blocks at most `seconds`."""
        while self.lasts():
            time.sleep(POLL_SECONDS)
            if ready():
                self._over_at = 0.0
                return True
        return False
