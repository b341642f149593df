"""Runs: one execution of a pipeline, as a context manager.

    with flightlog.run("orders-etl", day="2026-11-22") as run: ...

Owns: identity (DESIGN D21): the first run in a supervised command's own process adopts the run that `flightlog run` made; later and
nested ones are children with `parent`; without supervision a run is `attached`. The exception that ends a run is recorded and goes on.
"""

from __future__ import annotations

import os
import time

from .. import identity, records
from .context import Scope, current
from .recorder import program_name, recorder, run_data
from .stage import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import Any

_adopted = False


class Run:
    """One execution. Enter it once; its id is known from then on.

    Attributes:
        pipeline: the name it runs under.
        id: ULID, 26 characters; empty before it is entered.
        parent: the run around it, or empty.
    """

    def __init__(self, pipeline: str, params: dict[str, Any] | None = None) -> None:
        self.pipeline = pipeline
        self.params = params or {}
        self.id = ""
        self.parent = ""
        self._adopts = False
        self._began = 0
        self._outermost = False
        self._token: Token[Scope | None] | None = None

    def __enter__(self) -> Run:
        try:
            self._begin()
        except Exception:
            recorder.errors += 1
        return self

    def _begin(self) -> None:
        global _adopted
        from . import attach

        attach.install()
        outer = current.get()
        self._began = time.monotonic_ns()
        supervised = os.environ.get("FLIGHTLOG_RUN", "")
        if outer is None and not _adopted and os.environ.get("FLIGHTLOG_ADOPT") == "%s:%d" % (supervised, os.getpid()):
            _adopted = self._adopts = True
            self.id = supervised
        else:
            self.id = identity.new_ulid()
            self.parent = outer.run if outer is not None else supervised
        scope = Scope(self.id)
        self._token = current.set(scope)
        if outer is None and (recorder.scope is None or recorder.scope.run != self.id):
            # Threads that inherit no context belong to the outermost run.
            self._outermost = True
            recorder.scope = scope
        recorder.pipeline = recorder.pipeline or self.pipeline
        if self._adopts:
            recorder.event(records.RUN_ADOPTED, {"pipeline": self.pipeline, "params": self.params}, scope)
        else:
            data = run_data(self.pipeline, "attached", self.parent, params=self.params)
            recorder.event(records.RUN_STARTED, data, scope)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(problem)
        except Exception:
            recorder.errors += 1

    def _end(self, problem: BaseException | None) -> None:
        scope = Scope(self.id)
        data = {
            "status": "ok" if problem is None or _is_clean_exit(problem) else "failed",
            "duration_ns": time.monotonic_ns() - self._began,
            "by": "sdk",
            "error": None if problem is None else records.exception(problem),
        }
        recorder.event(records.RUN_LEFT if self._adopts else records.RUN_ENDED, data, scope)
        if self._token is not None:
            try:
                current.reset(self._token)
            except ValueError:  # left in another context than entered
                current.set(None)
        if self._outermost and recorder.scope is not None and recorder.scope.run == self.id:
            recorder.scope = None  # what is logged after the run belongs to the implicit one
            recorder.check_at = 0

    def stage(self, name: str, total: int | None = None) -> Stage:
        """Return a stage of this run; enter it by `with`. *total* is how many items it will handle, if known."""
        return Stage(name, total)

    def __repr__(self) -> str:
        return "<flightlog.Run %s %s>" % (self.pipeline, identity.short(self.id))


def run(pipeline: str = "", **params: Any) -> Run:
    """Return a run of *pipeline* (default: the program's name); enter it by `with`. *params* are recorded with it.

    Never raises. The first run of a command started by `flightlog run` is that command's run.
    """
    return Run(pipeline or os.environ.get("FLIGHTLOG_PIPELINE") or program_name(), params)


def _is_clean_exit(problem: BaseException) -> bool:
    return isinstance(problem, GeneratorExit) or (isinstance(problem, SystemExit) and problem.code in (None, 0))
