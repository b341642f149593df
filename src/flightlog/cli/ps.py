"""`flightlog ps`: the processes that are kept under a name on this node. Owns: that table. Leaves its fields to `process.view`."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from . import output
from .keep import complete_processes

BAD = frozenset(("failed", "quarantined", "stop_failed", "lost"))
_SIGNS = {
    "running": (">", "blue"),
    "starting": (">", "blue"),
    "lingering": (">", "blue"),
    "stopping": (">", "blue"),
    "killing": (">", "blue"),
    "paused": ("=", "yellow"),
    "backoff": ("~", "yellow"),
    "succeeded": ("*", "green"),
    "stopped": ("*", "dim"),
}
_HEAD = ("", "STATE", "NAME", "PID", "UP", "RESTARTS", "RUN", "LAST END", "COMMAND")


@click.command(short_help="List the processes that are kept by name.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_processes)
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.option("--exit-code", "check", is_flag=True, help="Exit 1 when one shown failed or could not be ended.")
@output.color_option
def ps(names: tuple[str, ...], form: str, check: bool, color: str) -> None:
    """List the processes that were started by name on this node, and how each ended last.

    One that has lost its caretaker gets another.

    \b
    Examples:
      flightlog ps
      flightlog ps api -o json | jq .processes[0].state
    """
    from ..process.controller import ProcessController

    keep = ProcessController()
    found = [keep.get_process_status(name) for name in names] if names else keep.list_processes()
    if form == "json":
        output.say(output.json_text({"v": 1, "processes": found}))
    elif not found:
        output.note("nothing is kept by name. Try: flightlog start NAME -- COMMAND")
    else:
        _table(found, output.Paint(color))
    if check and any(one["state"] in BAD for one in found):
        sys.exit(1)


def _table(found: list[dict[str, Any]], paint: output.Paint) -> None:
    rows = [list(_HEAD), *[_row(one) for one in found]]
    if any(one["group"] for one in found):
        for row, text in zip(rows, ["GROUP", *[_group(one) for one in found]], strict=True):
            row.insert(-1, text)
    for number, line in enumerate(output.table(rows, {3, 4, 5}, (8, 6, 5))):
        if not number:
            output.say(line)
            continue
        one = found[number - 1]
        output.say(paint(line, _SIGNS.get(one["state"], ("!", "red"))[1]))
        if one["problem"]:
            output.say(f"   {output.one_line(one['problem'])}")
        for text in one["survivors"]:
            output.say(f"   still there: {output.one_line(text)}")


def _row(one: dict[str, Any]) -> list[str]:
    sign = _SIGNS.get(one["state"], ("!", "red"))[0]
    state = one["state"]
    if one["next_start_s"] is not None:
        state = f"{state} {output.duration(one['next_start_s'])}"
    end = one["term_signal"] or (f"exit {one['exit_code']}" if one["exit_code"] is not None else "")
    if one["verdict"] not in (None, "ok", "exit-status"):
        end = f"{end} ({one['verdict']})".strip()
    return [
        sign,
        state,
        output.one_line(one["name"]),
        str(one["pid"] or "-"),
        output.duration(one["uptime_s"]) if one["uptime_s"] is not None else "-",
        str(one["restarts"]),
        one["run"][-6:] if one["run"] else "-",
        end or "-",
        output.one_line(shlex.join(one["command"])),
    ]


def _group(one: dict[str, Any]) -> str:
    return output.one_line(f"{one['strategy']}: {','.join(one['group'])}") if one["group"] else "-"
