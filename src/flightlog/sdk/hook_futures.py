"""The hooks into concurrent.futures and multiprocessing.pool: work that failed, and nobody asked for its result.

Such a failure prints nothing and changes no exit status. A future (or a pool's result) counts as asked when the program took its `result`,
`exception`, `get` or `add_done_callback` in hand, which a descriptor notices: no frame of ours is in any traceback. What has failed and was not asked is
stated when the future goes, or when the process ends. Owns: that. Items of `Pool.imap` are not covered: who drops the iterator drops all of them.
Leaves records to `faults`.
"""

from __future__ import annotations

import os
import sys
import types

from . import ending, faults
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

MAX_STATED = 100  # of one process: a broken pool fails thousands at once
_ASKED = "_flightlog_asked"
_failed: dict[int, Any] = {}  # id -> weak reference
_stated = 0


class _Asked:
    """A method that marks its object as asked when it is looked up on it."""

    def __init__(self, function: Any) -> None:
        self._function, self._bind, self._mark = function, types.MethodType, _ASKED
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self._function
        instance.__dict__[self._mark] = True
        return self._bind(self._function, instance)


def _ask(kind: type, *names: str) -> None:
    for name in names:
        if name in kind.__dict__:
            setattr(kind, name, _Asked(kind.__dict__[name]))


def install_futures(module: ModuleType) -> None:
    """Install into the module `concurrent.futures._base`."""
    future = module.Future
    if hasattr(future, "__del__"):
        return  # somebody looks after this already
    _ask(future, "result", "exception", "add_done_callback")
    _remember(future, "set_exception")
    _finish(future, lambda self: self.__dict__.get("_exception"))


def install_pool(module: ModuleType) -> None:
    """Install into the module `multiprocessing.pool`."""
    result = module.ApplyResult
    if hasattr(result, "__del__"):
        return
    _ask(result, "get", "successful")
    _remember(result, "_set")
    for kind in (getattr(module, "MapResult", None),):
        if kind is not None:
            _remember(kind, "_set")
    _finish(result, _of_pool)


def _of_pool(result: Any) -> Any:
    held = result.__dict__
    return held.get("_value") if held.get("_success") is False and held.get("_error_callback") is None else None


def _remember(kind: Any, name: str) -> None:
    """Keep a weak reference to what fails by method *name*, for the end of the process."""
    original: Callable[..., Any] = kind.__dict__[name]

    def remembered(self: Any, *arguments: Any, **named: Any) -> Any:
        result = original(self, *arguments, **named)
        try:
            if _problem_of(self) is not None:
                import weakref

                _failed[id(self)] = weakref.ref(self)
        except Exception:
            recorder.errors += 1
        return result

    remembered.__name__, remembered.__qualname__ = original.__name__, original.__qualname__
    remembered.__doc__, remembered.__module__ = original.__doc__, original.__module__
    setattr(kind, name, remembered)


_looks: dict[type, Callable[[Any], Any]] = {}


def _problem_of(instance: Any) -> BaseException | None:
    """Return the exception that *instance* failed with and nobody asked for; None when there is none."""
    if instance.__dict__.get(_ASKED):
        return None
    for kind, look in _looks.items():
        if isinstance(instance, kind):
            problem = look(instance)
            return problem if isinstance(problem, BaseException) else None
    return None


def _finish(kind: Any, look: Callable[[Any], Any]) -> None:
    """State what has failed when an instance of *kind* goes."""
    if not _looks:
        ending.at_end.append(state_rest)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _looks[kind] = look
    if hasattr(sys, "pypy_version_info"):
        return  # it calls no __del__ that comes later; then only what is still there at the end is stated
    mark, failed, state, own = _ASKED, _failed, _state, recorder

    def __del__(self: Any) -> None:
        try:
            if mark in self.__dict__:
                return
            problem = look(self)
            if problem is not None:
                failed.pop(id(self), None)
                state(problem)
        except Exception:
            own.errors += 1

    kind.__del__ = __del__


def _state(problem: Any) -> None:
    global _stated
    _stated += 1
    if isinstance(problem, BaseException) and _stated <= MAX_STATED:
        faults.state("worker", problem, None, "", "nobody asked for the result of work that failed: ")


def state_rest() -> None:
    """State what has failed and is still there, at the end of the process."""
    for reference in list(_failed.values()):
        instance = reference()
        problem = _problem_of(instance) if instance is not None else None
        if problem is not None:
            instance.__dict__[_ASKED] = True  # so that it is not stated again when it goes
            _state(problem)
    _failed.clear()


def _after_fork() -> None:
    """What had failed before the fork is the parent's to state."""
    for reference in list(_failed.values()):
        instance = reference()
        if instance is not None:
            instance.__dict__[_ASKED] = True
    _failed.clear()
