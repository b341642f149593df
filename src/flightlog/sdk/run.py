"""Runs: one execution of a pipeline, as a context manager (also of `async with`) and as a decorator.

    with flightlog.run("orders-etl", day="2026-11-22") as run: ...

Owns: identity (DESIGN D21): the first run in a supervised command's own process adopts the run that `flightlog run` made; later and
nested ones are children with `parent`; without supervision a run is `attached`. The exception that ends a run is recorded and goes on.
Leaves what a run was made of to `provenance`, traces to `traceparent`, figures to `figures`.
"""

from __future__ import annotations

import os
import time

from .. import identity, records
from . import figures
from . import traceparent as traces
from .context import Scope, current, leave, within
from .progress import finite
from .recorder import handed_on, program_name, recorder, run_data
from .resumable import Resumable
from .stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Any, Callable, TypeVar, overload

    F = TypeVar("F", bound=Callable[..., Any])
else:

    def overload(function):  # noqa: D103
        return function


_adopted = False


class Run(Resumable):
    """One execution. Enter it once; its id is known from then on. One that decorates a function is entered anew by each call.

    Attributes:
        pipeline: the name it runs under.
        id: ULID, 26 characters; empty before it is entered.
        parent: the run around it, or empty.
        attempt: the how-manieth try of the same work it is; of a run that `flightlog run` made, the command line knows better.
        origin: the run that was the first try; empty for a first try. Of a run that resumes another one, both are known once it is entered.
        resume: it is to go on with what the latest try has left.
    """

    def __init__(
        self,
        pipeline: str,
        params: dict[str, Any] | None = None,
        attempt: int = 1,
        origin: str = "",
        traceparent: str = "",
        resume: bool = False,
    ) -> None:
        self.pipeline = pipeline if type(pipeline) is str else records.safe_text(pipeline)
        self.params = params or {}
        self.id = ""
        self.parent = ""
        self.attempt = attempt if type(attempt) is int and attempt > 0 else 1
        self.origin = origin if type(origin) is str and identity.is_ulid(origin) else ""
        self.resume = resume
        self._trace = traceparent
        self._adopts = False
        self._began = self._pid = self._numbered = 0
        self._outermost = self._open = False
        self._before: Scope | None = None
        self._scope: Scope | None = None
        self._token: Token[Scope | None] | None = None

    def __enter__(self) -> Run:
        try:
            if self._open:
                from . import telling

                telling.warn(
                    "run %s was entered a second time before it had ended: what it keeps and how it ends is mixed up; make a flightlog.run() for each"
                    % self.pipeline,
                    self.id,
                )
            self._begin()
            self._open = True
        except Exception:
            recorder.errors += 1
        return self

    def _begin(self) -> None:
        global _adopted
        from . import attach, provenance

        attach.install()
        outer = self._before = current.get()
        self._began, self._pid = time.monotonic_ns(), os.getpid()
        self._numbered = recorder.numbered()
        supervised = os.environ.get("FLIGHTLOG_RUN", "")
        if outer is None and not _adopted and os.environ.get("FLIGHTLOG_ADOPT") == "%s:%d" % (supervised, os.getpid()):
            _adopted = self._adopts = True
            self.id = supervised
        else:
            self.id = identity.new_ulid()
            around = outer or handed_on()
            self.parent = around.run if around is not None else supervised
        resumed = self._take_up()
        header = self._trace_of(outer)
        scope = self._scope = Scope(self.id, "", outer)
        self._token = current.set(scope)
        if outer is None and (recorder.scope is None or recorder.scope.run != self.id):
            # Threads that inherit no context belong to the outermost run.
            self._outermost = True
            recorder.scope = scope
        recorder.pipeline = recorder.pipeline or self.pipeline
        more = provenance.facts()
        if header:
            more["traceparent"] = header
        if self._adopts:
            recorder.event(
                records.RUN_ADOPTED, dict(more, pipeline=self.pipeline, params=self.params, **resumed), scope
            )
        else:
            more.update(params=self.params, attempt=self.attempt, origin=self.origin or None)
            recorder.event(records.RUN_STARTED, run_data(self.pipeline, "attached", self.parent, **more), scope)
        self._tell_resumed()

    def _trace_of(self, outer: Scope | None) -> str:
        """Return the header that this run belongs under; empty when it has a trace of its own."""
        header = traces.given(self._trace)
        if not header and outer is not None and traces.foreign(outer.run):
            header = traces.of(outer)
        if header:
            traces.remember(self.id, header)
        return header

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(problem)
            if (
                problem is not None
                and self._outermost
                and not os.environ.get("FLIGHTLOG_RUN")
                and self._scope is not None
            ):
                from . import faults

                faults.passed(problem, trace, self._scope)
        except Exception:
            recorder.errors += 1
        leave(self._token, self._before, self._scope)
        if self._outermost and recorder.scope is not None and recorder.scope.run == self.id:
            recorder.scope = None  # what is logged after the run belongs to the implicit one
            recorder.check_at = 0

    def _end(self, problem: BaseException | None) -> None:
        self._open = False
        ok = problem is None or _is_clean_exit(problem)
        self._let_go(ok)  # before the end is recorded: what is done is not to be resumed
        if os.getpid() != self._pid:  # a forked child goes home through our block: the run is the parent's to end
            figures.flush()
            return
        rows = figures.end_of(self.id)
        data = {
            "status": "ok" if ok else "failed",
            "duration_ns": time.monotonic_ns() - self._began,
            "by": "sdk",
            "cost": recorder.costs(self._numbered),
            "error": None if problem is None else records.exception(problem),
        }
        if rows:
            data["rows"] = rows
        recorder.event(records.RUN_LEFT if self._adopts else records.RUN_ENDED, data, self._scope)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, problem, trace)

    def __call__(self, function: F) -> F:
        """Return *function* with a run of this pipeline and these params around each call; of a generator while it runs, see `decorate`."""
        from .decorate import decorate

        return decorate(function, self._again)  # type: ignore[no-any-return]

    def _again(self) -> Run:
        return Run(self.pipeline, self.params, self.attempt, self.origin, self._trace, self.resume)

    def retry(self) -> Run:
        """Return the next try of the same work: a run of the same pipeline and params with the next attempt, whose origin is the first try."""
        again = self._again()
        again.attempt, again.origin = self.attempt + 1, self.origin or self.id
        return again

    def stage(self, name: str, total: int | float | None = None) -> Stage:
        """Return a stage of this run; enter it by `with`. *total* is how many items it will handle, if known."""
        return Stage(name, total, self._scope)

    def metric(self, name: str, value: float, kind: str = "gauge", unit: str = "") -> None:
        """Record a figure of this run, in the stage that we are in. Never raises, blocks on nothing.

        Calls are summed up in the process and written at most once a second: by the first call after a second without one, with another record a
        second later, at the end of a stage or run, and when the process ends. What was said since is lost by `kill -9`, and nothing else.

        Args:
            name: of the figure, at most 100 characters; a process keeps 1,000 names.
            value: a finite number; anything else is left out, and counted as an error of ours.
            kind: gauge: the newest value holds. counter: values are added up. histogram: values are kept as a distribution, whose
                percentiles are right within 5 %.
            unit: what it is counted in, for people.
        """
        try:
            figures.add(self._where(), name, value, kind, unit)
        except Exception:
            recorder.errors += 1

    def rows(self, read: int = 0, written: int = 0) -> None:
        """Count rows (records, messages: what goes in and comes out) read and written, where no stage does. From any thread; never raises."""
        for name, count in (("rows_read", finite(read)), ("rows_written", finite(written))):
            if count:
                self.metric(name, count, "counter")

    def event(self, name: str, /, **data: Any) -> None:
        """Record that something happened in this run, in the stage that we are in. Durable like any record; never raises.

        *name* is a word of the pipeline's own, at most 100 characters; one that flightlog uses itself is recorded as `user.<name>`.
        """
        try:
            recorder.event(records.user_event(name), data, self._where())
        except Exception:
            recorder.errors += 1

    def _where(self) -> Scope | None:
        return within(self._scope)

    def __repr__(self) -> str:
        return "<flightlog.Run %s %s>" % (self.pipeline, identity.short(self.id))


@overload
def run(pipeline: F) -> F: ...  # noqa: D103


@overload
def run(  # noqa: D103, F811
    pipeline: str = "",
    *,
    resume: bool = False,
    attempt: int = 1,
    origin: str = "",
    traceparent: str = "",
    **params: Any,
) -> Run: ...


def run(  # noqa: F811
    pipeline: Any = "",
    *,
    resume: bool = False,
    attempt: int = 1,
    origin: str = "",
    traceparent: str = "",
    **params: Any,
) -> Any:
    """Return a run of *pipeline* (default: the program's name); enter it by `with`, or decorate a function with it. *params* are recorded with it.

    Never raises. The first run of a command started by `flightlog run` is that command's run.

    Args:
        pipeline: the name to run under.
        resume: go on with what the latest run of the same pipeline and parameters on this node has left, unless that one ended ok: its checkpoints, and
            the items that `track(key=)` remembers.
        attempt: the how-manieth try of the same work this is, from 1; `Run.retry` counts by itself.
        origin: id of the run that was the first try.
        traceparent: the W3C header that this run belongs under; default: the environment's TRACEPARENT.
        params: what this run was asked to do.
    """
    if type(pipeline) is not str and callable(pipeline):
        return Run(_default_name())(pipeline)
    name = pipeline if type(pipeline) is str else "" if pipeline is None else records.safe_text(pipeline)
    return Run(name or _default_name(), params, attempt, origin, traceparent, resume)


def _default_name() -> str:
    return os.environ.get("FLIGHTLOG_PIPELINE") or program_name()


def _is_clean_exit(problem: BaseException) -> bool:
    return isinstance(problem, GeneratorExit) or (isinstance(problem, SystemExit) and problem.code in (None, 0))
