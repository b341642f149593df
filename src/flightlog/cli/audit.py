"""`flightlog audit`: the account of every record. Owns: its words and table. Leaves the judgement to `query.audit`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from . import output
from .choose import open_store, runs_argument

if TYPE_CHECKING:
    from ..query.audit import Audit, WriterAudit

COUNTS = ("written", "stored", "dead", "dropped", "corrupt", "missing", "duplicates", "unproven")
UNUSUAL = frozenset(("dead", "dropped", "corrupt", "duplicates", "missing", "unproven"))
HEADS = {"duplicates": "TWICE"}


@click.command(short_help="Prove that nothing was lost.")
@runs_argument
@click.option("--writers", is_flag=True, help="One line per writer instead of per run.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@output.color_option
def audit(selectors: tuple[str, ...], writers: bool, form: str, color: str) -> None:
    """Compare what was written with what is stored, for RUNs or for everything: rows counted, writers' counts, ledger.

    written = stored + dead letters + dropped + corrupt; what is left is missing. Exit 1 when something is missing, doubled, dropped, corrupt,
    or when something cannot be proven.

    \b
    Examples:
      flightlog audit
      flightlog audit orders --writers
      flightlog audit -o json | jq .missing
    """
    found = _ask(selectors)
    if form == "json":
        output.say(output.json_text(_as_json(found)))
    else:
        _print(found, writers, output.Paint(color))
    if not found.good:
        sys.exit(1)


def _ask(selectors: tuple[str, ...]) -> Audit:
    """Return the account. A writer that began between the look at the spool and the look at the store seems to have no files: look again."""
    for ship in (True, False):
        with open_store(ship) as reading:
            from ..query.audit import VANISHED
            from ..query.audit import audit as ask
            from ..query.selectors import resolve

            runs = resolve(reading.connection, selectors) if selectors else None
            found = ask(reading.connection, runs, reading.node, reading.pending)
        if all(item.unproven != VANISHED for item in found.writers):
            break
    return found


def _as_json(found: Audit) -> dict[str, Any]:
    """Return the account as the contract of `-o json` says (docs/reference/cli/audit.md)."""
    from ..query import drops

    return {
        "v": 1,
        "good": found.good,
        **{name: found.total(name) for name in COUNTS},
        "drops": drops.total(item.drops for item in found.writers),
        "lost_bytes": found.total("lost_bytes"),
        "torn_bytes": found.total("torn_bytes"),
        "pending_bytes": found.total("pending_bytes"),
        "writers": [_writer_as_json(item) for item in found.writers],
    }


def _writer_as_json(item: WriterAudit) -> dict[str, Any]:
    return {
        "writer": item.writer,
        "node": item.node,
        "kind": item.kind or None,
        "run": item.run or None,
        "pipeline": item.pipeline,
        "good": item.good,
        **{name: getattr(item, name) for name in COUNTS if name != "unproven"},
        "unproven": int(bool(item.unproven)),
        "reason": item.unproven or None,
        "drops": item.drops,
        "lost_bytes": item.lost_bytes,
        "torn_bytes": item.torn_bytes,
        "pending_bytes": item.pending_bytes,
        "closed": item.closed,
    }


def _print(found: Audit, by_writer: bool, paint: output.Paint) -> None:
    if not found.writers:
        output.note("nothing was recorded")
        return
    if by_writer:
        head = ["PIPELINE", "RUN", "WRITER", "KIND"]
        rows = [[_name(item), item.run[-6:], item.writer, item.kind, *_counts([item])] for item in found.writers]
        total = ["total", "", f"{len(found.writers)} writers", ""]
    else:
        head = ["PIPELINE", "RUN", "WRITERS"]
        groups: dict[tuple[str, str], list[WriterAudit]] = {}
        for item in found.writers:
            groups.setdefault((item.pipeline or "", item.run), []).append(item)
        rows = [[_name(items[0]), run[-6:], str(len(items)), *_counts(items)] for (_, run), items in groups.items()]
        total = ["total", "", str(len(found.writers))]
    if len(rows) > 1:
        rows.append([*total, *_counts(found.writers)])
    right = set(range(len(head), len(head) + len(COUNTS))) | (set() if by_writer else {2})
    # On a narrow screen counts that are zero everywhere go first: the last line says the same.
    zero = [len(head) + n for n, name in enumerate(COUNTS) if name in UNUSUAL and not found.total(name)]
    spare = [3, *zero, 1] if by_writer else [2, *zero]
    lines = output.table([[*head, *(HEADS.get(name, name.upper()) for name in COUNTS)], *rows], right, spare)
    output.say(paint(lines[0], "dim"))
    for line in lines[1:]:
        output.say(line)
    output.say(_verdict(found, paint))
    for item in found.writers:
        if not item.good:
            output.say(f"  writer {item.writer} of {_name(item)} {item.run[-6:] or '-'}: {_wrong(item)}")


def _name(item: WriterAudit) -> str:
    return output.one_line(item.pipeline or "-")


def _counts(items: list[WriterAudit]) -> list[str]:
    return [
        str(sum(bool(item.unproven) if name == "unproven" else int(getattr(item, name)) for item in items))
        for name in COUNTS
    ]


def _verdict(found: Audit, paint: output.Paint) -> str:
    """Say in words what is proven, and what is not."""
    written, pending = found.total("written"), found.total("pending_bytes")
    rest = f"; {output.size(pending)} more wait in the spool" if pending else ""
    dead = f", {found.total('dead')} of them as dead letters" if found.total("dead") else ""
    if found.good:
        return paint(f"nothing is lost{' so far' if pending else ''}: all {written} records written are stored, each once{dead}{rest}", "green")
    wrong = [f"{found.total(name)} {name}" for name in ("missing", "dropped", "corrupt") if found.total(name)]
    if found.total("duplicates"):
        wrong.append(f"{found.total('duplicates')} stored twice")
    if found.total("lost_bytes"):
        wrong.append(f"{output.size(found.total('lost_bytes'))} of output not kept")
    if found.total("unproven"):
        wrong.append(f"{found.total('unproven')} of {len(found.writers)} writers UNPROVEN")
    return paint(f"NOT proven complete: of {written} records written, {', '.join(wrong)}{dead}{rest}", "red")


def _wrong(item: WriterAudit) -> str:
    from ..query import drops

    names = ("missing", "duplicates", "dropped", "corrupt")
    more = {"dropped": f" ({output.one_line(drops.words(item.drops))})" if item.drops else ""}
    wrong = [f"{getattr(item, name)} {name}{more.get(name, '')}" for name in names if getattr(item, name)]
    if item.lost_bytes:
        wrong.append(f"{output.size(item.lost_bytes)} of output not kept")
    return ", ".join([*wrong, *([f"unproven: {output.one_line(item.unproven)}"] if item.unproven else [])])
