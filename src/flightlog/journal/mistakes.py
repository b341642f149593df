"""Which exceptions a logging call keeps to itself, and which rise into the program.

A logging call swallows its own mistakes and nothing else. Whatever else is raised while it runs comes from the program: a signal handler's TimeoutError or
sys.exit, an exception that another thread set. Swallowed, a timeout would never come. Where code of the program runs on our behalf (`repr`, `str`, `getMessage`
of what it logs), its exceptions are caught on the spot, and only there.

One of our own rises as well: on Python 3.8 and 3.9 the interpreter ends by SIGABRT ("Cannot recover from stack overflow") when a program that has met a
RecursionError goes on to call without going back first, and logging at the end of the stack would turn it into such a program. The next
call would have raised it anyway; `logging` does the same.
Owns: the rule. Used as `except MISTAKES as problem: if STACK_ABORTS and must_rise(problem): raise`: where the constant is
false nothing is called, for there may be no room for a call.
"""

from __future__ import annotations

import sys

# What our code can raise. Not OSError: files are handled where they are touched, and a TimeoutError is most often the program's.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
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
