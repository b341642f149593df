"""The hook into `code`: what a console of the program's shows goes where that console sends it.

`InteractiveInterpreter` writes tracebacks by its own `write` as long as nobody has replaced `sys.excepthook`, and calls that one else. Our hook is not
to count as a replacement: the text would go to standard error, and what somebody types would be a fault of the run. Owns: that.
Leaves the hook itself to `uncaught`.
"""

from __future__ import annotations

import sys
from types import FunctionType

from . import uncaught

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

METHODS = ("showtraceback", "showsyntaxerror")


def install(code: ModuleType) -> None:
    """Install into the module *code*."""
    for name in METHODS:
        method = code.InteractiveInterpreter.__dict__.get(name)
        if isinstance(method, FunctionType):
            setattr(code.InteractiveInterpreter, name, _by_its_own_way(method))


def _by_its_own_way(method: Any) -> Any:
    def shows(self: Any, *arguments: Any, **named: Any) -> Any:
        ours = sys.excepthook
        before = uncaught.behind(ours)
        if before is not sys.__excepthook__:  # the program has one of its own: theirs is called, as without us
            return method(self, *arguments, **named)
        sys.excepthook = before
        try:
            return method(self, *arguments, **named)
        finally:
            if sys.excepthook is before:
                sys.excepthook = ours

    shows.__name__, shows.__qualname__ = method.__name__, method.__qualname__
    shows.__doc__, shows.__module__ = method.__doc__, method.__module__
    return shows
