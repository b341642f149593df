"""flightlog's own background processes of one home: its agent and its embedded server, by the notes that they leave there.

A command of the run that looks (`flightlog logs`) may have started them; they serve everybody of the home, and are no part of the run. The notes are read
instead of environments (`FLIGHTLOG_DETACHED`, see `family`): a process that is stuck in a page fault holds up whoever reads its environment, for as long
as it is stuck, and this is asked every second. Invariants: a few small reads; never raises; a note of an agent that has gone names nobody, for its start time stands in it; that of a server
counts for a process called postgres only. Owns: reading the notes. Leaves writing them to `agent.door` and PostgreSQL.
"""

from __future__ import annotations

import json
import os

from . import proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AGENT_NOTE, SERVER_NOTE = "agent.lock", os.path.join("pg", "data", "postmaster.pid")


def is_one(process: proctree.Process, home: str) -> bool:
    """Tell whether a process is the agent of *home*, or its embedded server."""
    if process.name == b"postgres":
        return _server(home) == process.pid
    note = _agent(home)
    return note.get("pid") == process.pid and note.get("start") == process.start


def _agent(home: str) -> dict[str, Any]:
    try:
        note = json.loads(proctree.read(os.path.join(home, AGENT_NOTE)))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _server(home: str) -> int:
    first = proctree.read(os.path.join(home, SERVER_NOTE)).split(b"\n")[0]
    return int(first) if first.isdigit() else 0
