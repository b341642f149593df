"""`flightlog logs`: log lines of runs, the newest or all, and as they come.

Owns: options, and the order of tail and follow. Leaves how a line looks to `logline`, what is selected to `query`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from .. import records
from ..errors import UsageError
from . import output, times
from .choose import open_store, runs_argument
from .logline import Printer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..query.logs import Filter, Line
    from ..wiring import Reading

POLL_SECONDS = 0.2


@click.command(short_help="Show log lines.")
@runs_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until the run has ended.")
@click.option("-n", "--lines", "--tail", default="200", metavar="N|all", show_default=True, help="The newest N lines.")
@click.option("-S", "--since", metavar="TIME", help="10m, `2h ago`, yesterday, 06:00, 2026-11-22, RFC 3339.")
@click.option("-U", "--until", metavar="TIME", help="Before this time.")
@click.option("-p", "--level", metavar="LEVEL", help="warn: this and above; info..error: between.")
@click.option("-g", "--grep", metavar="RE", help="Messages that match; small letters match any case.")
@click.option("--stage", help="This stage and those in it.")
@click.option("--logger", help="This logger and those below it.")
@click.option("--source", type=click.Choice(["sdk", "stdout", "stderr", "flightlog"]), help="Where lines came from.")
@click.option("--node", help="Of this node.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "full", "json", "jsonl", "cat"]), default="short")
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@click.option("-q", "--quiet", is_flag=True, help="No word beside the lines.")
@click.option("--no-pager", is_flag=True, help="Never use a pager.")
@output.color_option
def logs(selectors: tuple[str, ...], **options: Any) -> None:
    """Show log lines of RUNs: a pipeline's latest run (orders), the one before (orders@-1), a day's (orders@2026-11-22), every
    one (orders@all), the latest that failed (@failed), an id or its last six characters, or a glob. Without RUN: of all.

    \b
    Examples:
      flightlog logs orders
      flightlog logs orders -f -p warn
      flightlog logs orders@-1 -g 'time.?out' -n all
      flightlog logs @failed -o jsonl | jq .message
    """
    count = _count(options["lines"])
    if options["reverse"] and options["follow"]:
        raise UsageError("--reverse and --follow exclude each other", "leave one out")
    with _quiet_pipe(), open_store() as reading:
        wanted = _filter(reading, selectors, options)
        printer = Printer(options["form"], output.Paint(options["color"]), options["utc"], many=_many(wanted))
        if options["follow"]:
            _follow(reading, wanted, selectors, count, printer)
        else:
            _show(reading, wanted, count, printer, options)
        if not options["quiet"]:
            _say_end(reading, wanted, printer)


def _show(reading: Reading, wanted: Filter, count: int | None, printer: Printer, options: dict[str, Any]) -> None:
    from ..query import logs as query

    lines: Iterable[Line]
    if count is None and not options["reverse"]:
        lines, expected = query.everything(reading.connection, wanted), 1 << 30
    else:
        found = query.newest(reading.connection, wanted, 1 << 40 if count is None else count)
        lines, expected = (reversed(found) if options["reverse"] else found), len(found)
    pager = not options["no_pager"] and options["form"] in ("short", "full")
    with output.paged(expected, pager) as stream:
        printer.begin(stream)
        for line in lines:
            printer.write(line)
        printer.end()


def _follow(reading: Reading, wanted: Filter, selectors: tuple[str, ...], count: int | None, printer: Printer) -> None:
    from ..agent import door
    from ..query.live import Follow
    from ..query.selectors import plain_pipelines

    follow = Follow(reading.connection, wanted, plain_pipelines(reading.connection, selectors))
    printer.begin(sys.stdout)
    for line in follow.tail(1 << 40 if count is None else count):
        printer.write(line)
    printer.flush()
    from .. import identity

    over = follow.over()
    quiet_since = time.monotonic()
    while not over or time.monotonic() - quiet_since < 2 * POLL_SECONDS:
        time.sleep(POLL_SECONDS)
        door.ring(identity.home())
        lines = follow.more()
        for line in lines:
            printer.write(line)
        if lines:
            printer.flush()
            quiet_since = time.monotonic()
        over = follow.over()
    printer.end()


def _filter(reading: Reading, selectors: tuple[str, ...], options: dict[str, Any]) -> Filter:
    from ..query.logs import Filter
    from ..query.selectors import resolve

    low, high = _levels(options["level"])
    return Filter(
        runs=resolve(reading.connection, selectors) if selectors else None,
        since=times.parse(options["since"], "--since") if options["since"] else None,
        until=times.parse(options["until"], "--until") if options["until"] else None,
        low=low,
        high=high,
        grep=options["grep"],
        stage=options["stage"],
        logger=options["logger"],
        source=options["source"],
        node=options["node"],
    )


def _levels(text: str | None) -> tuple[int, int]:
    from ..query.logs import HIGHEST, LOWEST

    if not text:
        return LOWEST, HIGHEST
    first, dots, last = text.partition("..")
    low = _level(first, text) if first else LOWEST
    if not dots:
        return low, HIGHEST
    return low, _level(last, text) if last else HIGHEST


def _level(word: str, text: str) -> int:
    if word.isdigit():
        return int(word)
    number = records.LEVEL_NUMBERS.get(word.upper())
    if number is None:
        raise UsageError(f"--level {text}: no such level", "trace, debug, info, warn, error, critical, or info..error")
    return number


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit():
        raise UsageError(f"--lines {text}: no number", "-n 50, or -n all")
    return int(text)


def _many(wanted: Filter) -> bool:
    return wanted.runs is None or len(wanted.runs) != 1


def _say_end(reading: Reading, wanted: Filter, printer: Printer) -> None:
    """Say how the run ended, for people who look, or that nothing matched."""
    from ..query import runs

    if wanted.runs and len(wanted.runs) == 1 and sys.stderr.isatty():
        (run,) = runs.list_runs(reading.connection, wanted.runs)
        state = f"{run.state} ({run.ending})" if run.ending else run.state
        click.echo(f"-- {run.pipeline} {run.short} {state}, {printer.count} of {run.lines} lines --", err=True)
    elif printer.count == 0:
        click.echo("no line matches", err=True)


@contextlib.contextmanager
def _quiet_pipe() -> Any:
    """A reader that has seen enough is no error; Ctrl-C ends following."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
