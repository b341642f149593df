"""`flightlog metrics`: what the processes of a run used, and what the pipeline says of itself, as figures and small curves.

Owns: that page, its JSON and CSV (docs/reference/cli/metrics.md). Leaves series to `query.metrics`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import NotFound, UsageError
from . import output
from .choose import open_store, runs_argument, waiting

if TYPE_CHECKING:
    from ..query.metrics import Metrics, Series
    from ..query.runs import Run

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BARS, _PLAIN = "▁▂▃▄▅▆▇█", "_.-~=+*#"
_BYTES = {"_kb": 1024, "_b": 1}


@click.command(short_help="Show what a run's processes used.")
@runs_argument
@click.option("--name", "names", multiple=True, help="Only this one; rss means rss_kb as well. May be repeated.")
@click.option("--step", help="Length of a step of the curve, such as 10s; by default so that there are 60 at most.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["short", "json", "csv"]), default="short", help="How to print it."
)
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@output.color_option
def metrics(
    selectors: tuple[str, ...], names: tuple[str, ...], step: str | None, form: str, utc: bool, color: str
) -> None:
    """Show what the processes of RUN used: CPU, memory, disk, descriptors, threads, GPUs; and the figures that the pipeline recorded itself.

    \b
    Examples:
      flightlog metrics orders
      flightlog metrics orders --name rss --step 10s
      flightlog metrics orders@-1 -o csv > orders.csv
    """
    from ..query import metrics as query
    from ..query import runs as reading_runs
    from ..query.selectors import resolve

    if not selectors:
        raise UsageError("which run?", "flightlog metrics PIPELINE")
    seconds = None if step is None else _seconds(step)
    with open_store() as reading:
        found = reading_runs.list_runs(reading.connection, resolve(waiting(reading).catalogue(), selectors))
        pages = [(run, query.gather(reading.connection, run.run, names, seconds)) for run in found]
    if not pages:
        raise NotFound("the run is not in the store yet", "flightlog agent status")
    if form == "json":
        documents = [as_json(*page) for page in pages]
        output.say(output.json_text(documents[0] if len(documents) == 1 else {"v": 1, "runs": documents}))
        return
    if form == "csv":
        output.say("run,ts,name,value")
    for number, page in enumerate(pages):
        if form == "csv":
            _csv(*page)
            continue
        if number:
            output.say()
        _show(*page, paint=output.Paint(color), utc=utc)


def _seconds(text: str) -> float:
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0.1 <= seconds <= 366 * 86400:
        raise UsageError(f"--step {output.one_line(text)}: no such step", "--step 10s, or 500ms, 1m, 1h")
    return seconds


def as_json(run: Run, found: Metrics) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    return {
        "v": 1,
        "run": run.run,
        "short": run.short,
        "pipeline": run.pipeline,
        "step_s": found.step,
        "metrics": [
            {
                "name": one.name,
                "kind": one.kind,
                "unit": one.unit,
                "count": one.count,
                "min": one.least,
                "avg": one.mean,
                "p95": one.p95,
                "max": one.most,
                "last": one.total,
                "points": [[output.iso(at), value] for at, value in one.points],
            }
            for one in found.series
        ],
    }


def _csv(run: Run, found: Metrics) -> None:
    for one in found.series:
        name = (
            one.name if re.fullmatch(r"[\w.-]+", one.name) else '"' + output.one_line(one.name).replace('"', '""') + '"'
        )
        for at, value in one.points:
            output.say(f"{run.run},{output.iso(at)},{name},{value!r}")


def _show(run: Run, found: Metrics, paint: output.Paint, utc: bool) -> None:
    title = f"{output.brief(run.pipeline)} {run.short}"
    if not found.series or found.begin is None or found.end is None:
        output.say(f"{title}: no metrics are recorded")
        return
    span = output.duration((found.end - found.begin).total_seconds())
    output.say(
        f"{title} from {output.clock(found.begin, utc)}, {span}, a step is {output.duration(found.step)}"
        f" ({output.zone_name(utc)})"
    )
    rows = [["", "", "min", "avg", "P95", "max", "total"]]
    for one in found.series:
        per = "/s" if one.kind == "counter" else ""
        unit = f" {output.brief(one.unit)}" if one.unit and not one.name.endswith(f"_{one.unit}") else ""
        figures = [_figure(one, value) for value in (one.least, one.mean, one.p95, one.most)]
        rows.append(
            [output.brief(one.name) + unit + per, _curve(one, found), *figures, _figure(one, one.total) if per else ""]
        )
    lines = output.table(rows, {2, 3, 4, 5, 6}, spare=[6, 1])
    output.say(paint(lines[0], "dim"))
    for line in lines[1:]:
        output.say(line)


def _figure(one: Series, value: float | None) -> str:
    if value is None:
        return "-"
    for suffix, factor in _BYTES.items():
        if one.name.endswith(suffix):
            return output.size(int(value * factor))
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _curve(one: Series, found: Metrics) -> str:
    """Return the points as a line of bars from nothing to the highest; a blank where nothing is known."""
    if not one.points or found.begin is None or found.end is None:
        return ""
    bars = _BARS if (sys.stdout.encoding or "").lower().startswith("utf") else _PLAIN
    top = max(value for _, value in one.points)
    count = int((found.end - found.begin).total_seconds() // found.step) + 1
    drawn = [" "] * count
    for at, value in one.points:
        index = int((at - found.begin).total_seconds() / found.step + 0.5)
        if 0 <= index < count:
            drawn[index] = bars[min(7, max(0, int(value / top * 7.999)))] if top > 0 else bars[0]
    while len(drawn) > 60:  # somebody chose a short step: the highest of each few
        drawn = [max(pair) for pair in zip(drawn[::2], [*drawn[1::2], " "], strict=False)]
    return "".join(drawn)
