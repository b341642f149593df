"""A method that is noticed when it is looked up on an object: what a hook needs to know is taken, and no frame of ours is in any traceback.

Owns: this descriptor. `Noticed(function, notice)` stands in a class in place of *function*: looking it up on an instance calls `notice(instance)` and
gives the method that was there. Leaves what is taken to the hooks; a notice must not raise, whatever it meets.
"""

from __future__ import annotations

import types

from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class Noticed:
    """See the module. On the class itself it is the plain function."""

    def __init__(self, function: Any, notice: Callable[[Any], None]) -> None:
        self._function, self._notice, self._bind, self._own = function, notice, types.MethodType, recorder
        self.__wrapped__ = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self._function
        try:
            self._notice(instance)
        except Exception:  # what is no Exception comes from outside
            self._own.errors += 1
        return self._bind(self._function, instance)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function, for those who take it out of the class's dictionary."""
        return self._function(*arguments, **named)


def notice(kind: type, name: str, what: Callable[[Any], None]) -> bool:
    """Have *what* called with each instance of *kind* on which its own method *name* is looked up; tell whether there is such a method."""
    function = kind.__dict__.get(name)
    if not isinstance(function, types.FunctionType):
        return False  # another library than we know, or somebody else was here
    setattr(kind, name, Noticed(function, what))
    return True
