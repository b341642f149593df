"""Cleanup callbacks: in which order, each with a deadline, and what became of them.

Owns: the list and running it in the main thread. Leaves watching the clock to `attendant`, signals to `signals`.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

WAITING, DONE, FAILED, OVERRAN, SKIPPED = "waiting", "done", "failed", "overran", "skipped"


class Interruption(BaseException):
    """Raised inside a callback that has to stop: its deadline has passed, or a second signal came and it is slow."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Callback:
    """One cleanup callback.

    Attributes:
        name: how reports call it.
        deadline: seconds it may take.
        slow: a second signal skips it, also while it runs.
        outcome: `waiting`, `done`, `failed`, `overran` (its deadline) or `skipped`.
        until: when its deadline passes, by the monotonic clock; 0 while it does not run.
    """

    __slots__ = ("deadline", "function", "name", "outcome", "priority", "problem", "seconds", "slow", "until")

    def __init__(self, function: Callable[[], Any], name: str, deadline: float, slow: bool, priority: int) -> None:
        self.function, self.name, self.deadline, self.slow, self.priority = function, name, deadline, slow, priority
        self.outcome, self.until, self.seconds = WAITING, 0.0, 0.0
        self.problem: BaseException | None = None


class Cleanup:
    """The callbacks of one handler.

    Attributes:
        current: the one that runs.
        in_hurry: slow ones are skipped.
        taken: the attendant runs what is left, because the main thread does not come back.
    """

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []
        self.current: Callback | None = None
        self.in_hurry = self.taken = False

    def in_order(self) -> list[Callback]:
        """Return them as they run: higher priority first, among equals the one registered last."""
        newest_first = self.callbacks[::-1]
        return sorted(newest_first, key=lambda callback: -callback.priority)

    def run(self, wake: Callable[[], None]) -> None:
        """Run them in this, the main thread. *wake* is called when the clock has to be watched. Never raises."""
        for callback in self.in_order():
            if callback.outcome != WAITING:
                continue
            if self.taken:
                return
            if callback.slow and self.in_hurry:
                callback.outcome = SKIPPED
                continue
            self._run_one(callback, wake)

    def _run_one(self, callback: Callback, wake: Callable[[], None]) -> None:
        began = time.monotonic()
        outcome = FAILED
        try:
            try:
                callback.until = began + callback.deadline
                self.current = callback
                wake()
                callback.function()
                outcome = DONE
            finally:
                self.current = None  # from here on nothing is raised into this any more
        except Interruption as interruption:
            outcome = interruption.outcome
        except BaseException as problem:
            callback.problem = problem
        self.current = None  # again: an interruption may have come just before
        callback.seconds = time.monotonic() - began
        if callback.outcome == WAITING:
            callback.outcome = outcome
