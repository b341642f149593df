"""How the keeper begins: `python -I -S keeper.py ARGUMENTS -- COMMAND`, by exec, so that it has the pid its caller knows.

Invariants: whatever is wrong with this installation, the command runs. It is compiled anew at each start, as every script is, and therefore short.
Owns: finding the package, and what is done when it is damaged. Leaves the keeper's work to `supervision`.
"""

from __future__ import annotations

import sys

try:
    import _signal  # type: ignore[import-not-found]

    # Ctrl-C while we load is the command's end, and no traceback of ours.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
except ImportError:
    pass

import os

if __name__ == "__main__" and "flightlog" not in sys.modules:
    # Last, so that nothing beside our package can hide a module of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

try:
    from flightlog import bytecode

    bytecode.guard()
    from flightlog.process.supervision import main
except Exception as broken:  # a Python without ctypes, a damaged installation: the command runs all the same
    if __name__ != "__main__":
        raise
    if "pycache_prefix" not in sys._xoptions:  # once more, from source: only compiled files may be damaged
        from_source = ["-I", "-S", "-B", "-X", "pycache_prefix=" + os.path.join(os.devnull, "none")]
        os.execv(sys.executable, [sys.executable, *from_source, *sys.argv])
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare.py"), encoding="utf-8") as file:
        bare: dict[str, Any] = {}
        exec(compile(file.read(), file.name, "exec"), bare)  # noqa: S102  the package is what is damaged
    why = "this installation is damaged: %s: %s" % (type(broken).__name__, broken)
    bare["run"](sys.argv[sys.argv.index("--") + 1 :], why)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if __name__ == "__main__":
    main(sys.argv[1:])
