"""What goes on in a run: its stages and bars that have not ended, how far they are, how fast, and when they will be done.

Owns: these shapes, and putting together what several processes say of one stage. Leaves the arithmetic of time to `estimate`, SQL to `queries/progress.sql`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..store.db import Connection
from . import estimate
from .ask import ask
from .runs import Run

MOST = 200  # stages and bars looked at
EARLIER_RUNS = 20  # that are compared with
MOST_PASTS = 100  # times that a stage was gone through, of all of them


@dataclass(frozen=True)
class Live:
    """One stage, or one bar in it (`bar`, which may have no name), that goes on. What several processes say of a stage is added up.

    Attributes:
        stage, bar: where; bar None: the stage itself.
        done, total: items; total None when not known.
        unit: of the items, as a bar says it.
        elapsed: seconds since it began.
        rate: items per second in the last minute, None when not known.
        left: what is left.
        rows: read and written, None when it counts none.
        figures: what the pipeline says besides.
        processes: how many processes, or threads, say this.
    """

    stage: str
    bar: str | None
    done: float
    total: float | None
    unit: str | None
    elapsed: float
    rate: float | None
    left: estimate.Estimate
    rows: dict[str, Any] | None
    figures: dict[str, Any] | None
    processes: int

    def as_json(self) -> dict[str, Any]:
        """Return the contract of `flightlog status -o json`."""
        share = 100 * self.done / self.total if self.total else None
        return {
            "stage": self.stage,
            "bar": self.bar,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "percent": None if share is None else round(min(100.0, share), 2),
            "elapsed_s": round(self.elapsed, 3),
            "rate": None if self.rate is None else round(self.rate, 6),
            "eta_s": _rounded(self.left.p50),
            "eta_p90_s": _rounded(self.left.p90),
            "p90_held": self.left.held,
            "p90_judged": self.left.judged,
            "rows": self.rows,
            "figures": self.figures,
            "processes": self.processes,
        }


def live(connection: Connection, run: Run, now: datetime.datetime | None = None) -> list[Live]:
    """Return what goes on in *run*, in the order in which it began; nothing of a run that has ended. Raises SinkError."""
    if run.final:
        return []
    now = now or datetime.datetime.now(datetime.timezone.utc)
    groups: dict[tuple[str, str | None], list[tuple[Any, ...]]] = {}
    for row in ask(connection, "progress", "live", run=run.run, limit=MOST):
        groups.setdefault((row[0], row[1]), []).append(row)
    history = _history(connection, run, sorted({stage for stage, bar in groups if bar is None}))
    return [
        _put_together(stage, bar, rows, history.get(stage, []) if bar is None else [], now)
        for (stage, bar), rows in groups.items()
    ]


def _put_together(
    stage: str,
    bar: str | None,
    rows: Sequence[tuple[Any, ...]],
    history: Sequence[estimate.Past],
    now: datetime.datetime,
) -> Live:
    said = [row[2] if isinstance(row[2], dict) else {} for row in rows]
    totals = [_number(one.get("total")) for one in said]
    done = sum(_number(one.get("done")) or 0 for one in said)
    passed = sum(_number(one.get("passed")) or 0 for one in said)
    total = sum(one for one in totals if one is not None) if totals and None not in totals else None
    began = min(row[4] for row in rows)
    elapsed = max(0.0, (now - began).total_seconds())
    recent = [_recent(row) for row in rows]
    seconds = max((one[1] for one in recent), default=0.0)
    # What an earlier run had finished was passed over in no time: it says nothing of how fast the rest goes.
    left = estimate.left(done - passed, None if total is None else total - passed, elapsed, history)
    return Live(
        stage=stage,
        bar=bar,
        done=done,
        total=total,
        unit=next((one["unit"] for one in said if isinstance(one.get("unit"), str)), None),
        elapsed=elapsed,
        rate=estimate.rate(done - passed, elapsed, (sum(one[0] for one in recent), seconds)),
        left=left,
        rows=_added(one.get("rows") for one in said),
        figures=next((one["figures"] for one in said[::-1] if isinstance(one.get("figures"), dict)), None),
        processes=len(rows),
    )


def _recent(row: tuple[Any, ...]) -> tuple[float, float]:
    """Return (items, seconds) of the last minute that one process told of."""
    newest, recent = row[2], row[7]
    if not isinstance(newest, dict) or not isinstance(recent, dict):
        return 0.0, 0.0
    return max(0.0, _own(newest) - _own(recent)), (row[3] - row[6]).total_seconds()


def _own(said: dict[str, Any]) -> float:
    """Return how many items this run has done itself."""
    return (_number(said.get("done")) or 0) - (_number(said.get("passed")) or 0)


def _added(parts: Iterable[Any]) -> dict[str, Any] | None:
    known = [part for part in parts if isinstance(part, dict)]
    if not known:
        return None
    return {name: sum(_number(part.get(name)) or 0 for part in known) for name in ("read", "written")}


def _history(connection: Connection, run: Run, stages: list[str]) -> dict[str, list[estimate.Past]]:
    """Return how *stages* went in earlier runs of the pipeline that ended well."""
    if not stages:
        return {}
    found: dict[str, list[estimate.Past]] = {}
    rows = ask(
        connection,
        "progress",
        "history",
        pipeline=run.pipeline,
        run=run.run,
        stages=stages,
        runs=EARLIER_RUNS,
        limit=MOST_PASTS,
    )
    for stage, duration, done, total, reached in rows:
        whole = (
            total if total and done is not None and done >= total else 0.0
        )  # one that was left early says nothing of its rate
        points = [(int(slot), float(seconds)) for slot, seconds in reached or [] if whole and slot < estimate.SLOTS]
        found.setdefault(stage, []).append(estimate.Past(duration, whole or done or 0.0, points))
    return found


def _number(value: Any) -> float | None:
    """Return a number as it was recorded; None for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
