"""`flightlog status`: what needs attention, or all about one run.

Owns: that screen and the JSON of a run (docs/reference/cli/status.md).
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import FlightlogError
from . import output
from .choose import answer_from_spool, open_store, runs_argument, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..query.drops import Drops
    from ..query.overhead import Cost
    from ..query.progress import Live
    from ..query.runs import Run
    from .waiting import WaitingRun

    LastLine = tuple[str, str, datetime]

BAR = 24
MOST_LIVE = 20  # stages and bars shown of one run
_ORDER = {"failed": 0, "lost": 0, "stopping": 1, "starting": 1, "running": 1, "succeeded": 2}


def as_json(run: Run, drops: Drops | None = None, live: Sequence[Live] = ()) -> dict[str, Any]:
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
        "stages": [one.as_json() for one in live],
        "rows": run.data.get("rows"),
        "git": run.data.get("git"),
        "params": run.data.get("params"),
        "lines": run.lines,
        "warnings": run.warnings,
        "errors": run.errors,
        "last_at": output.iso(run.last_at),
        "error": run.data.get("error"),
        **_dropped(drops),
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
    try:
        with open_store() as reading:
            from ..query import runs as query
            from ..query.drops import of_runs
            from ..query.selectors import resolve
            from . import room

            held: Sequence[WaitingRun] = []
            if selectors:
                chosen = resolve(waiting(reading).catalogue(), selectors)
                found = query.list_runs(reading.connection, chosen)
                held = waiting(reading).among(chosen)
            else:
                found = query.latest_of_each(reading.connection)
            dropped = of_runs(reading.connection, [run.run for run in found])
            room_now = room.facts(reading)
            backlog = output.size(reading.backlog_bytes) + " to ship" if reading.backlog_bytes else "all shipped"
            backlog += room.words(room_now)
            screen = _Screen(output.Paint(color), utc, reading.node, backlog)
            screen.last_line = lambda run: query.last_line(reading.connection, run)
            if selectors and len(found) <= 5:
                from ..query.overhead import gather
                from ..query.progress import live

                screen.live = {run.run: live(reading.connection, run) for run in found}
                screen.costs = {run.run: gather(reading.connection, run) for run in found}
            screen.dropped, screen.room = dropped, room_now
            if held:
                spool = waiting(reading).read(held)
                found = sorted([*found, *spool.only(held)], key=lambda run: run.run, reverse=True)
                screen.dropped.update(spool.dropped)
            screen.waiting = {
                one.run: f"{output.size(one.size)} in the spool: the store has nothing of it yet" for one in held
            }
            if selectors:
                for one in waiting(reading).parts_of(chosen):
                    screen.waiting[one.run] = f"{output.size(one.size)} of it in the spool: what is shown may be old"
            screen.show(found, bool(selectors), form, len(selectors) == 1)
    except FlightlogError as problem:
        answer_from_spool(problem, lambda: _show_spool(selectors, form, utc, color))
    if check and any(run.state in query.BAD for run in found):
        sys.exit(1)


def _show_spool(selectors: tuple[str, ...], form: str, utc: bool, color: str) -> None:
    from .. import identity
    from ..query.selectors import resolve
    from .spooled import Spooled

    spool = Spooled()
    names = resolve(spool, selectors) if selectors else [spool.runs_of(name)[0] for name in spool.pipelines()]
    screen = _Screen(output.Paint(color), utc, identity.node_name(), "not shipped")
    screen.dropped = spool.dropped
    screen.show([run for run in spool.all if run.run in names], bool(selectors), form, len(selectors) == 1)


class _Screen:
    """What `status` prints.

    Args:
        paint: colours.
        utc: times in UTC.
        node: this node's name.
        spool: words about what waits.

    Attributes:
        last_line: returns (level, message, time) of a run's last line, when there is one to be had.
        dropped: what was dropped, by run, as far as it is known.
        room: how full the spool is, when that is known.
        waiting: what of a run waits in the spool, in words, by run.
        live: what goes on in a run, by run.
        costs: what flightlog has cost a run, by run.
    """

    def __init__(self, paint: output.Paint, utc: bool, node: str, spool: str) -> None:
        self._paint, self._utc, self._node, self._spool = paint, utc, node, spool
        self.last_line: Callable[[str], LastLine | None] = lambda run: None
        self.dropped: dict[str, Drops] = {}
        self.room: dict[str, Any] | None = None
        self.waiting: dict[str, str] = {}
        self.live: dict[str, list[Live]] = {}
        self.costs: dict[str, Cost] = {}

    def show(self, found: list[Run], chosen: bool, form: str, one: bool) -> None:
        """Show runs: *chosen* ones with all about them when they are few, else as a table, what needs attention first."""
        if not chosen:
            found = sorted(sorted(found, key=lambda run: run.run, reverse=True), key=lambda run: _ORDER[run.state])
        if form == "json":
            shown = [as_json(run, self.dropped.get(run.run), self.live.get(run.run, ())) for run in found]
            data = shown[0] if one and len(found) == 1 else {"v": 1, "runs": shown, "spool": self.room}
            output.say(output.json_text(data))
        elif chosen and len(found) <= 5:
            for number, run in enumerate(found):
                if number:
                    output.say()
                self._show_run(run)
        elif not found:
            output.note("nothing is recorded yet. Try: flightlog run -- COMMAND")
        else:
            self._show_table(found, chosen)

    def _show_table(self, found: list[Run], chosen: bool) -> None:
        from .listing import print_runs

        if not chosen:
            bad = sum(_ORDER[run.state] == 0 for run in found)
            live = sum(_ORDER[run.state] == 1 for run in found)
            words = f"{bad} need{'s' if bad == 1 else ''} attention, {live} running, {len(found) - bad - live} fine"
            output.say(f"{self._paint(words, 'bold')}   node {output.one_line(self._node)}   spool {self._spool}")
        print_runs(found, self.dropped, self._paint, self._utc)

    def _show_run(self, run: Run) -> None:
        paint, (sign, color) = self._paint, output.STATES[run.state]
        end = f": {output.brief(run.end)}" if run.end else ""
        title = f"{sign} {output.brief(run.pipeline)} {run.short} {run.state}{end}"
        certain = f", {run.confidence}" if run.confidence not in (None, "unknown") else ""
        verdict = output.one_line(f"   verdict {run.verdict}{certain}") if run.verdict else ""
        output.say(paint(title, color) + verdict)
        facts = (
            _facts(run, self._utc, self.live.get(run.run, ()))
            + _losses(self.dropped.get(run.run))
            + _cost(self.costs.get(run.run))
        )
        if run.run in self.waiting:
            facts.append(("waits", self.waiting[run.run]))
        last = self.last_line(run.run)
        if last:
            facts.append(("last line", f"{output.clock(last[2], self._utc)} {last[0]} {last[1]}"))
        for name, value in facts:
            output.say(f"  {paint(name.ljust(9), 'dim')} {output.cut(output.one_line(value), output.width() - 12)}")


def _losses(drops: Drops | None) -> list[tuple[str, str]]:
    from ..query.drops import words

    facts = []
    if drops is not None and drops.records:
        facts.append(("dropped", f"{drops.records} records ({words(drops.counts)})"))
    if drops is not None and drops.lost_bytes:
        facts.append(("not kept", f"{output.size(drops.lost_bytes)} of output, which the console had"))
    return facts


def _facts(run: Run, utc: bool, live: Sequence[Live] = ()) -> list[tuple[str, str]]:
    facts = [("run", run.run)]
    if output.brief(run.pipeline) != output.one_line(run.pipeline):
        facts.append(("pipeline", run.pipeline))
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
    facts += [("progress", _going(one, run.stage)) for one in live[:MOST_LIVE]]
    if len(live) > MOST_LIVE:
        facts.append(("progress", f"and {len(live) - MOST_LIVE} more, see -o json"))
    if run.progress and not live:
        inside = run.progress.get("stage")
        facts.append(("progress", _bar(run.progress) + (f" in {inside}" if inside not in (None, run.stage) else "")))
    facts.append(("lines", f"{run.lines}, {_count(run.warnings, 'warning')}, {_count(run.errors, 'error')}"))
    rows = run.data.get("rows")
    if isinstance(rows, dict):
        facts.append(("rows", _rows(rows)))
    facts += _made_of(run)
    error = run.data.get("error")
    if isinstance(error, dict):
        facts.append(("error", f"{error.get('type')}: {error.get('message')}"))
    usage = (run.data.get("end") or {}).get("rusage")
    if isinstance(usage, dict):
        facts.append(("used", _used(usage)))
    return facts


def _dropped(drops: Drops | None) -> dict[str, Any]:
    if drops is None:  # the spool does not tell it by run
        return {"dropped": None, "drops": None, "lost_bytes": None}
    return {"dropped": drops.records, "drops": drops.counts, "lost_bytes": drops.lost_bytes}


def _cost(cost: Cost | None) -> list[tuple[str, str]]:
    from .overhead_run import brief

    text = brief(cost) if cost is not None else ""
    return [("overhead", text)] if text else []


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _used(usage: dict[str, Any]) -> str:
    def number(name: str) -> float:
        value = usage.get(name)
        return value if isinstance(value, (int, float)) else 0

    seconds, memory = number("user_s") + number("system_s"), output.size(int(number("max_rss_kb")) * 1024)
    return f"{seconds:.2f} s of CPU time, {memory} of memory at most"


def _made_of(run: Run) -> list[tuple[str, str]]:
    """Return what the run was made of, as far as its SDK said it."""
    facts = []
    params, commit = run.data.get("params"), run.data.get("git")
    if isinstance(params, dict) and params:
        facts.append(("params", ", ".join(f"{name}={value}" for name, value in params.items())))
    if isinstance(commit, str):
        facts.append(("code", f"commit {commit[:12]}, {run.data.get('python') or 'python'}"))
    if run.attempt > 1:
        facts.append(("attempt", f"{run.attempt}, the first was {run.origin or 'not told'}"))
    return facts


def _going(one: Live, stage: str | None) -> str:
    """Return a stage or bar that goes on in one line: bar, percent, done of total, rate, what is left, where."""
    words = []
    if one.done or one.total:
        words.append(_bar({"done": _whole(one.done), "total": None if one.total is None else _whole(one.total)}))
    words.append(f"for {output.duration(one.elapsed)}")
    if one.rate is not None:
        words.append(
            f"{one.rate:.{0 if one.rate >= 100 else 1 if one.rate >= 1 else 3}f} {one.unit or ''}".rstrip() + "/s"
        )
    if one.left.p50 is not None:
        bound = "" if one.left.p90 is None else f" (P90 {output.duration(one.left.p90)}"
        if bound and one.left.judged:
            bound += f", which held {one.left.held} of {one.left.judged} times"
        words.append(f"{output.duration(one.left.p50)} left" + (bound + ")" if bound else ""))
    if one.rows:
        words.append(_rows(one.rows))
    if one.processes > 1:
        words.append(f"{one.processes} at once")
    text = ", ".join(words)
    if one.bar is not None:
        text += f" in the bar {output.brief(one.bar)}" if one.bar else " in a bar"
    return text + (f" in {output.brief(one.stage)}" if one.stage and one.stage != stage else "")


def _whole(number: float) -> float:
    return int(number) if number == int(number) else round(number, 3)


def _rows(rows: dict[str, Any]) -> str:
    return f"{_whole(rows.get('read') or 0)} rows read, {_whole(rows.get('written') or 0)} written"


def _bar(progress: dict[str, Any]) -> str:
    done, total = progress.get("done") or 0, progress.get("total")
    if not total:
        return f"{done} done"
    share = min(1.0, done / total)
    filled = int(share * BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {100 * share:.0f} %  {done} of {total}"
