"""What the injected sitecustomize starts: as little as possible, before the program's first line.

Owns: the order. Streams first, because the program may keep a reference to them; faulthandler, which knows no later; then the SDK, at once in the
command's own process, of which it is told how it ends, and where `logging` is loaded already; in every other Python that the command starts, of which
there may be thousands, when it imports the first library that is hooked, or dies of an exception that nobody caught. What hooks into a library loads
when that library does. Never raises.
"""

from __future__ import annotations

import os
import sys

from .. import bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARIES = frozenset(("logging", "structlog", "loguru"))
# What else is hooked, by the package, and what is loaded where there are threads, children, warnings: there the SDK is wanted where evidence is kept.
HOOKED = LIBRARIES | frozenset(
    ("asyncio", "concurrent", "multiprocessing", "rich", "subprocess", "threading", "tqdm", "warnings")
)
if sys.version_info < (3, 10):  # its callbacks' exceptions reach no hook of Python's
    HOOKED |= {"atexit"}


class _Loaded:
    """Loads a module that is there: it stays the one it is."""

    def __init__(self, module: Any) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: Any) -> Any:
        """Return it."""
        return self._module

    def exec_module(self, module: Any) -> None:
        """Leave it alone, its own spec included."""
        module.__spec__ = self._spec


class _Doorbell:
    """A finder that finds nothing: it installs the SDK when one of *names* is first asked for."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Install the SDK's hooks and answer as their finder does: the import that rang goes past its place in the list."""
        if name not in self._names or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        install()
        module = sys.modules.get(name)
        if module is not None:  # the SDK needs it, too, and has loaded it
            from importlib.util import spec_from_loader

            # Python goes by the spec of a module that came up meanwhile, and would execute it once more.
            module.__spec__ = spec_from_loader(name, _Loaded(module))  # type: ignore[arg-type]
            return module.__spec__
        hooks = sys.modules.get("flightlog.sdk.hooks")
        return hooks._finder.find_spec(name, path, target) if hooks is not None else None


def install() -> None:
    """Install the SDK, in place of what stands in for it. Never raises."""
    try:
        for name, (stand, before) in _stands.items():
            if getattr(sys, name) is stand:
                setattr(sys, name, before)
        with bytecode.careful():
            from . import attach

            attach.install()
    except Exception:  # nothing is known to count it in yet; the program goes on unmonitored
        pass


_stands: dict[
    str, tuple[Any, Any]
] = {}  # name of a hook in sys -> what stands there for the SDK's, who was there before


def _stand_in(name: str) -> None:
    """Let sys.*name*, a hook for exceptions that nobody caught, install the SDK when it is called, and then do what the SDK's own does."""
    before = getattr(sys, name)

    def stand(*arguments: Any) -> Any:
        try:
            hook = chosen(name, stand, before)
        except Exception:  # the interpreter goes down: nothing can be imported any more, names of modules are gone
            hook = before
        return hook(*arguments)

    chosen = _chosen
    stand.__name__ = stand.__qualname__ = name
    _stands[name] = stand, before
    setattr(sys, name, stand)


def _chosen(name: str, stand: Any, before: Any) -> Any:
    attach = sys.modules.get("flightlog.sdk.attach")
    if attach is not None and attach.is_installed():
        return before  # behind the SDK's own hook, which has recorded it
    in_front = getattr(sys, name) is stand
    install()
    if in_front:
        return getattr(sys, name)
    from . import uncaught  # a hook of the program's hands on to us

    return uncaught.HOOKS[name](before)


def _is_the_command() -> bool:
    """Tell whether this is the process that was started as the run's command, and not one of those that it starts."""
    return os.environ.get("FLIGHTLOG_ADOPT") == "%s:%d" % (os.environ.get("FLIGHTLOG_RUN", ""), os.getpid())


def start() -> None:
    """Begin; called with `bytecode.careful`."""
    if os.environ.get("FLIGHTLOG_CAPTURE"):
        from . import pipes

        pipes.install()
    evidence = os.environ.get("FLIGHTLOG_EVIDENCE")
    if evidence:
        from . import crash

        crash.enable(evidence)
    names = HOOKED if evidence else LIBRARIES
    if (evidence and _is_the_command()) or not names.isdisjoint(sys.modules):
        install()
        return
    sys.meta_path.insert(0, _Doorbell(names))
    if evidence:
        for name in ("excepthook", "unraisablehook"):
            _stand_in(name)
