"""Ending by the signal that was asked for, after everything else that a program does at its end.

Owns: dying by a signal with its default disposition, from any thread; and doing so at exit, after all that atexit holds: what the program
registered before us as well. Leaves why to `signals`. Never raises.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn

FLUSH_SECONDS = 1.0
_owner = 0
_number = 0


def register() -> None:
    """Be called at exit. The earlier the better: what was registered before is called out of turn, by `_run_rest`. Once for each process."""
    global _owner
    if _owner != os.getpid():
        _owner = os.getpid()
        atexit.register(_at_exit)


def arm(number: int) -> None:
    """Let this process end by signal *number* when it ends; 0: not."""
    global _number
    _number = number
    register()


def _at_exit() -> None:
    if _number and _owner == os.getpid():
        try:
            _run_rest()
        except Exception:
            pass
        flush()
        die(_number)


def flush() -> None:
    """Flush Python's own streams, as the interpreter would do after this. May block as long as their readers do."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except Exception:  # closed, replaced, gone, or under way in this very thread
            continue


def flush_soon() -> None:
    """Flush the streams, for at most a second: something else may be writing, or nobody reading."""
    import _thread

    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        flush()
        done.release()

    try:
        _thread.start_new_thread(run, ())
        done.acquire(True, FLUSH_SECONDS)
    except RuntimeError:  # no more threads
        pass


def die(number: int) -> NoReturn:
    """End this process by signal *number*, now."""
    import signal

    try:
        try:
            signal.signal(number, signal.SIG_DFL)
        except ValueError:  # not the main thread
            import ctypes

            ctypes.CDLL(None).signal(number, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    except Exception:
        pass
    os._exit(128 + number)  # the first process of a container cannot kill itself


def before_threads(function: Callable[[], object]) -> None:
    """Have *function* called before the interpreter waits for threads, which may wait for what it does; where Python (3.9) lets us."""
    early = getattr(sys.modules.get("threading"), "_register_atexit", None)
    if early is not None:
        try:
            early(function)
        except RuntimeError:  # it waits already
            pass


def threads_are_left() -> bool:
    """Tell whether the interpreter will wait for threads at its end. For the main thread."""
    threading = sys.modules.get("threading")
    return threading is not None and any(
        not one.daemon and one is not threading.main_thread() for one in threading.enumerate()
    )


def main_thread_has_ended() -> bool:
    """Tell whether the program is over but for other threads, which the interpreter waits for. What is raised there is printed and ignored."""
    threading = sys.modules.get("threading")
    return threading is not None and not threading.main_thread().is_alive()


# -- what atexit holds besides ------------------------------------------------------------------------------------------


class _Asker:
    """Compares equal to the registered functions at some positions, and remembers all: `atexit.unregister` compares with each."""

    def __init__(self, chosen: frozenset[int] = frozenset()) -> None:
        self.found: list[Any] = []
        self._chosen = chosen

    def __eq__(self, other: object) -> bool:
        self.found.append(other)
        return len(self.found) - 1 in self._chosen

    __hash__ = None  # type: ignore[assignment]


def _end() -> None:
    """Stands at the end of the list of what atexit holds."""


def _run_rest() -> None:
    """Call what was registered before us: we are about to die, and atexit would not come to it."""
    atexit.register(_end)
    asker = _Asker()
    atexit.unregister(asker)  # type: ignore[arg-type]
    names = asker.found
    at, end = names.index(_at_exit), len(names) - 1 - names[::-1].index(_end)
    # What was registered after us has been called already.
    done = range(at, len(names)) if end > at else range(at + 1)
    if len(done) < len(names):
        atexit.unregister(_Asker(frozenset(done)))  # type: ignore[arg-type]
        atexit._run_exitfuncs()
