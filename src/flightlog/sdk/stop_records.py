"""What is put on record when a program is asked to stop: who asked, what became of its callbacks, who replaced the handler.

Owns: the words, under the logger `flightlog.signals`, and the evidence line `signal`. Leaves when to say them to `signals` and `attendant`. Nothing here is
called in a signal handler, but for the one that ends the process. Never raises.
"""

from __future__ import annotations

import os
import signal

from ..journal import evidence
from . import faults
from .cleanup import FAILED, OVERRAN, SKIPPED
from .logger import get_logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from .cleanup import Callback

LOGGER = "flightlog.signals"


def name_of(number: int) -> str:
    """Return a signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def number_of(wanted: int | str) -> int:
    """Return the number of a signal that is named, or numbered; 0 if there is none."""
    try:
        return int(getattr(signal, wanted)) if isinstance(wanted, str) else int(signal.Signals(wanted))
    except (AttributeError, ValueError, TypeError):
        return 0


def describe(handler: Any) -> str:
    """Return what `signal.getsignal` returned in words: a dotted name."""
    if handler in (signal.SIG_DFL, signal.SIG_IGN):
        return signal.Handlers(handler).name
    if handler is None:
        return "a handler that was not made by Python"
    module = getattr(handler, "__module__", None) or type(handler).__module__
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    return "%s.%s" % (module, name)


def asked(name: str, count: int) -> None:
    """Say that signal *name* came as the *count*-th; who sent it is not known to a handler made in Python."""
    path = faults.evidence or os.environ.get(evidence.VARIABLE, "")
    evidence.note(path, "signal", signal=name, sender_pid=None, sender_uid=None, count=count)
    get_logger(LOGGER).warning("asked to stop", signal=name, count=count)


def callbacks(found: Sequence[Callback], said: set[str]) -> None:
    """Say what became of callbacks, if that is not what was to be hoped; each once."""
    log = get_logger(LOGGER)
    for callback in found:
        if callback.name in said or callback.outcome not in (FAILED, OVERRAN, SKIPPED):
            continue
        said.add(callback.name)
        if callback.outcome == OVERRAN:
            log.error("cleanup overran its deadline", callback=callback.name, deadline_s=callback.deadline)
        elif callback.outcome == SKIPPED:
            log.warning("cleanup was skipped", callback=callback.name)
        else:
            _failed(callback)


def _failed(callback: Callback) -> None:
    log = get_logger(LOGGER)
    if callback.problem is None:
        log.error("cleanup could not be called", callback=callback.name)
        return
    try:
        raise callback.problem
    except BaseException:
        log.exception("cleanup failed", callback=callback.name)


def replaced(found: dict[str, str], said: set[str]) -> None:
    """Say who replaced our handlers, each once."""
    for name, by in found.items():
        if name not in said:
            said.add(name)
            get_logger(LOGGER).warning("signal handler was replaced", signal=name, by=by)


def problem(text: str) -> None:
    """Say what could not be done as asked."""
    get_logger(LOGGER).warning("signal handling is not as asked", problem=text)
