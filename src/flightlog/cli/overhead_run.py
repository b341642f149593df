"""What flightlog has cost runs, by their own account: a page, a line for `status`, and JSON (docs/reference/cli/overhead.md).

Owns: these words. Leaves the figures to `query.overhead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import NotFound
from . import output
from .choose import open_store, waiting

if TYPE_CHECKING:
    from ..query.overhead import Cost
    from ..query.runs import Run


def show_runs(selectors: tuple[str, ...], form: str, color: str) -> None:
    """Print what each of them has cost. Raises what the store and selectors raise."""
    from ..query import overhead as query
    from ..query import runs as reading_runs
    from ..query.selectors import resolve

    with open_store() as reading:
        found = reading_runs.list_runs(reading.connection, resolve(waiting(reading).catalogue(), selectors))
        pages = [(run, query.gather(reading.connection, run)) for run in found]
    if not pages:
        raise NotFound("the run is not in the store yet", "flightlog agent status")
    if form == "json":
        documents = [as_json(*page) for page in pages]
        output.say(output.json_text(documents[0] if len(documents) == 1 else {"v": 1, "runs": documents}))
        return
    for number, page in enumerate(pages):
        if number:
            output.say()
        _show(*page, paint=output.Paint(color))


def as_json(run: Run, cost: Cost) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    return {
        "v": 1,
        "run": run.run,
        "short": run.short,
        "pipeline": run.pipeline,
        "seconds": round(cost.seconds, 6),
        "share": _rounded(cost.share),
        "process_s": _rounded(cost.process_s),
        "recorder_s": _rounded(cost.recorder_s),
        "agent_s": _rounded(cost.agent_s),
        "calls": cost.calls or None,
    }


def brief(cost: Cost) -> str:
    """Return it as a line of `status`; empty when nothing is known."""
    return "" if cost.share is None else f"{cost.share * 100:.2f} % of one core, by its own account"


def _show(run: Run, cost: Cost, paint: output.Paint) -> None:
    calls = cost.calls
    unknown = "the process has not told (killed, or without the SDK)"
    output.say(f"{paint(output.brief(run.pipeline), 'bold')} {run.short}, {output.duration(cost.seconds)}")
    output.say(f"process    {_part(cost.process_s, cost.seconds, unknown)}")
    if calls.get("samples"):
        output.say(
            f"           {calls.get('calls', 0)} records of {calls.get('mean_bytes', 0)} bytes; a call took {_us(calls, 'mean_ns')} on average "
            f"of {calls['samples']} that were measured, {_us(calls, 'p50_ns')} in the middle, 90 % below {_us(calls, 'p90_ns')}"
        )
    output.say(f"recorders  {_part(cost.recorder_s, cost.seconds, 'it has not ended, or had no keeper and shim')}")
    output.say(f"agent      {_part(cost.agent_s, cost.seconds, 'no agent of its node has told')}")
    output.say(f"together   {brief(cost) or 'unknown'}")


def _part(used: float | None, seconds: float, unknown: str) -> str:
    if used is None:
        return f"unknown: {unknown}"
    share = f", {used / seconds * 100:.2f} % of one core" if seconds > 0 else ""
    return f"{output.duration(used)}{share}"


def _us(calls: dict[str, int], name: str) -> str:
    return f"{calls.get(name, 0) / 1000:.1f} us"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
