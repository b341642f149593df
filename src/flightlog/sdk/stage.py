"""Stages: named, nested steps of a run, with progress.

    with run.stage("extract", total=len(files)) as stage:
        for path in stage.track(files): ...

Owns: the stage's scope, its beginning and end, and progress records, which are limited by time and never by the pipeline.
"""

from __future__ import annotations

import time

from .. import records
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Callable, Iterable, Iterator, TypeVar

    from .context import Scope
    from .finished import Tracking

    T = TypeVar("T")

PROGRESS_EVERY_NS = 500_000_000


class Stage:
    """One step of a run. Enter it once.

    Attributes:
        name: its own name, without those around it.
        total: how many items it will handle, None when unknown.
        done: how many it has handled.
    """

    def __init__(self, name: str, total: int | None = None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self.trackings: list[Tracking] = []
        self._scope: Scope | None = None
        self._token: Token[Scope | None] | None = None
        self._began = self._told_at = 0
        self._told = 0

    def __enter__(self) -> Stage:
        try:
            if current.get() is None and recorder.scope is None:
                recorder.admit(time.time_ns(), records.CRITICAL, True)  # makes the implicit run
            outer = current.get() or recorder.scope
            self._began = self._told_at = time.monotonic_ns()
            if outer is not None:
                self._scope = outer.inner(self.name)
                self._token = current.set(self._scope)
                recorder.event(records.STAGE_STARTED, {"total": self.total}, self._scope)
        except Exception:
            recorder.errors += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for tracking in self.trackings:
                tracking.end(problem is None)
            if self._told != self.done:
                self._tell(time.monotonic_ns())
            data = {
                "status": "ok" if problem is None else "failed",
                "duration_ns": time.monotonic_ns() - self._began,
                "done": self.done,
                "total": self.total,
                "error": None if problem is None else records.exception(problem),
            }
            recorder.event(records.STAGE_ENDED, data, self._scope)
            if self._token is not None:
                current.reset(self._token)
        except Exception:
            recorder.errors += 1

    def advance(self, count: int = 1) -> None:
        """Say that *count* more items are done. Records progress at most twice a second."""
        self.done += count
        now = time.monotonic_ns()
        if now - self._told_at >= PROGRESS_EVERY_NS:
            self._tell(now)

    @property
    def scope(self) -> Scope | None:
        """The place that its records carry; None before it is entered."""
        return self._scope

    def track(self, items: Iterable[T], key: Callable[[T], object] | None = None, every: int = 0) -> Iterator[T]:
        """Yield each of *items* and count it as done when the next one is asked for.

        Args:
            items: in any order.
            key: says which item it is; what it returns is a text, a number, bytes, or has a repr of its own. Finished items are then remembered, and
                passed over when the run is resumed, each as often as it was finished. An item is finished when the next one is asked for or the
                stage ends in good order: do not hand the iterator to what takes items ahead (`executor.map`).
            every: write what is finished behind so many items (default 1,000), and behind half a second at the latest; a killed run does again
                what was finished since.

        Raises nothing but what *items* raise.
        """
        if self.total is None:
            try:
                self.total = len(items)  # type: ignore[arg-type]
            except Exception:
                self.total = None
        if key is not None:
            from . import finished

            return finished.track(self, items, key, every)
        return self._each(items)

    def _each(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            yield item
            self.advance()

    def stage(self, name: str, total: int | None = None) -> Stage:
        """Return a stage inside this one."""
        return Stage(name, total)

    def _tell(self, now: int) -> None:
        self._told_at, self._told = now, self.done
        data = {"done": self.done, "total": self.total, "elapsed_ns": now - self._began}
        recorder.event(records.PROGRESS, data, self._scope)


def stage(name: str, total: int | None = None) -> Stage:
    """Return a stage of whatever run or stage we are in; enter it by `with`. Never raises."""
    return Stage(name, total)
