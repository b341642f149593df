"""What stands before a run is resumed: whether it may be, and its checkpoints laid down where the command looks for them.

Invariants: nothing is started or laid down while the run goes on, or when it ended well. Owns: these guards and the order of steps, for `flightlog resume` and
`flightlog run --resume`. Leaves fetching to `wiring`, files to `sdk.restore`, starting to `run`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import identity
from ..errors import FlightlogError, Refused
from . import output

if TYPE_CHECKING:
    from ..query.checkpoints import Kept, Work
    from ..query.runs import Run

Fetch = Callable[[str], "Kept"]
MOST_NAMED = 32  # lineages in one environment variable


def begin(fetch: Fetch, selector: str, insist: bool) -> dict[str, str]:
    """Fetch what *selector* names and lay it down; return the options of the run that goes on with it. Raises Refused, NotFound, SinkError."""
    kept = fetch(selector)
    must_be_over(kept, insist)
    lay_down(kept)
    return options(kept)


def must_be_over(kept: Kept, insist: bool = False) -> None:
    """Raise Refused when the latest attempt goes on, or has ended well. *insist*: somebody knows that the node of one that seems to go on is gone."""
    from ..sdk import restore

    latest = kept.attempts[-1]
    name = f"{output.brief(latest.pipeline)} {latest.short}"
    if latest.state == "succeeded":
        raise Refused(f"{name} ended well: there is nothing to resume", f"flightlog status {latest.short}")
    if latest.node == identity.node_name():
        if not latest.final and _lives(latest):
            raise Refused(f"{name} still goes on", f"flightlog kill {latest.short}, or wait for its end")
    elif not latest.final and not insist:
        raise Refused(
            f"as far as is known {name} still goes on, on node {latest.node}",
            "--yes, if that node or that process is gone for good",
        )
    for work in kept.works:
        if restore.is_busy(work.work, work.origin):
            raise Refused(
                f"a process of this node still works at what {name} began", f"flightlog stacks {latest.short}"
            )


def _lives(run: Run) -> bool:
    start = run.data.get("start")
    return bool(run.pid) and identity.process_alive(run.pid or 0, start if isinstance(start, int) else 0)


def lay_down(kept: Kept) -> int:
    """Put the checkpoints where the SDK of this node looks for them, unless newer ones lie there; return how many lineages were put. Says what cannot be.

    Raises FlightlogError when they cannot be written.
    """
    from ..sdk import restore

    put = 0
    if not kept.works:
        output.note(f"no checkpoint of {kept.attempts[-1].short} is recorded: everything runs again")
    for work in kept.works:
        facts = facts_of(work)
        texts = [(_facts_of(value), value.text) for value in work.values.values()]
        try:
            done = restore.put(facts, [(more, text) for more, text in texts if text is not None], work.items)
        except (OSError, ValueError) as problem:
            raise FlightlogError(
                f"its checkpoints cannot be written here: {getattr(problem, 'strerror', None) or problem}",
                "see that the spool's directory can be written to",
            ) from problem
        put += done
        for more, text in texts if done else ():
            if text is None:
                output.note(
                    f"checkpoint {output.one_line(str(more['key']))} holds a secret and lies on node {work.node} only:"
                    " it is not resumed from"
                )
    return put


def facts_of(work: Work) -> dict[str, Any]:
    """Return what a lineage's file says of a fetched one."""
    return {
        "work": work.work,
        "origin": work.origin,
        "pipeline": work.pipeline,
        "run": work.run,
        "node": work.node,
        "attempt": work.attempt,
        "code": work.code,
        "inputs": work.inputs,
    }


def _facts_of(value: Any) -> dict[str, Any]:
    return {"key": value.key, "version": value.version, "run": value.run, "attempt": value.attempt}


def next_attempt(kept: Kept) -> int:
    """Return the how-manieth attempt the next one is."""
    return (
        max([run.attempt for run in kept.attempts] + [work.attempt for work in kept.works] + [len(kept.attempts)]) + 1
    )


def options(kept: Kept) -> dict[str, str]:
    """Return the options of the run that goes on."""
    named = list(dict.fromkeys([kept.origin, *(work.origin for work in kept.works)]))[:MOST_NAMED]
    return {
        "origin": kept.origin,
        "attempt": str(next_attempt(kept)),
        "resume": ",".join(named) if kept.works else "",
    }
