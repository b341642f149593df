"""`flightlog audit`: the account of every record. Owns: its words and table. Leaves the judgement to `query.audit`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from . import output
from .choose import open_store, runs_argument, waiting

if TYPE_CHECKING:
    from ..query.audit import Audit, WriterAudit

COUNTS = ("written", "stored", "dead", "dropped", "corrupt", "missing", "duplicates", "unproven")
COLUMNS = (*COUNTS, "lost_bytes")
UNUSUAL = frozenset(COLUMNS) - {"written", "stored"}
HEADS = {"duplicates": "TWICE", "lost_bytes": "LOST"}


@click.command(short_help="Prove that nothing was lost.")
@runs_argument
@click.option("--writers", is_flag=True, help="One line per writer instead of per run.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@output.color_option
def audit(selectors: tuple[str, ...], writers: bool, form: str, color: str) -> None:
    """Compare what was written with what is stored, for RUNs or for everything: rows counted, writers' counts, ledger.

    written = stored + dead letters + dropped + corrupt; what is left is missing. Exit 1 when something is missing, doubled, dropped, corrupt,
    when output of a command was not kept, or when something cannot be proven.

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

            known = waiting(reading)
            runs = resolve(known.catalogue(), selectors) if selectors else None
            every = [*known.runs.values(), *known.parts.values()]
            held = [one for one in every if runs is None or one.run in runs]
            whose = {writer: (one.run, one.names[-1]) for one in held for writer in one.writers}
            found = ask(reading.connection, runs, reading.node, reading.pending, whose)
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
        "writer": item.writer or None,
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
    nodes = len({item.node for item in found.writers}) > 1
    if by_writer:
        head = ["PIPELINE", "RUN", *(["NODE"] if nodes else []), "WRITER", "KIND"]
        groups = [[item] for item in found.writers]
        ends = [[item.writer or "-", item.kind or "-"] for item in found.writers]
        total = [f"{len(found.writers)} writers", ""]
    else:
        head = ["PIPELINE", "RUN", *(["NODE"] if nodes else []), "WRITERS"]
        by_run: dict[tuple[str, str, str], list[WriterAudit]] = {}
        for item in found.writers:
            by_run.setdefault((item.pipeline or "", item.run, item.node), []).append(item)
        groups = list(by_run.values())
        ends = [[str(len(items))] for items in groups]
        total = [str(len(found.writers))]
    rows = [[*_whose(items[0], nodes), *end, *_counts(items)] for items, end in zip(groups, ends, strict=True)]
    if len(rows) > 1:
        rows.append(["total", "", *([""] if nodes else []), *total, *_counts(found.writers)])
    right = set(range(len(head), len(head) + len(COLUMNS))) | (set() if by_writer else {len(head) - 1})
    # On a narrow screen counts that are zero everywhere go first: the last line says the same.
    zero = [len(head) + n for n, name in enumerate(COLUMNS) if name in UNUSUAL and not found.total(name)]
    spare = [len(head) - 1, *zero, *([1] if by_writer else [])]
    lines = output.table([[*head, *(HEADS.get(name, name.upper()) for name in COLUMNS)], *rows], right, spare)
    output.say(paint(lines[0], "dim"))
    for line in lines[1:]:
        output.say(line)
    output.say(_verdict(found, paint))
    for item in found.writers:
        if not item.good:
            kind = f"{item.kind or 'writer'} {item.writer or 'of output'}"
            where = f" on {output.brief(item.node)}" if nodes else ""
            output.say(f"  {kind} of {_name(item)} {item.run[-6:] or '-'}{where}: {_wrong(item)}")


def _whose(item: WriterAudit, nodes: bool) -> list[str]:
    return [_name(item), item.run[-6:] or "-", *([output.brief(item.node)] if nodes else [])]


def _name(item: WriterAudit) -> str:
    return output.brief(item.pipeline or "-")


def _counts(items: list[WriterAudit]) -> list[str]:
    counts = [
        str(sum(bool(item.unproven) if name == "unproven" else int(getattr(item, name)) for item in items))
        for name in COUNTS
    ]
    lost = sum(item.lost_bytes for item in items)
    return [*counts, output.size(lost) if lost else "0"]


def _verdict(found: Audit, paint: output.Paint) -> str:
    """Say in words what is proven, and what is not."""
    written, pending, lost = found.total("written"), found.total("pending_bytes"), found.total("lost_bytes")
    rest = f"; {output.size(pending)} more wait in the spool" if pending else ""
    dead = f", {found.total('dead')} of them as dead letters" if found.total("dead") else ""
    stored = f"all {written} records written are stored, each once{dead}"
    if found.good:
        return paint(f"nothing is lost{' so far' if pending else ''}: {stored}{rest}", "green")
    gone = [f"{found.total(name)} {name}" for name in ("missing", "dropped", "corrupt") if found.total(name)]
    wrong = [*gone]
    if found.total("duplicates"):
        wrong.append(f"{found.total('duplicates')} stored twice")
    if found.total("unproven"):
        wrong.append(f"{found.total('unproven')} of {len(found.writers)} writers UNPROVEN")
    what = [f"{output.size(lost)} of output were not kept"] if lost else []
    what.append(f"of {written} records written, {', '.join(wrong)}{dead}" if wrong else stored)
    return paint(f"NOT {'complete' if gone or lost else 'proven complete'}: {'; '.join(what)}{rest}", "red")


def _wrong(item: WriterAudit) -> str:
    from ..query import drops

    names = ("missing", "duplicates", "dropped", "corrupt")
    more = {"dropped": f" ({output.one_line(drops.words(item.drops))})" if item.drops else ""}
    wrong = [f"{getattr(item, name)} {name}{more.get(name, '')}" for name in names if getattr(item, name)]
    if item.lost_bytes:
        wrong.append(f"{output.size(item.lost_bytes)} of output were not kept")
    return ", ".join([*wrong, *([f"unproven: {output.one_line(item.unproven)}"] if item.unproven else [])])
