"""`flightlog redact`: what would be masked in a text, and by which rule; which rules there are.

Invariants: what a rule found is never printed, only where. Owns: this command's words. Leaves rules to `redact`, the config file to `config`.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .. import redact as rules
from ..config import compiling, reader, settings, switch
from ..errors import UsageError
from .output import json_text, table

MAX_INPUT = 16 << 20
_SHOWN = {ord(c): f"\\x{ord(c):02x}" for c in map(chr, [*range(9), *range(11, 32), *range(127, 160)])}


@click.command()
@click.option("--test", is_flag=True, help="Show TEXT (default, and for -: standard input) as it would be stored.")
@click.option("--list", "list_", is_flag=True, help="List the rules in force and where each comes from.")
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.argument("text", required=False)
def redact(test: bool, list_: bool, output: str, text: str | None) -> None:
    """Show how secrets are masked before anything is stored.

    A secret given as TEXT stays in the shell's history; standard input does not.

    \b
    Examples:
      flightlog redact --test < suspicious.log
      echo 'postgres://bob:hunter2@db/orders' | flightlog redact --test
      flightlog redact --list
    """
    if test == list_:
        raise UsageError("say what to do: --test or --list", "flightlog redact --help")
    if list_ and text is not None:
        raise UsageError("--list takes no TEXT", "flightlog redact --list")
    config = switch.find_config()
    chosen = settings.load(config)
    rules.configure(compiling.handed_on(chosen)["logging"]["redact"])
    if list_:
        _list(config, chosen.logging.redact, output)
    else:
        _test(_input() if text in (None, "-") else str(text), output)


def _input() -> str:
    data = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise UsageError(f"more than {MAX_INPUT >> 20} MiB", "give a part of it")
    return data.decode("utf-8", "backslashreplace")


def _test(text: str, output: str) -> None:
    stored, found = rules.text(text), rules.find(text)
    if output == "json":
        hits = [{"rule": rule, "begin": begin, "end": end} for begin, end, rule in found]
        click.echo(json_text({"v": 1, "stored": stored, "changed": stored != text, "hits": hits}))
        return
    click.echo(stored.translate(_SHOWN), nl=not stored.endswith("\n"))
    rows = [["RULE", "LINE", "COLUMN", "CHARACTERS"]]
    for begin, end, rule in found:
        line = text.count("\n", 0, begin)
        column = begin - (text.rfind("\n", 0, begin) + 1)
        rows.append([rule, str(line + 1), str(column + 1), str(end - begin)])
    if found:
        click.echo("\n".join(table(rows, {1, 2, 3})), err=True)
    else:
        click.echo("nothing is masked", err=True)


def _list(config: str, chosen: settings.Redact, output: str) -> None:
    entries: list[dict[str, Any]] = [
        {"rule": rule, "finds": finds, "from": "built in"} for rule, finds in rules.listing()
    ]
    lines = reader.read(config, ("logging",)) if config else {}
    for kind, rule, items in (
        ("keys", "key", chosen.keys),
        ("allow", "key-allowed", chosen.allow),
        ("patterns", "pattern", chosen.patterns),
    ):
        setting = lines.get(f"logging.redact.{kind}")
        for index, item in enumerate(items):
            line = setting.items[index] if setting is not None and index < len(setting.items) else 0
            name = f"{rule}-{index + 1}" if kind == "patterns" else rule
            entries.append({"rule": name, "finds": item, "from": f"{config}:{line}"})
    if output == "json":
        click.echo(json_text({"v": 1, "enabled": chosen.enabled, "rules": entries}))
        return
    if not chosen.enabled:
        click.echo("redaction is switched off (logging.redact.enabled): none of these rules is applied", err=True)
    rows = [["RULE", "FINDS", "FROM"]] + [[entry["rule"], entry["finds"], entry["from"]] for entry in entries]
    click.echo("\n".join(table(rows, set())))
