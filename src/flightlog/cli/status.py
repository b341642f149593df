"""`flightlog status`: what needs attention, or all about one run.

Owns: that screen and the JSON of a run (docs/reference/cli-json.md).
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from . import output, room
from .choose import open_store, runs_argument

if TYPE_CHECKING:
    from ..query.drops import Drops
    from ..query.runs import Run
    from ..wiring import Reading

BAR = 24
_ORDER = {"failed": 0, "lost": 0, "stopping": 1, "starting": 1, "running": 1, "succeeded": 2}


def as_json(run: Run, drops: Drops | None = None) -> dict[str, Any]:
    """Return a run as the contract of `-o json` says. Times RFC 3339, UTC."""
    return {
        "v": 1,
        "run": run.run,
        "short": run.short,
        "pipeline": run.pipeline,
        "state": run.state,
        "exit_code": run.exit_code,
        "term_signal": run.term_signal,
        "verdict": run.verdict,
        "confidence": run.confidence,
        "started_at": output.iso(run.started_at),
        "ended_at": output.iso(run.ended_at),
        "duration_s": round(run.seconds, 6),
        "kind": run.kind,
        "node": run.node,
        "pid": run.pid,
        "command": run.command,
        "cwd": run.cwd,
        "user": run.os_user,
        "parent": run.parent,
        "origin": run.origin,
        "attempt": run.attempt,
        "stage": run.stage,
        "progress": run.progress,
        "lines": run.lines,
        "warnings": run.warnings,
        "errors": run.errors,
        "last_at": output.iso(run.last_at),
        "error": run.data.get("error"),
        **({} if drops is None else _dropped(drops)),
    }


@click.command(short_help="Show what goes on, and how runs ended.")
@runs_argument
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.option("--exit-code", "check", is_flag=True, help="Exit 1 when a run shown failed or was lost.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@output.color_option
def status(selectors: tuple[str, ...], form: str, check: bool, utc: bool, color: str) -> None:
    """Show the latest run of each pipeline, what needs attention first; with RUN, everything about it.

    \b
    Examples:
      flightlog status
      flightlog status orders
      flightlog status orders@-1 -o json | jq .verdict
      flightlog status orders --exit-code || echo it failed
    """
    with open_store() as reading:
        from ..query import runs as query
        from ..query.drops import of_runs
        from ..query.selectors import resolve

        if selectors:
            found = query.list_runs(reading.connection, resolve(reading.connection, selectors))
        else:
            found = sorted(query.latest_of_each(reading.connection), key=lambda run: run.run, reverse=True)
            found.sort(key=lambda run: _ORDER[run.state])
        if form == "json":
            one = len(found) == 1 and len(selectors) == 1
            dropped = of_runs(reading.connection, [run.run for run in found])
            shown = [as_json(run, dropped[run.run]) for run in found]
            data = shown[0] if one else {"v": 1, "runs": shown, "spool": room.facts(reading)}
            click.echo(output.json_text(data))
        else:
            _print(reading, found, bool(selectors), output.Paint(color), utc)
    if check and any(run.state in query.BAD for run in found):
        sys.exit(1)


def _print(reading: Reading, found: list[Run], chosen: bool, paint: output.Paint, utc: bool) -> None:
    if chosen and len(found) <= 5:
        for number, run in enumerate(found):
            if number:
                click.echo()
            _print_run(reading, run, paint, utc)
        return
    if not found:
        click.echo("nothing is recorded yet. Try: flightlog run -- COMMAND", err=True)
        return
    from .listing import print_runs

    if not chosen:
        bad = sum(_ORDER[run.state] == 0 for run in found)
        live = sum(_ORDER[run.state] == 1 for run in found)
        words = f"{bad} need attention, {live} running, {len(found) - bad - live} fine"
        spool = f"{output.size(reading.backlog_bytes)} to ship" if reading.backlog_bytes else "all shipped"
        spool += room.words(room.facts(reading))
        click.echo(f"{paint(words, 'bold')}   node {output.one_line(reading.node)}   spool {spool}")
    print_runs(found, paint, utc)


def _print_run(reading: Reading, run: Run, paint: output.Paint, utc: bool) -> None:
    from ..query import runs as query
    from ..query.drops import of_runs
    from ..query.drops import words as drop_words

    sign, color = output.STATES[run.state]
    title = output.one_line(f"{sign} {run.pipeline} {run.short} {run.state}" + (f": {run.end}" if run.end else ""))
    certain = f", {run.confidence}" if run.confidence not in (None, "unknown") else ""
    verdict = output.one_line(f"   verdict {run.verdict}{certain}") if run.verdict else ""
    click.echo(paint(title, color) + verdict)
    facts = _facts(run, utc)
    drops = of_runs(reading.connection, [run.run])[run.run]
    if drops.records:
        facts.append(("dropped", f"{drops.records} records ({drop_words(drops.counts)})"))
    if drops.lost_bytes:
        facts.append(("not kept", f"{output.size(drops.lost_bytes)} of output, which the console had"))
    last = query.last_line(reading.connection, run.run)
    if last:
        facts.append(("last line", f"{output.clock(last[2], utc)} {last[0]} {last[1]}"))
    for name, value in facts:
        click.echo(f"  {paint(name.ljust(9), 'dim')} {output.cut(output.one_line(value), output.width() - 12)}")


def _facts(run: Run, utc: bool) -> list[tuple[str, str]]:
    facts = [("run", run.run)]
    took = f", took {output.duration(run.seconds)}" if run.final else f", for {output.duration(run.seconds)}"
    facts.append(("began", f"{output.clock(run.started_at, utc, date=True)} {output.zone_name(utc)}{took}"))
    if run.ended_at:
        facts.append(("ended", output.clock(run.ended_at, utc, date=True)))
    if run.command:
        facts.append(("command", shlex.join(run.command)))
    facts.append(
        ("process", f"{run.pid or '-'} on {run.node}, user {run.os_user or '-'}, in {run.cwd or '-'} ({run.kind})")
    )
    if run.parent:
        facts.append(("parent", run.parent))
    if run.stage:
        facts.append(("stage", run.stage))
    if run.progress:
        facts.append(("progress", _bar(run.progress)))
    facts.append(("lines", f"{run.lines}, {_count(run.warnings, 'warning')}, {_count(run.errors, 'error')}"))
    error = run.data.get("error")
    if isinstance(error, dict):
        facts.append(("error", f"{error.get('type')}: {error.get('message')}"))
    usage = (run.data.get("end") or {}).get("rusage")
    if isinstance(usage, dict):
        facts.append(("used", _used(usage)))
    return facts


def _dropped(drops: Drops) -> dict[str, Any]:
    return {"dropped": drops.records, "drops": drops.counts, "lost_bytes": drops.lost_bytes}


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _used(usage: dict[str, Any]) -> str:
    def number(name: str) -> float:
        value = usage.get(name)
        return value if isinstance(value, (int, float)) else 0

    seconds, memory = number("user_s") + number("system_s"), output.size(int(number("max_rss_kb")) * 1024)
    return f"{seconds:.2f} s of CPU time, {memory} of memory at most"


def _bar(progress: dict[str, Any]) -> str:
    done, total = progress.get("done") or 0, progress.get("total")
    if not total:
        return f"{done} done"
    share = min(1.0, done / total)
    filled = int(share * BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {100 * share:.0f} %  {done} of {total}"
