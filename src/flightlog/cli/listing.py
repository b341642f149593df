"""`flightlog list`: runs, or pipelines, in a table. Owns: its columns."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import click

from . import output, times
from .choose import open_store
from .status import as_json

if TYPE_CHECKING:
    from ..query.runs import Run

STATES = ("starting", "running", "stopping", "succeeded", "failed", "lost")


@click.command("list", short_help="List runs, or pipelines.")
@click.argument("names", metavar="[PIPELINE]...", nargs=-1)
@click.option("--pipelines", is_flag=True, help="One line per pipeline: its latest run.")
@click.option("--state", metavar="STATE[,STATE]", help="Only runs in these states: " + ", ".join(STATES) + ".")
@click.option("-S", "--since", metavar="TIME", help="Runs that began since then.")
@click.option("-n", "--limit", type=click.IntRange(1), default=30, show_default=True, help="The newest N runs.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json", "jsonl"]), default="short")
@output.color_option
def list_(
    names: tuple[str, ...],
    pipelines: bool,
    state: str | None,
    since: str | None,
    limit: int,
    utc: bool,
    form: str,
    color: str,
) -> None:
    """List runs, newest first.

    \b
    Examples:
      flightlog list
      flightlog list orders --state failed,lost -S 7d
      flightlog list --pipelines -o json
    """
    states = _states(state)
    moment = times.parse(since, "--since") if since else None
    with open_store() as reading:
        from ..query import runs as query

        if pipelines:
            found = [run for run in query.latest_of_each(reading.connection) if _wanted(run, names, states, moment)]
        else:
            found = query.list_runs(reading.connection, None, names or None, states, moment, limit)
        if form == "json":
            click.echo(json.dumps({"v": 1, "runs": [as_json(run) for run in found]}))
        elif form == "jsonl":
            for run in found:
                click.echo(json.dumps(as_json(run)))
        elif found:
            print_runs(found, output.Paint(color), utc)
        else:
            click.echo("no run matches", err=True)


def print_runs(found: list[Run], paint: output.Paint, utc: bool = False) -> None:
    """Print runs as a table: state as sign and word, times in their zone."""
    head = ["", "STATE", "PIPELINE", "RUN", "STARTED", "TOOK", "LINES", "WARN", "ERR", "WHERE", "END"]
    rows = [head, *(_row(run, utc) for run in found)]
    for line, run in zip(output.table(rows, {5, 6, 7, 8}), [None, *found], strict=True):
        line = output.cut(line, output.width())
        if run is None:
            click.echo(paint(line, "dim"))
        else:
            click.echo(paint(line[:13], output.STATES[run.state][1]) + line[13:])


def _row(run: Run, utc: bool) -> list[str]:
    sign = output.STATES[run.state][0]
    where = output.one_line(run.stage or "-")
    if run.progress and not run.final:
        where += f" {run.progress.get('done')}/{run.progress.get('total') or '?'}"
    verdict = f" ({run.verdict})" if run.verdict and run.verdict not in ("ok", "exit-status", "unknown") else ""
    started = output.clock(run.started_at, utc)[:-4]
    return [
        sign, run.state, output.one_line(run.pipeline), run.short, started, output.duration(run.seconds), str(run.lines),
        str(run.warnings), str(run.errors), where, run.ending + verdict,
    ]  # fmt: skip


def _states(text: str | None) -> list[str] | None:
    if not text:
        return None
    chosen = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in chosen if word not in STATES]
    if wrong:
        from ..errors import UsageError

        raise UsageError(f"--state {wrong[0]}: no such state", ", ".join(STATES))
    return chosen


def _wanted(run: Run, names: tuple[str, ...], states: list[str] | None, since: datetime.datetime | None) -> bool:
    return (
        (not names or run.pipeline in names)
        and (states is None or run.state in states)
        and (since is None or run.started_at >= since)
    )
