"""`flightlog checkpoints`: what a run can be resumed from. Owns: that page and its JSON (docs/reference/cli/checkpoints.md). Leaves reading to `query.checkpoints`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from . import output
from .choose import open_store
from .complete import complete_runs

if TYPE_CHECKING:
    from ..query.checkpoints import Kept, Value

PREVIEW = 60


@click.command(short_help="Show what a run can be resumed from.")
@click.argument("selector", metavar="RUN", shell_complete=complete_runs)
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@output.color_option
def checkpoints(selector: str, form: str, utc: bool, color: str) -> None:
    """Show what RUN has left to go on from: values, and finished items by stage, of all attempts of the same work.

    \b
    Examples:
      flightlog checkpoints orders
      flightlog checkpoints orders -o json | jq .values
    """
    from .. import wiring

    with open_store() as reading:
        kept = wiring.checkpoints_of(reading.connection, selector)
    if form == "json":
        output.say(output.json_text(as_json(kept)))
    else:
        _show(kept, output.Paint(color), utc)


def value_json(value: Value) -> dict[str, Any]:
    """Return the contract of one value."""
    return {
        "key": value.key,
        "version": value.version,
        "n": value.n,
        "attempt": value.attempt,
        "written_by": value.run,
        "at": output.iso(value.at),
        "bytes": value.size,
        "local": value.text is None,
        "value": None if value.text is None else json.loads(value.text),
    }


def as_json(kept: Kept) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    latest = kept.attempts[-1]
    return {
        "v": 1,
        "run": latest.run,
        "pipeline": latest.pipeline,
        "origin": kept.origin,
        "attempts": [run.run for run in kept.attempts],
        "values": [value_json(value) for work in kept.works for value in work.values.values()],
        "items": [
            {"stage": stage, "finished": len(digests)} for work in kept.works for stage, digests in work.items.items()
        ],
    }


def _show(kept: Kept, paint: output.Paint, utc: bool) -> None:
    latest = kept.attempts[-1]
    count = len(kept.attempts)
    output.say(
        paint(f"{output.brief(latest.pipeline)} {latest.short} {latest.state}", "bold")
        + f", {count} attempt{'' if count == 1 else 's'} ({output.zone_name(utc)})"
    )
    rows = []
    for work in kept.works:
        for value in work.values.values():
            shown = f"on node {work.node} only: it holds a secret" if value.text is None else value.text
            when = output.clock(value.at, utc, date=True)
            rows.append(
                [output.brief(value.key), when, output.size(value.size), output.cut(output.one_line(shown), PREVIEW)]
            )
        for stage, digests in work.items.items():
            when = output.clock(work.at, utc, date=True) if work.at else "-"
            rows.append([f"stage {output.brief(stage)}", when, "", f"{len(digests)} finished items"])
    if not rows:
        output.say("  no checkpoint is recorded")
        return
    lines = output.table([["", "last", "size", "value"], *rows], {2}, spare=[2])
    output.say(paint(lines[0], "dim"))
    for line in lines[1:]:
        output.say(line)
