"""`flightlog logs`: log lines of runs, the newest or all, and as they come.

Owns: options, and the order of tail and follow. Leaves how a line looks to `logline`, what is selected to `query`.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from .. import records
from ..errors import FlightlogError, SinkError, SinkUnavailable, UsageError
from . import output, times
from .choose import answer_from_spool, count, open_store, runs_argument, wake_shipping
from .logline import Printer

if TYPE_CHECKING:
    from ..query.logs import Filter, Line
    from ..query.selectors import Selected
    from ..wiring import Reading

POLL_SECONDS = 0.2
AWAY_SECONDS = 1.0  # between attempts to reach a store that is gone
SHIP_SECONDS = 1.0  # how often we ship while following, where no agent does


@click.command(short_help="Show log lines.")
@runs_argument
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until the run has ended.")
@click.option("-n", "--lines", "--tail", default="200", metavar="N|all", show_default=True, help="The newest N lines.")
@click.option("-S", "--since", metavar="TIME", help="10m, `2h ago`, yesterday, 06:00, 2026-11-22, RFC 3339.")
@click.option("-U", "--until", metavar="TIME", help="Before this time.")
@click.option("-p", "--level", metavar="LEVEL", help="warn: this and above; info..error: between.")
@click.option("-g", "--grep", metavar="RE", help="Messages that match; without capitals, in any case.")
@click.option("--stage", metavar="STAGE", help="This stage and those in it.")
@click.option("--logger", metavar="NAME", help="This logger and those below it.")
@click.option("--source", type=click.Choice(["sdk", "stdout", "stderr", "flightlog"]), help="Where lines came from.")
@click.option("--node", metavar="NODE", help="Lines written on this node.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["short", "full", "json", "jsonl", "cat"]),
    default="short",
    show_default=True,
    help="How to print them; cat: messages only.",
)
@click.option("-r", "--reverse", is_flag=True, help="Newest first.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@click.option("-q", "--quiet", is_flag=True, help="No word beside the lines.")
@click.option("--no-pager", is_flag=True, help="Never use a pager.")
@output.color_option
def logs(selectors: tuple[str, ...], **options: Any) -> None:
    """Show log lines of RUNs. Without RUN: of all runs.

    RUN is a pipeline (its latest run), orders@-1 (the one before), orders@2026-11-22 (those of a day), orders@all, @failed (the latest that
    failed), an id, its beginning, its last six characters, or a glob such as 'team/*'.

    \b
    Examples:
      flightlog logs orders
      flightlog logs orders -f -p warn
      flightlog logs orders@-1 -g 'time.?out' -n all
      flightlog logs @failed -o jsonl | jq .message
    """
    limit = count(options["lines"], "--lines")
    if options["reverse"] and options["follow"]:
        raise UsageError("--reverse and --follow exclude each other", "leave one out")
    printer: Printer | None = None
    try:
        with open_store(note_first=options["follow"]) as reading:
            from ..query import logs as query
            from ..query.selectors import select

            selected = select(reading.connection, selectors) if selectors else None
            wanted = _filter(selected, options)
            query.check(reading.connection, wanted)
            printer = _printer(wanted, options)
            if options["follow"]:
                _follow(reading, wanted, selected, limit, printer, options["quiet"] or printer.many)
            else:
                _show(reading, wanted, limit, printer, options)
            if not options["quiet"]:
                _say_end(reading, wanted, printer, options)
    except FlightlogError as problem:
        if printer is not None or options["follow"]:
            raise
        answer_from_spool(problem, lambda: _show_spool(selectors, limit, options))


def _show_spool(selectors: tuple[str, ...], limit: int | None, options: dict[str, Any]) -> None:
    from ..query.selectors import select
    from .spooled import Spooled

    spool = Spooled(_filter(None, options), limit)
    wanted = _filter(select(spool, selectors) if selectors else None, options)
    found = spool.lines(wanted.runs, limit)
    printer = _printer(wanted, options)
    printer.begin(sys.stdout)
    for line in reversed(found) if options["reverse"] else found:
        printer.write(line)
    printer.end()


def _printer(wanted: Filter, options: dict[str, Any]) -> Printer:
    many = wanted.runs is None or len(wanted.runs) > 1
    return Printer(options["form"], output.Paint(options["color"]), options["utc"], many)


def _show(reading: Reading, wanted: Filter, limit: int | None, printer: Printer, options: dict[str, Any]) -> None:
    from ..query import logs as query

    lines: Iterable[Line]
    height = 1 << 30
    if limit is None:
        lines = query.everything(reading.connection, wanted, newest_first=options["reverse"])
    else:
        found = query.newest(reading.connection, wanted, limit)
        lines = reversed(found) if options["reverse"] else found
        height = sum(1 + line.message.count("\n") for line in found)
    paged = not options["no_pager"] and options["form"] in ("short", "full", "cat")
    newest_last = limit is not None and not options["reverse"]  # what matters most is the end
    with output.paged(height, paged, newest_last) as stream:
        printer.begin(stream)
        for line in lines:
            printer.write(line)
        printer.end()


def _follow(
    reading: Reading, wanted: Filter, selected: Selected | None, limit: int | None, printer: Printer, silent: bool
) -> None:
    from ..query.live import Follow

    wake_shipping()
    wake_at = time.monotonic() + SHIP_SECONDS
    follow = Follow(reading.connection, wanted, selected.pipelines if selected else [])
    printer.begin(sys.stdout)
    run = _print(follow.tail(limit), printer, wanted.runs[0] if wanted.runs and not silent else "")
    while True:
        now = time.monotonic()
        wake_shipping(ourselves=now >= wake_at)
        wake_at = now + SHIP_SECONDS if now >= wake_at else wake_at
        try:
            run = _print(follow.more(), printer, run)
        except SinkUnavailable as problem:
            _wait_for_store(reading, problem)
            follow.use(reading.connection)
            continue
        if follow.over:
            break
        if not follow.more_waits:
            _pause()
    printer.end()


def _pause() -> None:
    """Wait a little; notice meanwhile that nobody reads any more, which a write would tell only when the next line comes."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    if watch.poll(POLL_SECONDS * 1000):
        raise BrokenPipeError


def _wait_for_store(reading: Reading, problem: SinkError) -> None:
    """Wait until the store answers again; say that it does not, and that it does. Ctrl-C ends it."""
    from .. import wiring

    output.note(f"-- {output.one_line(problem.message)}; waiting for it --")
    while True:
        _pause()
        try:
            wiring.reconnect(reading)
        except SinkError:
            time.sleep(AWAY_SECONDS)
            continue
        output.note("-- the store answers again --")
        return


def _print(lines: Iterable[Line], printer: Printer, run: str) -> str:
    """Print *lines*; say which run they are of where that is not *run* any more, unless that is empty. Return the last one's."""
    for line in lines:
        if run and line.run != run:
            printer.flush()
            output.note(f"-- {output.one_line(line.pipeline or '-')} {line.run[-6:]} --")
            run = line.run
        printer.write(line)
    printer.flush()
    return run


def _filter(selected: Selected | None, options: dict[str, Any]) -> Filter:
    from ..query.logs import Filter

    low, high = _levels(options["level"])
    return Filter(
        runs=selected.runs if selected else None,
        since=times.parse(options["since"], "--since") if options["since"] else None,
        until=times.parse(options["until"], "--until") if options["until"] else None,
        low=low,
        high=high,
        grep=options["grep"] or None,
        stage=options["stage"],
        logger=options["logger"],
        source=options["source"],
        node=options["node"],
    )


def _levels(text: str | None) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    first, _, last = text.partition("..")
    low = _level(first, text) if first else None
    return low, _level(last, text) if last else None


def _level(word: str, text: str) -> int:
    number = int(word) if word.isdecimal() else records.LEVEL_NUMBERS.get(word.upper())
    if number is None or number > 32767:
        raise UsageError(f"--level {text}: no such level", "trace, debug, info, warn, error, critical, or info..error")
    return number


def _say_end(reading: Reading, wanted: Filter, printer: Printer, options: dict[str, Any]) -> None:
    """Say which lines these were, to people who look; how a followed run ended, to everybody; and that nothing matched."""
    from ..query import runs

    if not sys.stderr.isatty() and not options["follow"]:
        if printer.count == 0:
            output.note("no line matches")
        return
    paint = output.Paint(options["color"], sys.stderr)
    zone = f"times in {output.zone_name(options['utc'])}"
    if not wanted.runs or len(wanted.runs) > 1:
        whose = f"{len(wanted.runs)} runs" if wanted.runs else "all runs"
        output.note(paint(f"-- {whose}   {printer.count} lines   {zone} --", "dim"))
        return
    run = runs.get(reading.connection, wanted.runs[0])
    words = output.one_line(f"{run.pipeline} {run.short} {run.state}" + (f": {run.ending}" if run.ending else ""))
    shown = f"{printer.count} of {run.lines} lines"
    output.note(paint(f"-- {words}   {shown}   {zone} --", output.STATES[run.state][1]))
