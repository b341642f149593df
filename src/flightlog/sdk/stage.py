"""Stages: named, nested steps of a run, with progress. As context managers (also of `async with`) and as decorators.

    with run.stage("extract", total=len(files)) as stage:
        for path in stage.track(files): ...

    @flightlog.stage
    def transform(rows): ...

Owns: the stage's scope, its beginning and end, and progress records. A stage belongs to where it is entered; one made by another stage's `stage` to that one.
Leaves counting and when to tell to `progress`, wrapping functions to `decorate`, figures to `figures`.
"""

from __future__ import annotations

import itertools
import os
import time

from .. import records
from . import figures
from .context import current, leave, within
from .progress import Count, finite
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Any, Callable, Iterable, Iterator, TypeVar, overload

    from .context import Scope
    from .finished import Tracking

    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])
else:

    def overload(function):  # noqa: D103
        return function


_next_number = itertools.count(1).__next__  # tells stages of one name apart, within a process
_open: dict[int, Stage] = {}  # entered and not left


class Stage:
    """One step of a run. Enter it once; one that decorates a function is entered anew by each call.

    Attributes:
        name: its own name, without those around it.
        passed: how many of them an earlier run had finished, counted by all threads.
        trackings: of items by key, see `finished`.
    """

    def __init__(self, name: str, total: int | float | None = None, outer: Scope | None = None) -> None:
        self.name = name if type(name) is str else records.safe_text(name)
        self._total = finite(total)
        self._count, self.passed = Count(), Count()
        self._figures: dict[str, Any] = {}
        self._rows: dict[str, Count] = {}
        self._outer = outer
        self._before: Scope | None = None
        self.trackings: list[Tracking] = []
        self._scope: Scope | None = None
        self._token: Token[Scope | None] | None = None
        self._forked = False
        self._began = self._number = self._pid = 0
        self._told: int | float = 0

    @property
    def total(self) -> int | float | None:
        """How many items it will handle, None when unknown; what is set and is no finite number counts as unknown."""
        return self._total

    @total.setter
    def total(self, total: int | float | None) -> None:
        self._total = finite(total)

    @property
    def done(self) -> int | float:
        """How many items it has handled, counted by all threads."""
        return self._count.value()

    def __enter__(self) -> Stage:
        try:
            if current.get() is None and recorder.scope is None:
                recorder.admit(time.time_ns(), records.CRITICAL, True)  # makes the implicit run
            self._before = current.get()
            outer = within(self._outer) or recorder.scope
            self._began = self._count.told_at = time.monotonic_ns()
            self._pid = os.getpid()
            if outer is not None:
                self._number = _next_number()
                self._scope = outer.inner(self.name)
                self._token = current.set(self._scope)
                _open[id(self)] = self
                recorder.event(records.STAGE_STARTED, {"total": self.total, "id": self._number}, self._scope)
        except Exception:
            recorder.errors += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            _open.pop(id(self), None)
            self._end(problem)
        except Exception:
            recorder.errors += 1
        leave(self._token, self._before, self._scope)

    def _end(self, problem: BaseException | None) -> None:
        for tracking in self.trackings:
            tracking.end(problem is None)
        if isinstance(problem, GeneratorExit):  # somebody wanted no more of it
            problem = None
        if self._scope is None:
            return
        if os.getpid() != self._pid:  # a forked child goes home through our block: the stage is the parent's to end
            if self._told != self.done:
                self._tell(time.monotonic_ns())
            return
        if self._rows:
            figures.flush()
        now = time.monotonic_ns()
        if self._told != self.done:
            self._tell(now)
        data = {
            "status": "ok" if problem is None else "failed",
            "duration_ns": now - self._began,
            "done": self.done,
            "total": self.total,
            "error": None if problem is None else records.exception(problem),
            "id": self._number,
        }
        data.update(self._said())
        recorder.event(records.STAGE_ENDED, data, self._scope)

    async def __aenter__(self) -> Stage:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, problem, trace)

    def __call__(self, function: F) -> F:
        """Return *function* with a stage of this name and total around each call; of a generator while it runs, see `decorate`."""
        from .decorate import decorate

        name, total, outer = self.name, self.total, self._outer
        return decorate(function, lambda: Stage(name, total, outer))  # type: ignore[no-any-return]

    def advance(self, count: int | float = 1) -> None:
        """Say that *count* more items are done, from any thread. Records progress at most twice a second. Never raises."""
        try:
            known = count if type(count) is int else finite(count)
            if known is None:
                recorder.errors += 1
                return
            self._count.add(known)
            now = self._count.due()
            if now:
                self._tell(now)
        except Exception:
            recorder.errors += 1

    def progress(self, done: int | float, total: int | float | None = None, **figures: Any) -> None:
        """Say that *done* items are done in all, of *total* if that is known now. Never raises, blocks on nothing.

        Records progress at most twice a second; the last state always, when the stage ends. *figures* are recorded with it,
        the newest of each name.
        """
        try:
            if total is not None:
                self.total = total
            if figures:
                self._figures.update(figures)
            known = finite(done)
            if known is None:
                recorder.errors += 1
                return
            self._count.put(known)
            self._look()
        except Exception:
            recorder.errors += 1

    @property
    def scope(self) -> Scope | None:
        """The place that its records carry; None before it is entered."""
        return self._scope

    def track(self, items: Iterable[T], key: Callable[[T], object] | None = None, every: int = 0) -> Iterator[T]:
        """Yield each of *items* and count it as done when the next one is asked for. *total* is their number where that is not given but known.

        Costs some tens of nanoseconds an item, without a key; records progress at most twice a second, and the last state when the stage ends.
        Raises nothing but what *items* raise.

        Args:
            items: in any order.
            key: says which item it is; what it returns is a text, a number, bytes, or has a repr of its own. Finished items are then remembered, and
                passed over when the run is resumed, each as often as it was finished. An item is finished when the next one is asked for or the
                stage ends in good order: do not hand the iterator to what takes items ahead (`executor.map`).
            every: write what is finished behind so many items (default 1,000), and with the first one that finishes 50 ms after the last time; a killed
                run does again what was finished since, and the item that it was at.
        """
        if self.total is None:
            try:
                self.total = len(items)  # type: ignore[arg-type]
            except Exception:
                self.total = None
        if key is not None:
            from . import finished

            return finished.track(self, items, key, every)
        return self._count.track(items, self._tell)

    def rows(self, read: int = 0, written: int = 0) -> None:
        """Count rows (records, messages: what goes in and comes out) read and written, from any thread.

        They are recorded with the stage's progress and its end, and as the counters `rows_read` and `rows_written` of the run. Never raises.
        """
        try:
            for name, count in (("read", finite(read)), ("written", finite(written))):
                if count and self._scope is not None:
                    self._rows.setdefault(name, Count()).add(count)
                    figures.add(self._scope, "rows_" + name, count, "counter", "")
            self._look()
        except Exception:
            recorder.errors += 1

    def stage(self, name: str, total: int | float | None = None) -> Stage:
        """Return a stage inside this one, whichever thread enters it."""
        return Stage(name, total, self._scope)

    def _look(self) -> None:
        now = self._count.due()
        if now:
            self._tell(now)

    def _said(self) -> dict[str, Any]:
        """Return what is recorded besides the count."""
        said = {}  # type: dict[str, Any]
        passed = self.passed.value()
        if passed:
            said["passed"] = passed
        if self._rows:
            said["rows"] = {name: count.value() for name, count in list(self._rows.items())}
        if self._figures:
            said["figures"] = dict(self._figures)
        return said

    def _tell(self, now: int) -> None:
        if self._scope is None:
            return
        try:
            self._count.told_at, self._told = now, self.done
            total = 0 if self._forked else self.total  # the parent has said it
            data = {"done": self._told, "total": total, "elapsed_ns": now - self._began, "id": self._number}
            data.update(self._said())
            recorder.event(records.PROGRESS, data, self._scope)
        except Exception:
            recorder.errors += 1


def _after_fork() -> None:
    """In a forked child a stage that goes on counts what the child does; who puts together what processes say adds it up."""
    for stage in list(_open.values()):
        stage._forked = True
        stage._count.put(0)
        stage.passed.put(0)
        stage._told = 0
        stage._rows.clear()
        for tracking in stage.trackings:
            tracking.at = None  # the item at hand is the parent's to finish
    if _open:
        from . import ending

        if _tell_open not in ending.at_end:
            ending.at_end.append(_tell_open)


def _tell_open() -> None:
    """Tell the last state of stages that nobody leaves in this process: it is a worker, and ends."""
    for stage in list(_open.values()):
        if stage._told != stage.done:
            stage._tell(time.monotonic_ns())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@overload
def stage(name: F) -> F: ...  # noqa: D103


@overload
def stage(name: str, total: int | float | None = None) -> Stage: ...  # noqa: D103, F811


def stage(name: Any, total: int | float | None = None) -> Any:  # noqa: F811
    """Return a stage of whatever run or stage we are in; enter it by `with`, or decorate a function with it. Never raises.

    `@flightlog.stage` alone takes the function's name. *total* is how many items it will handle, if known.
    """
    if isinstance(name, property):
        return property(name.fget and stage(name.fget), name.fset, name.fdel, name.__doc__)
    if type(name) is not str and (callable(name) or isinstance(name, (staticmethod, classmethod))):
        return Stage(_name_of(name))(name)
    return Stage(name, total)


def _name_of(function: Any) -> str:
    for one in (function, getattr(function, "__func__", None), getattr(function, "func", None), type(function)):
        name = getattr(one, "__name__", None)
        if isinstance(name, str):
            return name
    return "stage"
