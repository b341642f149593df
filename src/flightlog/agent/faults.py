"""Named points at which a test may kill the agent: FLIGHTLOG_FAULT=<point> or <point>:<how-manieth time>.

Owns: the names. Costs one comparison where nothing is asked for.
"""

from __future__ import annotations

import os
import signal

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
_wanted, _, _times = os.environ.get("FLIGHTLOG_FAULT", "").partition(":")
_left = int(_times) if _times.isdigit() else 1


def asked(name: str) -> bool:
    """Tell whether that was asked for at *name*."""
    return name == _wanted


def point(name: str) -> None:
    """Die here by SIGKILL, when that was asked for."""
    global _left
    if name == _wanted:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
