"""The runs that go on on this node, as their processes show: who has FLIGHTLOG_RUN in the environment that it was started with, and who descends from it.

Needs no database, no spool and no agent, and finds what detached itself. What belongs to another user is not seen without being root. Owns: finding
them. Leaves names that people type to `query.selectors`. Never raises.
"""

from __future__ import annotations

import os

from . import proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = {b"FLIGHTLOG_RUN": "run", b"FLIGHTLOG_PIPELINE": "pipeline", b"FLIGHTLOG_SPOOL": "spool"}


class Living:
    """One run.

    Attributes:
        run, pipeline, spool: as the recorder named them to the command.
        processes: by pid, parents before children.
    """

    def __init__(self, run: str, pipeline: str, spool: str) -> None:
        self.run, self.pipeline, self.spool = run, pipeline, spool
        self.processes: dict[int, proctree.Process] = {}


def runs() -> dict[str, Living]:
    """Return the runs that go on here, by id, newest first."""
    found: dict[str, Living] = {}
    roots: dict[str, list[int]] = {}
    for pid in _pids():
        named = _named(pid)
        run = named.get("run", "")
        if run:
            found.setdefault(run, Living(run, named.get("pipeline", ""), named.get("spool", "")))
            roots.setdefault(run, []).append(pid)
    owner = {pid: run for run, pids in roots.items() for pid in pids}
    for run, living in found.items():
        tree = proctree.tree(sorted(roots[run]))
        # A run inside another one has its own processes; those of neither name belong to the nearest one above.
        living.processes = {
            pid: process
            for pid, process in tree.items()
            if not process.dead and owner.get(pid, _above(pid, tree, owner)) == run
        }
    return {run: found[run] for run in sorted(found, reverse=True) if found[run].processes}


def _above(pid: int, tree: dict[int, proctree.Process], owner: dict[int, str]) -> str:
    for _ in range(proctree.MOST):
        process = tree.get(pid)
        if process is None:
            break
        if pid in owner:
            return owner[pid]
        pid = process.ppid
    return ""


def _pids() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        return []


def _named(pid: int) -> dict[str, Any]:
    data = proctree.read("/proc/%d/environ" % pid, 1 << 18)
    if b"FLIGHTLOG_RUN=" not in data:
        return {}
    found = {}
    for item in data.split(b"\0"):
        name, _, value = item.partition(b"=")
        if name in _NAMES:
            found[_NAMES[name]] = value.decode("utf-8", "backslashreplace")
    return found
