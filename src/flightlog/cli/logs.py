"""`flightlog logs`: log lines of runs, the newest or all, and as they come.

Owns: options, and lines of store and spool together. Leaves how a line looks to `logline`, what is selected to `query`, following to `following`.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import records
from ..errors import FlightlogError, UsageError
from . import following, output, times
from .choose import answer_from_spool, count, open_store, runs_argument, waiting
from .logline import Printer

if TYPE_CHECKING:
    from ..query.drops import Drops
    from ..query.logs import Filter, Line
    from ..query.selectors import Selected
    from ..wiring import Reading
    from .spooled import Spooled
    from .waiting import WaitingRun


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
            from ..query.drops import of_runs
            from ..query.selectors import select

            selected = select(waiting(reading).catalogue(), selectors) if selectors else None
            wanted = _filter(selected, options)
            query.check(reading.connection, wanted)
            held = waiting(reading).among(wanted.runs)
            if held and options["follow"] and reading.off is None:
                following.wait_for_shipping(reading, held)
                held = []
            spool = waiting(reading).read(held, wanted, limit) if held else None
            printer = _printer(wanted, options)
            if options["follow"] and spool is None:
                following.follow(reading, wanted, selected, limit, printer, options["quiet"] or printer.many)
            else:
                _show(reading, wanted, limit, printer, options, spool)
            if not options["quiet"]:
                _say_waiting(held, [] if options["follow"] else waiting(reading).parts_of(wanted.runs))
                _say_losses({**of_runs(reading.connection, wanted.runs or []), **(spool.dropped if spool else {})})
                _say_end(reading, wanted, printer, options, spool)
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
    if not options["quiet"]:
        _say_losses({run: spool.dropped[run] for run in wanted.runs or []})


def _printer(wanted: Filter, options: dict[str, Any]) -> Printer:
    many = wanted.runs is None or len(wanted.runs) > 1
    return Printer(options["form"], output.Paint(options["color"]), options["utc"], many)


def _show(
    reading: Reading,
    wanted: Filter,
    limit: int | None,
    printer: Printer,
    options: dict[str, Any],
    spool: Spooled | None,
) -> None:
    from ..query import logs as query

    lines: Iterable[Line]
    height = 1 << 30
    waiting_lines = spool.lines(wanted.runs, limit) if spool else []
    if limit is None:
        lines = query.everything(reading.connection, wanted, newest_first=options["reverse"])
        if waiting_lines:
            newest_first = options["reverse"]
            ours = reversed(waiting_lines) if newest_first else waiting_lines
            lines = heapq.merge(lines, ours, key=lambda line: line.ts, reverse=newest_first)
    else:
        found = query.newest(reading.connection, wanted, limit)
        if waiting_lines:
            found = sorted([*found, *waiting_lines], key=lambda line: line.ts)
            found = found[len(found) - min(limit, len(found)) :]
        lines = reversed(found) if options["reverse"] else found
        height = sum(1 + line.message.count("\n") for line in found)
    paged = not options["no_pager"] and options["form"] in ("short", "full", "cat")
    newest_last = limit is not None and not options["reverse"]  # what matters most is the end
    with output.paged(height, paged, newest_last) as stream:
        printer.begin(stream)
        for line in lines:
            printer.write(line)
        printer.end()


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


def _say_waiting(held: Sequence[WaitingRun], parts: Sequence[WaitingRun]) -> None:
    """Say which of the runs asked for are not in the store, or not all of them."""
    from .waiting import words

    if held:
        output.note(f"-- {words(held)}: the store has nothing of it yet, its lines are from the spool --")
    if parts:
        size = output.size(sum(one.size for one in parts))
        output.note(f"-- {words(parts)}: {size} of it wait in the spool, lines may be missing --")


def _say_losses(dropped: Mapping[str, Drops]) -> None:
    """Say what of these runs is not among their lines because it was not kept."""
    records = sum(one.records for one in dropped.values())
    lost = sum(one.lost_bytes for one in dropped.values())
    words = [f"{records} record{'' if records == 1 else 's'}"] if records else []
    words += [f"{output.size(lost)} of output"] if lost else []
    if words:
        output.note(f"-- {' and '.join(words)} were not kept; flightlog audit says why --")


def _say_end(
    reading: Reading, wanted: Filter, printer: Printer, options: dict[str, Any], spool: Spooled | None
) -> None:
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
    held = [run for run in spool.all if run.run == wanted.runs[0]] if spool else []
    run = held[0] if held else runs.get(reading.connection, wanted.runs[0])
    ending = f": {output.brief(run.ending)}" if run.ending else ""
    words = f"{output.brief(run.pipeline)} {run.short} {run.state}{ending}"
    shown = f"{printer.count} of {run.lines} lines"
    output.note(paint(f"-- {words}   {shown}   {zone} --", output.STATES[run.state][1]))
