"""`flightlog config`: what holds and why, whether a file is right, what a key means.

Invariants: no secret is printed; nothing is changed, started or connected to. Owns: these commands' words and their JSON (docs/reference/cli/config.md).
Leaves what is right and what holds to `config`.
"""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any

import click

from ..config import effective
from ..config.keys import KEYS
from ..errors import NotFound
from . import output

if TYPE_CHECKING:
    from ..config.effective import Effective
    from ..config.settings import Examined, Problem

_OUTPUT = click.option(
    "-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it."
)


@click.group(short_help="Look at the settings, check a file, explain a key.")
def config() -> None:
    """Look at the settings, check a file, explain a key.

    \b
    Examples:
      flightlog config show
      flightlog config check config.yml
      flightlog config explain agent.batch_rows
    """


@config.command(short_help="Show what holds, and where each value comes from.")
@click.option("--set", "only_set", is_flag=True, help="Only what is not the default's.")
@_OUTPUT
def show(only_set: bool, form: str) -> None:
    """Show what holds for what begins now, and where each value comes from. Secrets are masked.

    \b
    Examples:
      flightlog config show
      flightlog config show --set
    """
    found = effective.examine()
    chosen = [one for one in effective.values(found) if not only_set or one.source != effective.DEFAULT]
    if form == "json":
        rows = [{"key": one.key, "value": one.value, "source": one.source, "default": one.default} for one in chosen]
        output.say(output.json_text({"v": 1, **_file(found), "settings": rows}))
        return
    rows_ = [["KEY", "VALUE", "FROM"]] + [[one.key, output.one_line(one.value), one.source] for one in chosen]
    output.say("\n".join(output.table(rows_, set())))
    if found.problems:
        count = _count(len(found.problems), "problem")
        output.note(f"{found.path} has {count} and is not taken; what runs keeps what it had")
        output.note("Try: flightlog config check")
    elif not found.path:
        output.note("no config file: the defaults apply")


@config.command(short_help="Check a file: everything that is wrong, in one go.")
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Exit 1 for warnings as well.")
@_OUTPUT
@click.pass_context
def check(context: click.Context, file: str | None, strict: bool, form: str) -> None:
    """Check FILE, by default the config file that applies here. Exit 1 when something is wrong with it.

    \b
    Examples:
      flightlog config check
      flightlog config check --strict /etc/flightlog/config.yml
    """
    if file is not None and not os.path.exists(file):
        raise NotFound(f"{file} is not there", "flightlog config check FILE")
    found = effective.examine(None if file is None else os.path.abspath(file))
    if form == "json":
        output.say(output.json_text({"v": 1, **_file(found), "valid": not found.problems}))
    else:
        for one in found.problems:
            output.say(f"{output.one_line(one.message)}\n    Try: {output.one_line(one.remedy)}")
        for one in found.warnings:
            output.say(f"warning: {output.one_line(one.message)}\n    Try: {output.one_line(one.remedy)}")
        output.say(_summary(found))
    context.exit(1 if found.problems or (strict and found.warnings) else 0)


@config.command(short_help="Explain a key, or list the keys.")
@click.argument("key", required=False)
@_OUTPUT
def explain(key: str | None, form: str) -> None:
    """Explain KEY: what it takes, its default, when a change counts, what holds now. A block or nothing lists keys.

    \b
    Examples:
      flightlog config explain
      flightlog config explain logging.file
      flightlog config explain batch_rows
    """
    keys = _keys(key or "")
    found = effective.examine()
    held = {one.key: one for one in effective.values(found)}
    if form == "json":
        output.say(output.json_text({"v": 1, "keys": [_as_json(held[one]) for one in keys]}))
    elif len(keys) == 1:
        output.say("\n".join(_explanation(held[keys[0]])))
    else:
        rows = [["KEY", "TYPE", "DEFAULT", "MEANING"]]
        rows += [[one, KEYS[one].kind.name, held[one].default, _first(KEYS[one].meaning)] for one in keys]
        output.say("\n".join(output.table(rows, set())))


def _keys(wanted: str) -> list[str]:
    """Return the keys that *wanted* names: one, those of a block, all. Raises NotFound."""
    if wanted in KEYS or not wanted:
        return [wanted] if wanted else list(KEYS)
    below = [one for one in KEYS if one.startswith(wanted.rstrip(":.") + ".")]
    below = below or [one for one in KEYS if one.endswith("." + wanted)]
    if not below:
        near = difflib.get_close_matches(wanted.lower(), KEYS, 1, 0.5)
        raise NotFound(
            f"no such key: {wanted}", f"flightlog config explain {near[0]}" if near else "flightlog config explain"
        )
    return below


def _file(found: Examined) -> dict[str, Any]:
    return {
        "file": found.path or None,
        "problems": [_problem(one) for one in found.problems],
        "warnings": [_problem(one) for one in found.warnings],
    }


def _problem(one: Problem) -> dict[str, Any]:
    return {
        "line": one.line or None,
        "key": one.key or None,
        "value": one.value or None,
        "reason": one.reason,
        "remedy": one.remedy,
    }


def _as_json(one: Effective) -> dict[str, Any]:
    known = KEYS[one.key]
    return {
        "key": one.key,
        "type": known.kind.name,
        "unit": known.kind.unit or None,
        "bounds": known.kind.bounds or None,
        "default": one.default,
        "taken_over": known.taken,
        "since": known.since,
        "variable": known.variable or None,
        "example": known.example,
        "meaning": known.meaning,
        "value": one.value,
        "source": one.source,
    }


def _explanation(one: Effective) -> list[str]:
    known = KEYS[one.key]
    *blocks, last = one.key.split(".")
    facts = [
        ("type", known.kind.name),
        ("unit", known.kind.unit),
        ("bounds", known.kind.bounds),
        ("default", one.default),
        ("now", f"{output.one_line(one.value)} (from {one.source})"),
        ("taken over", known.taken),
        ("variable", known.variable),
        ("since", known.since),
    ]
    lines = [one.key, "", *[f"  {name:<11}{text}" for name, text in facts if text], "", f"  {known.meaning}", ""]
    lines += [f"  {'  ' * depth}{block}:" for depth, block in enumerate(blocks)]
    return [*lines, f"  {'  ' * len(blocks)}{last}: {known.example}"]


def _first(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


def _summary(found: Examined) -> str:
    if not found.path:
        return "no config file: the defaults apply"
    warnings = f", {_count(len(found.warnings), 'warning')}" if found.warnings else ""
    if found.problems:
        return f"{found.path}: {_count(len(found.problems), 'problem')}{warnings}: it is not taken"
    return f"{found.path}: valid, {_count(len(found.lines), 'key')} set{warnings}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
