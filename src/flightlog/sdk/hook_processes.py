"""The hooks into multiprocessing: a child whose exception is printed and lost, and one that died of a signal.

In the child, `_bootstrap` prints the exception by `traceback.print_exc` and ends with 1: there it is stated, and what is printed is marked. In the
parent, a child that died of a signal nobody of ours sent is put into evidence when its status is read. Owns: that. Leaves records to `faults`.
"""

from __future__ import annotations

import sys

from . import faults, hook_carry, hooks
from .recorder import recorder
from .uncaught import print_marked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_own_file = ""


def install(module: ModuleType) -> None:
    """Install into the module `multiprocessing.process`."""
    global _own_file
    original = module.BaseProcess._bootstrap
    _own_file = original.__code__.co_filename

    def _bootstrap(self: Any, *arguments: Any, **named: Any) -> Any:
        hooks.wait_for("traceback", _traceback)
        hook_carry.enter_process(self)
        code = original(self, *arguments, **named)
        try:
            from . import ending

            for look in ending.at_end:  # a child leaves by os._exit: no atexit callback is called
                look()
        except Exception:
            recorder.errors += 1
        return code

    module.BaseProcess._bootstrap = _bootstrap


def _traceback(module: ModuleType) -> None:
    original = module.print_exc
    if getattr(original, "_flightlog", False):
        return

    def print_exc(*arguments: Any, **named: Any) -> Any:
        n = 0
        try:
            code = sys._getframe(1).f_code
            if code.co_name == "_bootstrap" and code.co_filename == _own_file:
                _, problem, trace = sys.exc_info()
                if problem is not None:
                    n = faults.state("worker", problem, trace, _name())
        except Exception:
            n = 0
        if not n:
            return original(*arguments, **named)
        return print_marked(lambda: original(*arguments, **named), (), n)

    print_exc._flightlog = True  # type: ignore[attr-defined]
    print_exc.__doc__ = original.__doc__
    module.print_exc = print_exc  # type: ignore[attr-defined]


def _name() -> str:
    process = sys.modules.get("multiprocessing.process")
    return str(process.current_process().name) if process is not None else ""


def install_popen(module: ModuleType) -> None:
    """Install into the module `multiprocessing.popen_fork`, whose `poll` reads every child's status."""
    popen: Any = module.Popen
    poll, send = popen.poll, popen._send_signal

    def _send_signal(self: Any, sig: Any) -> Any:
        self._flightlog_sent = True
        return send(self, sig)

    def polled(self: Any, *arguments: Any, **named: Any) -> Any:
        before = self.returncode
        code = poll(self, *arguments, **named)
        try:
            if before is None and code is not None and code < 0 and not getattr(self, "_flightlog_sent", False):
                _died(self.pid, -code)
        except Exception:
            recorder.errors += 1
        return code

    polled.__name__ = "poll"
    popen.poll, popen._send_signal = polled, _send_signal


def _died(pid: int, number: int) -> None:
    import signal

    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "signal %d" % number
    faults.state_text("worker", "ChildProcessError", "multiprocessing child %d died of %s" % (pid, name))
