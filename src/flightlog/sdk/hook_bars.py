"""The hooks into tqdm and rich: a bar that a program draws is progress, without a line of its code changed.

tqdm's `refresh` and `close`, rich's `Progress.update`, `advance` and `stop` are noticed (`noticed`): nothing is drawn, drawn otherwise or drawn less. What a bar says is
recorded where it was made, under its description, at most twice a second, and its last state when it is closed; of many short bars of one description the last
one of each half second, and the last of all at the end of the process. A captured bar stands in the log as one line besides (`agent.bars`): that is output, this is progress.
A bar that is disabled counts nothing, so nothing is known. Owns: these hooks. Never raises.
"""

from __future__ import annotations

import itertools
import time

from .. import records
from . import ending
from .context import current
from .noticed import notice
from .progress import EVERY_NS
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Dict, Tuple

    from .context import Scope

    Key = Tuple[Any, str]  # scope, description
    Data = Dict[str, Any]

MAX_WORDS = 200  # characters of a description
MAX_TASKS = 20  # of one rich display told at once
MAX_KEYS = 256  # descriptions remembered
_ATTRIBUTE = "_flightlog_bar"
_clock = time.monotonic_ns
_next_number = itertools.count(1).__next__
_told_at: dict[Key, int] = {}  # when something was recorded under a description last
_pending: dict[Key, tuple[Scope | None, Data]] = {}  # ends that came too soon after


class _Bar:
    """What is known of one bar."""

    __slots__ = ("began", "number", "scope", "told", "told_at")

    def __init__(self) -> None:
        self.scope = current.get()
        self.began = self.told_at = _clock()
        self.number = "b%d" % _next_number()
        self.told: Any = None  # how much was done when it was recorded last

    def tell(self, now: int, words: object, done: Any, total: Any, unit: object, closed: bool) -> None:
        """Record its state, if it is time."""
        name = records.safe_text(words, MAX_WORDS).strip().rstrip(":").rstrip() if words else ""
        data = {"bar": name, "id": self.number, "done": _number(done), "total": _number(total)}  # type: Data
        data["elapsed_ns"] = now - self.began
        if unit and unit != "it":
            data["unit"] = records.safe_text(unit, 20)
        if closed:
            data["closed"] = True
        key = (self.scope, name)
        if self.told is None and closed and now - _told_at.get(key, -EVERY_NS) < EVERY_NS:
            if len(_pending) < MAX_KEYS or key in _pending:
                _pending[key] = (self.scope, data)
            return
        _pending.pop(key, None)
        if len(_told_at) >= MAX_KEYS:
            _told_at.clear()
        _told_at[key] = self.told_at = now
        self.told = done
        recorder.event(records.PROGRESS, data, self.scope)


def _number(value: Any) -> int | float | None:
    if value is None or type(value) in (int, float):
        return value  # type: ignore[no-any-return]
    try:
        return float(value)
    except Exception:  # an object of the program's own
        return None


def _told_rest() -> None:
    """Record the ends that are still owed, at the end of the process."""
    for scope, data in list(_pending.values()):
        recorder.event(records.PROGRESS, data, scope)
    _pending.clear()


def _at_end() -> None:
    if _told_rest not in ending.at_end:
        ending.at_end.append(_told_rest)


# -- tqdm -----------------------------------------------------------------------------------------------------------------


def install_tqdm(module: ModuleType) -> None:
    """Install into the module `tqdm.std`, whose class the others are made of."""
    kind = module.tqdm
    if notice(kind, "refresh", _refreshed) and notice(kind, "close", _closed):
        _at_end()


def _refreshed(bar: Any) -> None:
    if bar.__dict__.get("disable", True):
        return
    state = bar.__dict__.get(_ATTRIBUTE)
    if state is None:
        bar.__dict__[_ATTRIBUTE] = _Bar()
        return
    now = _clock()
    if now - state.told_at >= EVERY_NS:
        state.tell(now, bar.desc, bar.n, bar.total, bar.unit, False)


def _closed(bar: Any) -> None:
    if bar.__dict__.get("disable", True):
        return
    state = bar.__dict__.get(_ATTRIBUTE) or _Bar()
    state.tell(_clock(), bar.desc, bar.n, bar.total, bar.unit, True)


# -- rich -----------------------------------------------------------------------------------------------------------------


def install_rich(module: ModuleType) -> None:
    """Install into the module `rich.progress`."""
    kind = module.Progress
    if notice(kind, "stop", _stopped):
        notice(kind, "update", _moved)
        notice(kind, "advance", _moved)
        _at_end()


def _moved(display: Any) -> None:
    """Called before each step; the clock is read, and twice a second the tasks are looked at."""
    state = display.__dict__.get(_ATTRIBUTE)
    if state is None:
        state = display.__dict__[_ATTRIBUTE] = [_clock(), current.get(), {}]
    now = _clock()
    if now - state[0] >= EVERY_NS:
        state[0] = now
        _tell_tasks(display, state, now, False)


def _stopped(display: Any) -> None:
    state = display.__dict__.pop(_ATTRIBUTE, None)
    if state is not None:
        _tell_tasks(display, state, _clock(), True)


def _tell_tasks(display: Any, state: Any, now: int, closed: bool) -> None:
    _, scope, bars = state
    moved = []
    for number, task in list(display._tasks.items()):  # not `tasks`, which takes a lock
        bar = bars.get(number)
        if bar is None:
            bar = bars[number] = _Bar()
            bar.scope = scope
        if closed or (bar.told != task.completed and not (bar.told is None and not task.completed)):
            moved.append((bar, task))
    for bar, task in moved[: MAX_TASKS * (5 if closed else 1)]:
        bar.tell(now, task.description, task.completed, task.total, None, closed)
