"""`flightlog audit`: the account of every record. Owns: its words and table. Leaves the judgement to `query.audit`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from . import output
from .choose import open_store, runs_argument

if TYPE_CHECKING:
    from ..query.audit import Audit, WriterAudit

COUNTS = ("written", "stored", "dead", "dropped", "corrupt", "missing", "duplicates", "unproven")


@click.command(short_help="Prove that nothing was lost.")
@runs_argument
@click.option("--writers", is_flag=True, help="One line per writer instead of per run.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@output.color_option
def audit(selectors: tuple[str, ...], writers: bool, form: str, color: str) -> None:
    """Compare what was written with what is stored, for RUNs or for everything: rows counted, writers' counts, ledger.

    Exit 1 when something is missing, doubled, dropped, corrupt, or cannot be proven.

    \b
    Examples:
      flightlog audit
      flightlog audit orders --writers
      flightlog audit -o json | jq .missing
    """
    with open_store() as reading:
        from ..query.audit import audit as ask
        from ..query.selectors import resolve

        runs = resolve(reading.connection, selectors) if selectors else None
        found = ask(reading.connection, runs, reading.node, reading.pending)
    if form == "json":
        total: dict[str, Any] = {"v": 1, "good": found.good, **{name: found.total(name) for name in COUNTS}}
        total["pending_bytes"] = found.total("pending")
        total["writers"] = [asdict(item) for item in found.writers]
        click.echo(json.dumps(total))
    else:
        _print(found, writers, output.Paint(color))
    if not found.good:
        sys.exit(1)


def _print(found: Audit, by_writer: bool, paint: output.Paint) -> None:
    if not found.writers:
        click.echo("nothing was recorded", err=True)
        return
    head = ["PIPELINE", "RUN", "WRITERS", *(name.upper() for name in COUNTS)]
    if by_writer:
        head[2] = "WRITER"
        rows = [[_name(item), item.run[-6:], f"{item.writer} {item.kind}", *_counts([item])] for item in found.writers]
    else:
        groups: dict[tuple[str, str], list[WriterAudit]] = {}
        for item in found.writers:
            groups.setdefault((_name(item), item.run[-6:]), []).append(item)
        rows = [[*key, str(len(items)), *_counts(items)] for key, items in groups.items()]
    if len(rows) > 1:
        rows.append(["total", "", str(len(found.writers)), *_counts(found.writers)])
    right = set(range(3, len(head))) | (set() if by_writer else {2})
    lines = output.table([head, *rows], right)
    click.echo(paint(lines[0], "dim"))
    for line in lines[1:]:
        click.echo(line)
    click.echo(_verdict(found, paint))
    for item in found.writers:
        if item.unproven:
            click.echo(f"  unproven: writer {item.writer} of {_name(item)} {item.run[-6:]}: {item.unproven}")


def _name(item: WriterAudit) -> str:
    return output.one_line(item.pipeline or "-")


def _counts(items: list[WriterAudit]) -> list[str]:
    return [
        str(sum(bool(item.unproven) if name == "unproven" else int(getattr(item, name)) for item in items))
        for name in COUNTS
    ]


def _verdict(found: Audit, paint: output.Paint) -> str:
    written, pending = found.total("written"), found.total("pending")
    rest = f"; {output.size(pending)} more wait in the spool" if pending else ""
    if found.good:
        kept = f" ({found.total('dead')} as dead letters)" if found.total("dead") else ""
        return paint(f"nothing is lost: all {written} records written are stored once{kept}{rest}", "green")
    names = ("missing", "duplicates", "dropped", "corrupt")
    wrong = [f"{found.total(name)} {name}" for name in names if found.total(name)]
    if found.total("unproven"):
        wrong.append(f"{found.total('unproven')} writers UNPROVEN")
    return paint(f"NOT everything is accounted for: {', '.join(wrong)} of {written} records{rest}", "red")
