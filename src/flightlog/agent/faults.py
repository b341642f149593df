"""Named points at which a test may kill the agent: FLIGHTLOG_FAULT=<point> or <point>:<how-manieth time>.

Owns: the names. Costs one comparison where nothing is asked for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

POINTS = (
    "after_scan",
    "after_begin",
    "copy_half",
    "after_copy",
    "before_ship_commit",
    "after_ship_commit",
    "before_commit",
    "after_commit",
    "before_unlink",
    "after_unlink",
)
FILE_POINTS = (
    "file_gathered",
    "file_begun",
    "file_half_written",
    "file_written",
    "file_synced",
    "file_before_rename",
    "file_after_rename",
    "file_rotated",
    "file_removed",
    "file_compressed",
)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_wanted, _, _times = os.environ.get("FLIGHTLOG_FAULT", "").partition(":")
_left = int(_times) if _times.isdigit() else 1
_reached: Callable[[], None] = _die


def asked(name: str) -> bool:
    """Tell whether that was asked for at *name*."""
    return name == _wanted


def point(name: str) -> None:
    """Die here by SIGKILL, when that was asked for."""
    global _left
    if name == _wanted:
        _left -= 1
        if _left <= 0:
            _reached()


def arm(name: str, times: int, reached: Callable[[], None]) -> None:
    """Call *reached* at the *times*-th passage of point *name*, once; an empty name disarms. For the simulation, in this process."""
    global _wanted, _left, _reached

    def once() -> None:
        arm("", 0, _die)
        reached()

    _wanted, _left, _reached = name, times, once


def disarm() -> None:
    """Ask for nothing any more."""
    arm("", 0, _die)
