"""What flightlog's processes of a home have used that serve all runs: the agent, and the embedded PostgreSQL.

Invariants: CPU seconds never go down while the same processes live; a process that has ended takes its figure with it. Owns: these looks. Leaves
what belongs to one run, keeper and shim, to `pairs`. Never raises.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..agent import door
from ..process import proctree
from ..store import embedded

_TICKS = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """CPU seconds of the agent and of the embedded server; None where there is none."""

    agent_s: float | None
    server_s: float | None

    def since(self, before: Used) -> Used:
        """Return what was used since *before*, all of it where nobody was there then; None where nobody is there now."""
        return Used(_difference(self.agent_s, before.agent_s), _difference(self.server_s, before.server_s))


NOTHING = Used(None, None)


def look(home: str) -> Used:
    """Return what has been used in *home* so far."""
    note = door.holder(home)
    agent = _cpu(int(note["pid"])) if note and note.get("pid") else None
    server = embedded.EmbeddedServer(home).pid
    return Used(agent, _cpu(server) if server else None)


def _cpu(pid: int) -> float | None:
    found = proctree.tree([pid])
    return sum(one.own + one.reaped for one in found.values()) / _TICKS if pid in found else None


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None else max(0.0, now - (before or 0.0))
