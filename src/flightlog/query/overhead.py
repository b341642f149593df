"""What flightlog has cost one run, by its own account: in the pipeline's own process, in keeper and shim, and the agent's share.

Of the process: calls times the mean of those that were measured, one a second (`sdk.cost`), as its end tells it; not known of a process that was killed. Of
keeper and shim: their CPU time. Of the agent: its CPU time for each row that it has shipped since it began, times the run's lines; not known where
it has not beaten yet. Owns: this sum. Leaves measuring a command with and without to `ops.pairs`, words to `cli.overhead`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..store.db import Connection
from .ask import ask
from .runs import Run


@dataclass(frozen=True)
class Cost:
    """Seconds, and what they were made of; None where that is not known.

    Attributes:
        seconds: that the run took, or takes so far.
        process_s, recorder_s, agent_s: CPU seconds.
        calls: {"calls", "samples", "mean_bytes", "mean_ns", "p50_ns", "p90_ns", "max_ns"} of the command's own process; empty when it told none.
    """

    seconds: float
    process_s: float | None
    recorder_s: float | None
    agent_s: float | None
    calls: dict[str, int]

    @property
    def share(self) -> float | None:
        """All that is known, of one core for the time of the run; None when nothing is."""
        known = [one for one in (self.process_s, self.recorder_s, self.agent_s) if one is not None]
        return sum(known) / self.seconds if known and self.seconds > 0 else None


def gather(connection: Connection, run: Run) -> Cost:
    """Return what is known of *run*."""
    end = run.data.get("end") or {}
    calls = {name: value for name, value in _object(end.get("cost")).items() if type(value) is int}
    process = calls["calls"] * calls["mean_ns"] / 1e9 if {"calls", "mean_ns"} <= set(calls) else None
    recorder = end.get("recorder_s")
    agent = None
    for cpu, rows in ask(connection, "overhead", "agent", node=run.node):
        if cpu is not None and rows:
            agent = cpu / rows * run.lines
    return Cost(run.seconds, process, recorder if isinstance(recorder, (int, float)) else None, agent, calls)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
