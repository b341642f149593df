"""What `warnings` prints itself, what it does not print, and what a function of the program's own prints."""

import sys
import warnings


def work():
    warnings.warn("old")
    warnings.warn("gone soon", DeprecationWarning, stacklevel=2)
    warnings.warn(SyntaxWarning("two\nlines"))


work()
print("between", flush=True)
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    warnings.warn("collected")
print(len(found))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    warnings.warn("ignored")
warnings.showwarning("to another stream", RuntimeWarning, "file.py", 3, sys.stdout)
warnings.showwarning("asked for", RuntimeWarning, "file.py", 3)
warnings.formatwarning = lambda message, category, *rest: "%s! %s\n" % (category.__name__, message)
warnings.warn("own format")
warnings.showwarning = lambda message, *rest, **named: print("own:", message)
warnings.warn("own function")
