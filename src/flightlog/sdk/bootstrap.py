"""What the injected sitecustomize starts: as little as possible, before the program's first line.

Owns: the order. Streams first, because the program may keep a reference to them; faulthandler, which knows no later; then, where there is
an evidence file, the hooks that overlooked faults and the clean end come by, and without one only a finder that waits for the first
logging library. What hooks into a library loads when that library does. Never raises.
"""

from __future__ import annotations

import os
import sys

from .. import bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAITS_FOR = frozenset(("logging", "structlog", "loguru"))


class _Doorbell:
    """A finder that finds nothing: it installs the SDK when a logging library is first asked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Install the SDK's hooks and answer as their finder does: the import that rang goes past its place in the list."""
        if name not in WAITS_FOR or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        install()
        hooks = sys.modules.get("flightlog.sdk.hooks")
        return hooks._finder.find_spec(name, path, target) if hooks is not None else None


def install() -> None:
    """Install the SDK. Never raises."""
    try:
        with bytecode.careful():
            from . import attach

            attach.install()
    except Exception:  # nothing is known to count it in yet; the program goes on unmonitored
        pass


def start() -> None:
    """Begin; called with `bytecode.careful`."""
    if os.environ.get("FLIGHTLOG_CAPTURE"):
        from . import pipes

        pipes.install()
    evidence = os.environ.get("FLIGHTLOG_EVIDENCE")
    if evidence:
        from . import crash

        crash.enable(evidence)
    if evidence or "logging" in sys.modules:
        install()
    else:
        sys.meta_path.insert(0, _Doorbell())
