"""The hook into asyncio: what reaches an event loop's exception handler is nobody's error any more.

Owns: `BaseEventLoop.call_exception_handler`, chained: tasks and futures whose exception nobody retrieved, callbacks and transports that failed.
asyncio logs these itself, by `logging`, where they become records like any other; one is made here only when that did not happen (a handler
of the program's own, a logger that is switched off). Each is put into evidence. Leaves records to `faults`.
"""

from __future__ import annotations

from . import faults
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def install(module: ModuleType) -> None:
    """Install into the module `asyncio.base_events`."""
    from . import hook_logging

    loop = module.BaseEventLoop
    original = loop.call_exception_handler
    dispatch, note, describe = hook_logging.dispatch, _note, _describe
    own = recorder

    def call_exception_handler(self: Any, context: Any) -> Any:
        problem = context.get("exception") if isinstance(context, dict) else None
        if not isinstance(problem, BaseException):
            return original(self, context)
        dispatch.expected = problem
        try:
            return original(self, context)
        finally:
            recorded = dispatch.expected is not problem
            dispatch.expected = None
            try:
                note(problem, describe(context), recorded)
            except Exception:
                own.errors += 1
            del problem, context

    loop.call_exception_handler = call_exception_handler


def _describe(context: dict[str, Any]) -> str:
    task = context.get("task") or context.get("future")
    name = getattr(task, "get_name", None)
    return str(name()) if callable(name) else ""


def _note(problem: BaseException, name: str, recorded: bool) -> None:
    if not recorded:
        faults.state("asyncio", problem, None, name)
        return
    from .. import records

    faults.note("asyncio", records.exception(problem), name)
