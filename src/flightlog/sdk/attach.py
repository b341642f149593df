"""Putting the SDK to work in this process: `flightlog.init()`, and what the injected bootstrap and `run()` do as well.

Owns: that the hooks are installed once and that the process's own run ends at exit. Never raises.
"""

from __future__ import annotations

import atexit

from ..records import LEVEL_NUMBERS
from .recorder import recorder

_installed = _ends = False


def init(pipeline: str = "", level: int | str | None = None) -> None:
    """Attach this process, which nobody needs to supervise, to flightlog.

    From here on `logging`, uncaught exceptions and the native loggers are recorded. Idempotent; never raises; changes no
    level, handler or stream of the program; creates no file until something is recorded.

    Args:
        pipeline: the name to run under; default: the program's.
        level: lowest level that native loggers got afterwards record, a number or a name. `logging` keeps its own levels.
    """
    try:
        if pipeline:
            recorder.pipeline = str(pipeline)
        if level is not None:
            from . import logger

            number = LEVEL_NUMBERS.get(level.upper()) if isinstance(level, str) else int(level)
            if number is not None:
                logger.default_level = number
        install()
    except Exception:
        recorder.errors += 1


def install() -> None:
    """Install the hooks into logging and the exception hooks, now or when their modules are imported."""
    global _installed
    if _installed:
        return
    _installed = True
    from . import crash, ending, hooks, resignal, uncaught

    recorder.also = crash.check
    resignal.register()
    end_at_exit()  # before the others, so that it is called after them
    hooks.install()
    uncaught.install()
    ending.install()


def end_at_exit() -> None:
    """Have the process's own run end when the process does. Idempotent."""
    global _ends
    if not _ends:
        _ends = True
        atexit.register(recorder.close)
