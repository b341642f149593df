"""When the program's stack is full: on Python 3.8 and 3.9 that error must not be swallowed.

There the interpreter ends by SIGABRT ("Cannot recover from stack overflow") when a program that has met a RecursionError goes on to call without
going back first. Logging at the end of the stack and swallowing the error would turn it into such a program. So it rises into the program, where the
next call would have raised it anyway; `logging` does the same. Later versions and PyPy know no such end: there it is swallowed and counted.
Owns: the rule. Used as `except Exception as problem: if STACK_ABORTS and must_rise(problem): raise`: where the constant is
false nothing is called, for there may be no room for a call.
"""

from __future__ import annotations

import sys

STACK_ABORTS = sys.version_info < (3, 10) and not hasattr(sys, "pypy_version_info")
NEAR = 200  # frames; the interpreter forgets the error 50 below its limit, and not all of its levels are frames


def must_rise(problem: BaseException) -> bool:
    """Tell whether *problem* says that the program's stack is full, not that some data were too deep."""
    if not isinstance(problem, RecursionError):
        return False
    try:
        sys._getframe(max(0, sys.getrecursionlimit() - NEAR))
    except ValueError:
        return False
    return True
