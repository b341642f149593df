"""The hooks that carry where we are into threads and executors of threads. asyncio's tasks inherit it by themselves.

The scope is taken where work is handed over and entered where it begins; where there is none, nothing is done. What is hooked are methods that these libraries
call on themselves, noticed when they are looked up (`noticed`), so that tracebacks stay what they were; a library that has no such method is left alone.
Not covered: a thread begun by `_thread` or by C code: `flightlog.carry`. Owns: these hooks. Loaded wherever the SDK is, so it imports next to nothing.
"""

from __future__ import annotations

from .context import ATTRIBUTE, current
from .noticed import notice
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def install_threads(module: ModuleType) -> None:
    """Install into the module `threading`: a thread belongs to where it was started."""
    thread = module.Thread
    if isinstance(thread, type) and "_bootstrap_inner" in thread.__dict__:
        notice(thread, "_bootstrap", _take)
        notice(thread, "_bootstrap_inner", _enter_thread)


def _take(thing: Any) -> None:
    """Called where something is handed over: keep where we are with it."""
    scope = current.get()
    if scope is not None:
        thing.__dict__[ATTRIBUTE] = scope


def _enter_thread(thread: Any) -> None:
    """Called in the new thread, before anything of the program's."""
    scope = thread.__dict__.pop(ATTRIBUTE, None)
    if scope is not None:
        context = thread.__dict__.get("_context")  # from Python 3.14 on a thread runs in this one
        if context is not None:
            context.run(current.set, scope)
        else:
            current.set(scope)


def install_thread_executor(module: ModuleType) -> None:
    """Install into the module `concurrent.futures.thread`: a call belongs to where it was submitted, whichever thread makes it."""
    item: Any = module._WorkItem
    original = item.__init__

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        try:
            _take(self)
        except Exception:
            recorder.errors += 1

    def enter(self: Any) -> None:
        current.set(self.__dict__.get(ATTRIBUTE))

    if notice(item, "run", enter):
        item.__init__ = __init__
