"""What a run's end is judged from, out of the store: the shim's evidence, what died inside, what is usual, what has changed since the last good run.

Owns: reading it, and putting it into the form that the judge takes (docs/reference/evidence.md). Leaves the verdict to `process.verdict`, which this
package may not know, and words on the screen to the faces. Times are aware, UTC.
"""

from __future__ import annotations

import datetime
import statistics
from dataclasses import dataclass, field
from typing import Any

from ..store.db import Connection
from . import runs
from .ask import ask

LAST_LINES = 5
LEAST_HISTORY = 5  # good runs before anything is called usual


@dataclass(frozen=True)
class Evidence:
    """See the module.

    Attributes:
        run: the run.
        data: what the judge takes.
        lines: its last lines, oldest first: (time, level, message).
        before: the latest good run before it, None when there is none.
        changed: what is different from it: (what, then, now).
    """

    run: runs.Run
    data: dict[str, Any]
    lines: list[tuple[datetime.datetime, str, str]] = field(default_factory=list)
    before: runs.Run | None = None
    changed: list[tuple[str, str, str]] = field(default_factory=list)


def gather(connection: Connection, run: runs.Run, boot_now: str = "") -> Evidence:
    """Return the evidence about one run. Raises SinkError.

    Args:
        connection: to the store.
        run: the run.
        boot_now: the id of this boot, when the run's node is this one.
    """
    data: dict[str, Any] = {"command": run.command or []}
    for _, told in reversed(ask(connection, "why", "ends", run=run.run)):
        data.update({key: value for key, value in told.items() if value is not None})
    stalls = [{**told, "kind": "stall", "t": _ns(ts)} for ts, told in ask(connection, "why", "stalls", run=run.run)]
    if stalls and not data.get("stalls"):
        data["stalls"] = stalls
    if not data.get("faults"):
        data["faults"] = _faults(connection, run, data)
    if run.state == "lost" and boot_now:
        boots = [row[0] for row in ask(connection, "why", "boots", run=run.run, node=run.node)]
        if boots:
            data["boot"], data["boot_now"] = (boot_now if boot_now in boots else boots[0]), boot_now
    data["history"] = _history(connection, run)
    lines = [
        (ts, level, message)
        for ts, level, message in ask(connection, "why", "last_lines", run=run.run, limit=LAST_LINES)
    ]
    found = ask(connection, "why", "last_good", pipeline=run.pipeline, run=run.run)
    before = runs.get(connection, found[0][0]) if found else None
    return Evidence(run, data, lines[::-1], before, _changed(before, run) if before else [])


def _faults(connection: Connection, run: runs.Run, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what died inside, of the records: for runs that nobody supervised, and of before evidence was kept."""
    faults = []
    for ts, pid, thread, message, file, line, func, exception in ask(connection, "why", "uncaught", run=run.run):
        known = exception if isinstance(exception, dict) else {}
        where = f"{file}:{line} {func or ''}".strip() if file else ""
        faults.append(
            {
                "t": _ns(ts),
                "pid": pid,
                "kind": "uncaught" if thread in (None, "", "MainThread") and pid in (None, run.pid) else "thread",
                "type": known.get("type") or message.partition(":")[0],
                "module": known.get("module"),
                "message": known.get("message") or "",
                "where": where,
                "thread": thread,
            }
        )
    error = data.get("error")
    if not faults and isinstance(error, dict):
        faults.append({**{key: error.get(key) for key in ("type", "module", "message")}, "kind": "uncaught", "t": 0})
    return faults


def _history(connection: Connection, run: runs.Run) -> dict[str, Any]:
    """Return what is usual for this pipeline, and what this run has of it; empty while too little is known."""
    rows = ask(connection, "why", "history", pipeline=run.pipeline, run=run.run)
    if len(rows) < LEAST_HISTORY:
        return {}
    usual = {
        name: {"least": min(values), "most": max(values), "middle": statistics.median(values)}
        for name, values in (
            ("lines", [row[0] for row in rows]),
            ("warnings", [row[1] for row in rows]),
            ("seconds", [row[2] for row in rows]),
        )
    }
    return {
        "runs": len(rows),
        "usual": usual,
        "this": {"lines": run.lines, "warnings": run.warnings, "seconds": run.seconds},
    }


def _changed(before: runs.Run, run: runs.Run) -> list[tuple[str, str, str]]:
    """Return what is different: (what, then, now), as text."""
    pairs: list[tuple[str, Any, Any]] = [
        ("command", " ".join(before.command or []), " ".join(run.command or [])),
        ("directory", before.cwd, run.cwd),
        ("user", before.os_user, run.os_user),
        ("node", before.node, run.node),
        ("params", before.data.get("params"), run.data.get("params")),
        ("git", before.data.get("git"), run.data.get("git")),
        ("installed packages", before.data.get("deps"), run.data.get("deps")),
        ("python", before.data.get("python"), run.data.get("python")),
        (
            "warnings",
            before.warnings,
            max(run.warnings, before.warnings),
        ),  # fewer of them are no news where a run ended early
        ("errors", before.errors, max(run.errors, before.errors)),
    ]
    if run.state == "succeeded":
        pairs += [("lines", before.lines, run.lines)]
    if run.final:
        pairs += [("memory (KiB)", _peak(before), _peak(run))]
    return [(name, str(then), str(now)) for name, then, now in pairs if _differs(name, then, now)]


def _differs(name: str, then: Any, now: Any) -> bool:
    if name in ("lines", "memory (KiB)") and isinstance(then, int) and isinstance(now, int):
        return abs(now - then) > max(64 if name == "lines" else 1 << 15, then // 4)  # a few more or less are no news
    return then not in (None, "") and now not in (None, "") and then != now


def _peak(run: runs.Run) -> int | None:
    usage = (run.data.get("end") or {}).get("rusage")
    value = usage.get("max_rss_kb") if isinstance(usage, dict) else None
    return value if isinstance(value, int) else None


def _ns(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1000
