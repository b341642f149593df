"""Regular expressions that are compiled when first used: most starts of a program need none of them, and would pay milliseconds for all.

Owns: that. Standard library only, Python 3.8.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AnyStr


class _Later:
    __slots__ = ("__dict__", "_flags", "_source")

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> object:
        found = self.__dict__[name] = getattr(re.compile(self._source, self._flags), name)  # asked for once
        return found


def pattern(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what answers like `re.compile(source, flags)`. Safe in threads: two may compile it, to the same end."""
    return _Later(source, flags)  # type: ignore[return-value]
