"""What a run's processes used, and what the pipeline says of itself by `run.metric`, as series: per name what it was at least, on average, at the 95th percentile and at most, and how it went.

A counter (`cpu_s`, `read_b` ...) is given as what it grew by per second, with its total. Owns: these shapes. Leaves where numbers come from to the
shim (`process.sampler`) and to `sdk.figures`, SQL to `queries/metrics.sql`.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import UsageError
from ..store.db import Connection
from .ask import ask

MOST_POINTS = 100_000  # of one name
DEFAULT_POINTS = 60


@dataclass(frozen=True)
class Series:
    """One name.

    Attributes:
        name, kind: `gauge` or `counter`; all figures of a counter are per second.
        count: how many values there are.
        least, mean, p95, most: of them; None when there are none.
        total: the last value as it was recorded; of a counter that several processes or stages count, the sum.
        unit: what the pipeline says it is counted in.
        points: (begin of a step, average in it), in order of time; steps without a value are absent.
    """

    name: str
    kind: str
    count: int
    least: float | None
    mean: float | None
    p95: float | None
    most: float | None
    total: float
    unit: str | None = None
    points: list[tuple[datetime.datetime, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Metrics:
    """A run's series by name, and the seconds of one step."""

    step: float
    series: list[Series]
    begin: datetime.datetime | None = None
    end: datetime.datetime | None = None


def gather(connection: Connection, run: str, names: Sequence[str] = (), step: float | None = None) -> Metrics:
    """Return what is known of a run.

    Args:
        connection: of the store.
        run: its id.
        names: which ones: `rss` means `rss_kb` as well; none: all.
        step: seconds; None: so that there are 60 at most.

    Raises SinkError; UsageError when a step is so short that there would be too many.
    """
    begin, end, count = ask(connection, "metrics", "span", run=run)[0]
    if not count:
        return Metrics(step or 0.0, [])
    seconds = (end - begin).total_seconds()
    if step is None:
        step = max(1.0, float(-(-seconds // DEFAULT_POINTS)))
    if seconds / step > MOST_POINTS:
        raise UsageError(
            f"a step of {step:g} s makes more than {MOST_POINTS} points", f"--step {seconds / DEFAULT_POINTS:.0f}s"
        )
    chosen = list(names) or None
    points: dict[str, list[tuple[datetime.datetime, float]]] = {}
    steps = ask(
        connection,
        "metrics",
        "steps",
        run=run,
        names=chosen,
        step=datetime.timedelta(seconds=step),
        origin=begin,
    )
    for name, at, value in steps:
        points.setdefault(name, []).append((at, float(value)))
    rows = ask(connection, "metrics", "summary", run=run, names=chosen)
    return Metrics(step, [replace(Series(*row), points=points.get(row[0], [])) for row in rows], begin, end)
