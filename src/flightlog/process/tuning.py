"""The settings that a shim heeds while its run goes on: `metrics` and `hang`, of the compiled settings.

Invariants: never raises; what is missing or makes no sense is the default, so that a file of another version changes nothing. Owns: these defaults
(the same as in `config.settings`, held together by a test). Leaves the file to `config.compiled`.
"""

from __future__ import annotations

import os

from ..config import compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Tuning:
    """See the module.

    Attributes:
        interval: seconds between two `metrics` events; 0.0: none.
        after: seconds of silence that make a stall; 0.0: never.
        kill: whether a stalled run is ended.
        kill_after: how many seconds after it was found.
    """

    __slots__ = ("_seen", "after", "interval", "kill", "kill_after")

    def __init__(self) -> None:
        self._seen: Any = None
        self._take({})

    def look(self, path: str) -> None:
        """Take what *path* says, when it has changed since the last look. One stat(2)."""
        try:
            status = os.stat(path)
            seen: Any = (status.st_ino, status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):
            seen = None
        if seen == self._seen:
            return
        self._seen = seen
        found = compiled.read(path) if seen is not None else None
        self._take(found["settings"] if found is not None else {})

    def _take(self, settings: dict[str, Any]) -> None:
        metrics, hang = settings.get("metrics"), settings.get("hang")
        metrics, hang = metrics if isinstance(metrics, dict) else {}, hang if isinstance(hang, dict) else {}
        self.interval = _seconds(metrics.get("interval"), 5.0)
        self.after = _seconds(hang.get("after"), 600.0)
        self.kill = hang.get("kill") is True
        self.kill_after = _seconds(hang.get("kill_after"), 60.0)


def _seconds(value: Any, default: float) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else default
