"""What the injected sitecustomize starts: as little as possible, before the program's first line.

Owns: the order. Streams first, because the program may keep a reference to them; then one finder that waits for the first logging
library. The rest of the SDK loads only then: an eager import would cost every Python child some 20 ms. Never raises.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAITS_FOR = frozenset(("logging", "structlog", "loguru"))


class _Doorbell:
    """A finder that finds nothing: it installs the SDK when a logging library is first asked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Install the SDK's hooks, whose own finder then answers; always None."""
        if name in WAITS_FOR:
            try:
                sys.meta_path.remove(self)
            except ValueError:
                return
            install()
            if name == "logging":
                return
            finder = sys.meta_path[0]
            _ = finder


def install() -> None:
    """Install the SDK. Never raises."""
    try:
        from . import attach

        attach.install()
    except Exception:  # nothing is known to count it in yet; the program goes on unmonitored
        pass


def start() -> None:
    """Begin."""
    if os.environ.get("FLIGHTLOG_CAPTURE"):
        from . import streams

        streams.install()
    if "logging" in sys.modules:
        install()
    else:
        sys.meta_path.insert(0, _Doorbell())
