"""`flightlog why`: the cause of a run's end, with what proves it, where it was, what has changed, and what to do.

Owns: that page and its JSON (docs/reference/cli/why.md). Leaves evidence to `query.why`, the verdict to `process.verdict`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from . import output
from .choose import open_store, runs_argument, waiting

if TYPE_CHECKING:
    from ..query.runs import Run
    from ..query.why import Evidence

_SURE = {"proven": "proven", "likely": "likely", "unknown": "not proven"}


@click.command(short_help="Explain how a run ended.")
@runs_argument
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@output.color_option
def why(selectors: tuple[str, ...], form: str, utc: bool, color: str) -> None:
    """Explain why RUN ended as it did; without RUN, the latest one that failed.

    \b
    Examples:
      flightlog why
      flightlog why orders
      flightlog why orders@-1 -o json | jq -r .verdict
    """
    from .. import identity
    from ..process.advice import advise
    from ..process.verdict import judge
    from ..query import runs as query
    from ..query import why as reading_why
    from ..query.selectors import resolve

    with open_store() as reading:
        chosen = resolve(waiting(reading).catalogue(), selectors or ("@failed",))
        held = {one.run for one in waiting(reading).among(chosen)}
        found = query.list_runs(reading.connection, chosen)
        boot = identity.boot_id()
        pages = []
        for run in found:
            evidence = reading_why.gather(reading.connection, run, boot if run.node == reading.node else "")
            judged = judge(evidence.data) if run.final else {}
            pages.append((evidence, judged, advise(judged.get("verdict", ""), evidence.data, run.short)))
        for missing in sorted(held - {run.run for run in found}):
            output.note(
                f"{identity.short(missing)} is not in the store yet; flightlog status {identity.short(missing)}"
            )
    if form == "json":
        documents = [as_json(*page) for page in pages]
        output.say(output.json_text(documents[0] if len(documents) == 1 else {"v": 1, "runs": documents}))
    else:
        for number, page in enumerate(pages):
            if number:
                output.say()
            _Page(output.Paint(color), utc).show(*page)
    if not pages:
        sys.exit(4)


def as_json(evidence: Evidence, judged: dict[str, Any], advice: list[str]) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    run = evidence.run
    return {
        "v": 1,
        "run": run.run,
        "short": run.short,
        "pipeline": run.pipeline,
        "state": run.state,
        "exit_code": run.exit_code,
        "term_signal": run.term_signal,
        "verdict": judged.get("verdict"),
        "confidence": judged.get("confidence"),
        "evidence": judged.get("because", []),
        "ruled_out": judged.get("ruled_out", []),
        "faults": evidence.data.get("faults", []),
        "stage": run.stage,
        "progress": run.progress,
        "last_lines": [{"ts": output.iso(ts), "level": level, "message": text} for ts, level, text in evidence.lines],
        "compared_with": evidence.before.run if evidence.before else None,
        "changed": [{"what": what, "before": then, "now": now} for what, then, now in evidence.changed],
        "advice": advice,
        "ended_at": output.iso(run.ended_at),
    }


class _Page:
    """What people see."""

    def __init__(self, paint: output.Paint, utc: bool) -> None:
        self._paint, self._utc = paint, utc

    def show(self, evidence: Evidence, judged: dict[str, Any], advice: list[str]) -> None:
        """Print one run's page."""
        run = evidence.run
        self._title(run, judged)
        for sentence in judged.get("because", []):
            self._row("evidence", sentence)
        for sentence in judged.get("ruled_out", []):
            self._row("ruled out", sentence)
        where = " ".join(part for part in (run.stage or "", _progress(run)) if part)
        if where:
            self._row("where", where)
        for ts, level, text in evidence.lines[-3:]:
            self._row("last line", f"{output.clock(ts, self._utc)} {level} {text}")
        if evidence.before:
            self._changed(evidence)
        for sentence in advice:
            self._row("to do", sentence)
        if run.final:
            self._row("more", f"flightlog status {run.short}; flightlog logs {run.short}; flightlog audit {run.short}")

    def _title(self, run: Run, judged: dict[str, Any]) -> None:
        sign, color = output.STATES[run.state]
        name = f"{sign} {output.brief(run.pipeline)} {run.short}"
        if not run.final:
            self._say(f"{name} goes on, for {output.duration(run.seconds)}", color)
            return
        when = f" at {output.clock(run.ended_at, self._utc, date=True)}" if run.ended_at else ""
        self._say(f"{name} {run.state}{when}{f': {run.end}' if run.end else ''}", color)
        verdict = f"{judged['verdict']}, {_SURE[judged['confidence']]}"
        self._row("verdict", self._paint(verdict, "bold"))

    def _changed(self, evidence: Evidence) -> None:
        before = evidence.before
        assert before is not None
        since = f"since the last good run, {before.short} of {output.clock(before.started_at, self._utc, date=True)}"
        if not evidence.changed:
            self._row("changed", f"nothing that is known here, {since}")
        for number, (what, then, now) in enumerate(evidence.changed):
            self._row("changed", f"{what}: {then} -> {now}" + ("" if number else f"   ({since})"))

    def _say(self, text: str, color: str) -> None:
        output.say(self._paint(output.cut(output.one_line(text), output.width()), color))

    def _row(self, name: str, text: str) -> None:
        shown = text if text.startswith("\x1b[1m") else output.one_line(text)
        output.say(
            f"  {self._paint(name.ljust(9), 'dim')} {output.cut(shown, output.width() - 12) if shown == text else shown}"
        )


def _progress(run: Run) -> str:
    progress = run.progress
    if not progress:
        return ""
    total = f" of {progress['total']}" if progress.get("total") else ""
    return f"{progress.get('done') or 0}{total} done"
