"""`flightlog list`: runs, or pipelines, in a table. Owns: its columns, which `status` shows as well. Leaves what a run's JSON is to `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import FlightlogError, UsageError
from . import output, times
from .choose import answer_from_spool, count, open_store, waiting
from .complete import complete_pipelines
from .status import as_json

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from ..query.drops import Drops
    from ..query.runs import Run
    from .waiting import Waiting

LIMIT = 30
SORTS = (
    "started",
    "ended",
    "duration",
    "lines",
    "warnings",
    "errors",
)  # those of query.runs, which costs more to import
STATES = ("starting", "running", "stopping", "succeeded", "failed", "lost")


@click.command("list", short_help="List runs, or pipelines.")
@click.argument("names", metavar="[PIPELINE]...", nargs=-1, shell_complete=complete_pipelines)
@click.option("--pipelines", is_flag=True, help="One line per pipeline: its latest run.")
@click.option("--state", metavar="STATE[,STATE]", help="Only runs in these states: " + ", ".join(STATES) + ".")
@click.option("-S", "--since", metavar="TIME", help="Runs that began since then.")
@click.option("-n", "--limit", metavar="N|all", help=f"N runs at most; default {LIMIT}, with --pipelines all.")
@click.option(
    "--sort", metavar="KEY", default="started", show_default=True, help=f"{', '.join(SORTS)}; -KEY: smallest first."
)
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["short", "json", "jsonl"]),
    default="short",
    show_default=True,
    help="How to print them.",
)
@output.color_option
def list_(
    names: tuple[str, ...],
    pipelines: bool,
    state: str | None,
    since: str | None,
    limit: str | None,
    sort: str,
    utc: bool,
    form: str,
    color: str,
) -> None:
    """List runs, newest first, of all pipelines or of those named, by name or glob.

    \b
    Examples:
      flightlog list
      flightlog list orders 'team/*' --state failed,lost -S 7d
      flightlog list --sort duration -n 5
      flightlog list --pipelines -o json
    """
    states = _states(state)
    moment = times.parse(since, "--since") if since else None
    key, reverse = _sort(sort)
    most = count(limit, "--limit", least=1) if limit else None if pipelines else LIMIT
    try:
        with open_store() as reading:
            from ..query import runs as query
            from ..query.drops import of_runs
            from ..query.selectors import pipelines as named

            chosen = named(waiting(reading).catalogue(), names) if names else None
            runs = [run.run for run in query.latest_of_each(reading.connection)] if pipelines else None
            found = query.list_runs(reading.connection, runs, chosen, states, moment, most, key, reverse)
            dropped = of_runs(reading.connection, [run.run for run in found])
            if chosen and waiting(reading).runs:
                found = _with_waiting(waiting(reading), found, dropped, chosen, pipelines, states, moment)
                found = _sorted(found, key, reverse)[:most]
            _show(found, dropped, form, output.Paint(color), utc)
    except FlightlogError as problem:

        def answer() -> None:
            found, dropped = _of_spool(names, pipelines, states, moment, most, key, reverse)
            _show(found, dropped, form, output.Paint(color), utc)

        answer_from_spool(problem, answer)


def _of_spool(
    names: tuple[str, ...],
    pipelines: bool,
    states: list[str] | None,
    since: datetime.datetime | None,
    limit: int | None,
    sort: str,
    smallest_first: bool,
) -> tuple[list[Run], Mapping[str, Drops]]:
    from ..query.selectors import pipelines as named
    from .spooled import Spooled

    spool = Spooled()
    chosen = named(spool, names) if names else spool.pipelines()
    found = [run for run in spool.all if run.pipeline in chosen]
    found = [run for run in (_latest(found) if pipelines else found) if _fits(run, states, since)]
    return _sorted(found, sort, smallest_first)[:limit], spool.dropped


def _with_waiting(
    known: Waiting,
    found: list[Run],
    dropped: dict[str, Drops],
    chosen: list[str],
    pipelines: bool,
    states: list[str] | None,
    since: datetime.datetime | None,
) -> list[Run]:
    """Add to runs of the store, and to what is known of them, those of *chosen* pipelines that only the spool knows."""
    held = [one for one in known.runs.values() if not set(one.names).isdisjoint(chosen)]
    if not held:
        return found
    spool = known.read(held)
    dropped.update(spool.dropped)
    both = [*spool.only(held), *found]
    return [run for run in (_latest(both) if pipelines else both) if _fits(run, states, since)]


def _fits(run: Run, states: list[str] | None, since: datetime.datetime | None) -> bool:
    return (states is None or run.state in states) and (since is None or run.started_at >= since)


def _latest(found: list[Run]) -> list[Run]:
    newest: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: run.run):
        newest[run.pipeline] = run
    return list(newest.values())


def _sorted(found: list[Run], sort: str, smallest_first: bool) -> list[Run]:
    """Return runs in order; those that have nothing to be sorted by come last."""
    name = {"started": "run", "ended": "ended_at", "duration": "seconds"}.get(sort, sort)
    known = [run for run in found if getattr(run, name) is not None]
    known.sort(key=lambda run: getattr(run, name), reverse=not smallest_first)
    return [*known, *(run for run in found if getattr(run, name) is None)]


def _show(found: list[Run], dropped: Mapping[str, Drops], form: str, paint: output.Paint, utc: bool) -> None:
    if form == "json":
        output.say(output.json_text({"v": 1, "runs": [as_json(run, dropped.get(run.run)) for run in found]}))
    elif form == "jsonl":
        for run in found:
            output.say(output.json_text(as_json(run, dropped.get(run.run))))
    elif found:
        print_runs(found, dropped, paint, utc)
    else:
        output.note("no run matches")


def print_runs(found: list[Run], dropped: Mapping[str, Drops], paint: output.Paint, utc: bool = False) -> None:
    """Print runs as a table: state as sign and word, times in their zone, at the end what was not kept. A narrow screen gets the columns that matter most."""
    started = f"STARTED {output.zone_name(utc)}"
    head = ["", "STATE", "PIPELINE", "RUN", started, "TOOK", "LINES", "WARN", "ERR", "WHERE", "END"]
    rows = [head, *(_row(run, dropped.get(run.run), utc) for run in found)]
    spare = (6, 7, 8, 5, 9) if any(not run.final for run in found) else (6, 9, 7, 8, 5)
    for line, run in zip(output.table(rows, {5, 6, 7, 8}, spare), [None, *found], strict=True):
        if run is None:
            output.say(paint(line, "dim"))
        else:
            end = line.find(run.state) + len(run.state) if run.state in line else 1  # cut on a very narrow screen
            output.say(paint(line[:end], output.STATES[run.state][1]) + line[end:])


def _row(run: Run, drops: Drops | None, utc: bool) -> list[str]:
    sign = output.STATES[run.state][0]
    where = output.brief(run.stage or "-")
    if run.progress and not run.final:
        where += f" {run.progress.get('done')}/{run.progress.get('total') or '?'}"
    return [
        sign, run.state, output.brief(run.pipeline), run.short, output.moment(run.started_at, utc), output.duration(run.seconds), str(run.lines),
        str(run.warnings), str(run.errors), output.one_line(where), output.one_line(_end(run, drops)),
    ]  # fmt: skip


def _end(run: Run, drops: Drops | None) -> str:
    lost = [f"{drops.records} records dropped"] if drops and drops.records else []
    lost += [f"{output.size(drops.lost_bytes)} of output not kept"] if drops and drops.lost_bytes else []
    return ", ".join([*([output.brief(run.ending)] if run.ending else []), *lost])


def _states(text: str | None) -> list[str] | None:
    if not text:
        return None
    chosen = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in chosen if word not in STATES]
    if wrong:
        raise UsageError(f"--state {wrong[0]}: no such state", ", ".join(STATES))
    return chosen


def _sort(text: str) -> tuple[str, bool]:
    key = text.removeprefix("-")
    if key not in SORTS:
        raise UsageError(f"--sort {text}: no such key", ", ".join(SORTS))
    return key, text != key
