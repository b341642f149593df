"""`flightlog overhead`: what flightlog costs a command, measured with and without and held against a limit; or has cost a run, by its own account.

Owns: the options, the page of a measurement and its JSON (docs/reference/cli/overhead.md), progress on standard error. Leaves measuring to `ops.pairs`, runs
to `overhead_run`.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from .. import identity
from ..errors import FlightlogError, UsageError
from . import output
from .choose import runs_argument

if TYPE_CHECKING:
    from ..ops.pairs import Pairs
    from ..ops.ratio import Ratio

SHIPPED_SECONDS = 30.0  # at most, for an agent to ship what was recorded: its work belongs to the cost


class OfBoth(click.Command):
    """A command whose arguments are runs; what stands behind `--` is a command to be measured."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set aside what stands behind `--`."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["command"] = args[:at], tuple(args[at + 1 :])
        return super().parse_args(ctx, args)


@click.command(cls=OfBoth, short_help="Show what flightlog costs a run, or a command.")
@click.option("--rounds", type=click.IntRange(3, 1000), default=10, show_default=True, help="How many pairs, at most.")
@click.option(
    "--seconds", type=click.FloatRange(1.0), default=600.0, show_default=True, help="Begin no pair after so long."
)
@click.option(
    "--limit",
    type=click.FloatRange(0.01, 1e9),
    default=2.0,
    show_default=True,
    help="Per cent of wall time that it may cost.",
)
@click.option(
    "-n",
    "--pipeline",
    metavar="NAME",
    default="overhead",
    show_default=True,
    help="Name of the pipeline with flightlog.",
)
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@output.color_option
@runs_argument
@click.pass_context
def overhead(
    ctx: click.Context,
    selectors: tuple[str, ...],
    rounds: int,
    seconds: float,
    limit: float,
    pipeline: str,
    form: str,
    color: str,
) -> None:
    """Show what flightlog has cost RUN; or run the command behind -- with and without it, in turn, and tell the ratio with its confidence interval.

    The command is executed two times in each round, and twice more at the beginning: it must do the same work each time. Its output goes nowhere.
    Exit 0 when the whole interval lies below the limit, else 1.

    \b
    Examples:
      flightlog overhead orders
      flightlog overhead -- python pipeline.py
      flightlog overhead --rounds 30 --limit 1 -- ./load.sh --dry-run
      flightlog overhead -o json -- python pipeline.py | jq .wall.high
    """
    command = ctx.meta.get("command", ())
    if bool(command) == bool(selectors):
        raise UsageError(
            "which run, or which command?", "flightlog overhead PIPELINE, or flightlog overhead -- COMMAND"
        )
    if limit != limit:  # not a number passes any range
        raise UsageError("--limit is no number", "flightlog overhead --limit 2 -- COMMAND")
    if selectors:
        from .overhead_run import show_runs

        show_runs(selectors, form, color)
        return
    _measure(command, rounds, seconds, limit, pipeline, form, color)


def _measure(
    command: tuple[str, ...], rounds: int, seconds: float, limit: float, pipeline: str, form: str, color: str
) -> None:
    """Measure, print, and exit."""
    from ..ops.pairs import Bench
    from ..ops.ratio import BELOW, of_pairs

    if pipeline.startswith("-"):
        raise UsageError(f"--pipeline needs a name, and got {pipeline}", "flightlog overhead -n NAME -- COMMAND")
    bound = 1.0 + limit / 100.0
    with tempfile.TemporaryDirectory(prefix="flightlog-overhead-") as folder:
        bench = Bench(command, pipeline, folder, identity.home(), _await_shipping)
        found = bench.measure(rounds, seconds, lambda number, so_far: _progress(number, rounds, so_far))
    if not found.wall():
        raise FlightlogError("not one pair was measured within the time", f"--seconds {seconds * 10:g}")
    wall = of_pairs(found.wall())
    own = of_pairs(found.own()) if found.own() else None
    document = as_json(found, wall, own, bound, command)
    if form == "json":
        output.say(output.json_text(document))
    else:
        _show(document, output.Paint(color))
    sys.exit(0 if wall.against(bound) == BELOW else 1)


def _progress(number: int, rounds: int, so_far: Pairs) -> None:
    """Say how far it is, for people who wait."""
    from ..ops.ratio import of_pairs

    if not sys.stderr.isatty():
        return
    if not number:
        output.note(f"pair 0 of {rounds}, thrown away: {so_far.seconds:.1f}s")
        return
    wall = of_pairs(so_far.wall())
    output.note(f"pair {number} of {rounds}: {_ratio_text(_ratio(wall))}, {output.duration(so_far.seconds)} so far")


def _await_shipping() -> None:
    """Wait until what was recorded is in the store, for at most half a minute; where there is none, not at all."""
    from .. import wiring
    from ..agent import door

    deadline = time.monotonic() + SHIPPED_SECONDS
    try:
        while door.holder(identity.home()) and wiring.database_waits() and time.monotonic() < deadline:
            time.sleep(0.2)
    except FlightlogError as problem:
        output.note(f"Warning: {problem.message}; the agent's share is not all in it")


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "ratio": round(ratio.value, 5),
        "low": round(ratio.low, 5) if ratio.low else None,
        "high": round(ratio.high, 5) if math.isfinite(ratio.high) else None,
        "pairs": ratio.pairs,
    }


def as_json(found: Pairs, wall: Ratio, own: Ratio | None, bound: float, command: tuple[str, ...]) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    with_s = sum(one.wall_s for one in found.with_us)
    recorders = sum(one.recorder_s for one in found.with_us)
    used = found.used()
    return {
        "v": 1,
        "command": list(command),
        "verdict": wall.against(bound),
        "limit": round(bound, 5),
        "wall": _ratio(wall),
        "cpu": _ratio(own) if own else None,
        "without_s": [round(one.wall_s, 4) for one in found.without],
        "with_s": [round(one.wall_s, 4) for one in found.with_us],
        "recorders_share": _share(recorders, with_s),
        "agent_share": _share(used.agent_s, with_s),
        "server_share": _share(used.server_s, with_s),
        "seconds": round(found.seconds, 3),
    }


def _share(used: float | None, seconds: float) -> float | None:
    return None if used is None else round(used / max(seconds, 1e-9), 5)


def _ratio_text(ratio: dict[str, Any]) -> str:
    if ratio["low"] is None or ratio["high"] is None:
        return f"{ratio['ratio']:.4f} (too few pairs for an interval)"
    return f"{ratio['ratio']:.4f} ({ratio['low']:.4f} to {ratio['high']:.4f})"


def _show(document: dict[str, Any], paint: output.Paint) -> None:
    without, with_us = sorted(document["without_s"]), sorted(document["with_s"])
    middle = len(without) // 2
    output.say(f"without    {output.duration(without[middle])} in the middle of {len(without)} runs")
    output.say(f"with       {output.duration(with_us[middle])}")
    output.say(f"wall time  {_ratio_text(document['wall'])}, 95 % confidence")
    if document["cpu"]:
        output.say(f"its CPU    {_ratio_text(document['cpu'])}, of the command's own processes")
    output.say(f"recorders  {_percent(document['recorders_share'])} of one core: keeper and shim, their start included")
    output.say(f"agent      {_percent(document['agent_share'])} of one core, of the time with flightlog")
    output.say(f"server     {_percent(document['server_share'])} of one core: the embedded PostgreSQL")
    per_cent = (document["limit"] - 1.0) * 100.0
    words = {
        "below": (f"below {per_cent:g} %", "green"),
        "above": (f"above {per_cent:g} %", "red"),
        "undecided": (f"undecided: {per_cent:g} % lies within the interval; try more --rounds", "yellow"),
    }
    text, colour = words[document["verdict"]]
    output.say(f"verdict    {paint(text, colour)}")


def _percent(share: float | None) -> str:
    return "none runs: not in it, 0 %" if share is None else f"{share * 100:.2f} %"
