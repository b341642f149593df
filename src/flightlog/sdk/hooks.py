"""Post-import hooks: a library's choke point is replaced when the library is imported, or at once if it has been.

Owns: the finder in front of `sys.meta_path` and the table of hooked modules. A hook that fails is counted and leaves the
library as it is. Leaves what a hook does to `hook_*`.
"""

from __future__ import annotations

import sys

from .. import bytecode
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Sequence


def _logging(module: ModuleType) -> None:
    from . import hook_logging, hook_warnings

    hook_logging.install(module)
    hook_warnings.install_logging(module)


def _warnings(module: ModuleType) -> None:
    from . import hook_warnings

    hook_warnings.install(module)


def _rich_console(module: ModuleType) -> None:
    from . import hook_consoles

    hook_consoles.install_rich(module)


def _structlog_base(module: ModuleType) -> None:
    from . import hook_structlog

    hook_structlog.install_base(module)


def _structlog_output(module: ModuleType) -> None:
    from . import hook_structlog

    hook_structlog.install_output(module)


def _loguru_handler(module: ModuleType) -> None:
    from . import hook_loguru

    hook_loguru.install_handler(module)


def _loguru_sinks(module: ModuleType) -> None:
    from . import hook_loguru

    hook_loguru.install_sinks(module)


def _code(module: ModuleType) -> None:
    from . import hook_code

    hook_code.install(module)


def _threading(module: ModuleType) -> None:
    from . import hook_threads, uncaught

    uncaught.install_threads(module)
    hook_threads.install_threads(module)


def _asyncio(module: ModuleType) -> None:
    from . import hook_asyncio

    hook_asyncio.install(module)


def _futures(module: ModuleType) -> None:
    from . import hook_futures

    hook_futures.install_futures(module)


def _pool(module: ModuleType) -> None:
    from . import hook_futures

    hook_futures.install_pool(module)


def _thread_executor(module: ModuleType) -> None:
    from . import hook_threads

    hook_threads.install_thread_executor(module)


def _process_executor(module: ModuleType) -> None:
    from . import hook_carry

    hook_carry.install_process_executor(module)


def _subprocess(module: ModuleType) -> None:
    from . import hook_carry

    hook_carry.install_subprocess(module)


def _tqdm(module: ModuleType) -> None:
    from . import hook_bars, hook_consoles

    hook_bars.install_tqdm(module)
    hook_consoles.install_tqdm(module)


def _rich(module: ModuleType) -> None:
    from . import hook_bars

    hook_bars.install_rich(module)


def _process(module: ModuleType) -> None:
    from . import hook_carry, hook_processes

    hook_processes.install(module)
    hook_carry.install_process(module)


def _popen(module: ModuleType) -> None:
    from . import hook_processes

    hook_processes.install_popen(module)


HOOKS = {
    "logging": _logging,
    "warnings": _warnings,
    "code": _code,
    "threading": _threading,
    "asyncio.base_events": _asyncio,
    "concurrent.futures._base": _futures,
    "concurrent.futures.thread": _thread_executor,
    "concurrent.futures.process": _process_executor,
    "subprocess": _subprocess,
    "multiprocessing.pool": _pool,
    "multiprocessing.process": _process,
    "multiprocessing.popen_fork": _popen,
    "tqdm.std": _tqdm,
    "rich.console": _rich_console,
    "rich.progress": _rich,
    "structlog._base": _structlog_base,
    "structlog._output": _structlog_output,
    "loguru._handler": _loguru_handler,
    "loguru._simple_sinks": _loguru_sinks,
}  # type: dict[str, Callable[[ModuleType], None]]


def apply(name: str, module: ModuleType) -> None:
    """Run the hook of *name* on its module, once. Never raises."""
    hook = _waiting.pop(name, None)
    if hook is not None:
        try:
            with bytecode.careful():
                hook(module)
        except Exception:
            recorder.errors += 1


def cast_module(made: Any) -> ModuleType | None:
    """Name the type of what an unknown loader made."""
    return made  # type: ignore[no-any-return]


class _Loader:
    """Stands for a module's loader until the module has been executed."""

    def __init__(self, name: str, loader: Any) -> None:
        self._name, self._loader = name, loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the real loader decide."""
        return cast_module(self._loader.create_module(spec))

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, give it its own loader back, then hook it."""
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        apply(self._name, module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Finder:
    """Answers only for modules that wait for their hook, with what the other finders find."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that others find, with our loader around theirs."""
        if name not in _waiting:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(name, spec.loader)  # type: ignore[assignment]
                return spec
        return None


_waiting: dict[str, Callable[[ModuleType], None]] = {}
_finder = Finder()


def wait_for(name: str, hook: Callable[[ModuleType], None]) -> None:
    """Run *hook* on the module *name*, now or when it is imported."""
    _waiting[name] = hook
    module = sys.modules.get(name)
    if module is not None:
        apply(name, module)


def install() -> None:
    """Hook what is imported already, and wait for the rest."""
    for name, hook in HOOKS.items():
        _waiting.setdefault(name, hook)
    for name in HOOKS:
        module = sys.modules.get(name)
        if module is not None:
            apply(name, module)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
