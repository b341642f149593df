"""Rows of `pipeline_metrics`, derived from the line of an event: of `metrics` (what the shim sees of a run) one for each number in it, of `figures` (what
a pipeline says of itself) one for each figure: the last value of a gauge, the total of a counter; of a histogram its percentiles, and its count and sum as counters.

Invariants: derived rows are in no account: the event itself is the record, and is stored and counted as one; so nothing here raises, and what is no
finite number is left out. Owns: which names count up, and the columns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from .. import records
from .copytext import escape

METRIC_COLUMNS = ["run_id", "ts", "pos", "seq", "writer_id", "node", "name", "kind", "value", "labels"]
EVENT = "metrics"
COUNTERS = frozenset(("cpu_s", "read_b", "write_b", "switches"))
MOST = 128  # numbers of one event
MAX_NAME = 128
MAX_WORDS = 512  # characters of a label
PERCENTILES = ("p50", "p90", "p99", "max")


def metric_lines(line: str) -> list[str]:
    """Return the COPY lines that an event's COPY line stands for; none when it is another event's."""
    if f"\t{EVENT}\t" not in line and f"\t{records.FIGURES}\t" not in line:
        return []
    columns = line.rstrip("\n").split("\t")
    if len(columns) != 9 or columns[6] not in (EVENT, records.FIGURES):
        return []
    try:
        data = json.loads(columns[8].replace("\\\\", "\\"))
    except (ValueError, RecursionError):
        return []
    if not isinstance(data, dict):
        return []
    found = _seen(data) if columns[6] == EVENT else _said(data)
    head = "\t".join(columns[:6])
    made: list[str] = []
    for name, kind, value, labels in found:
        number = _finite(value)
        if number is not None and len(name) <= MAX_NAME and "\0" not in name and len(made) < MOST:
            made.append(f"{head}\t{escape(name)}\t{kind}\t{number!r}\t{escape(labels)}\n")
    return made


def _seen(data: dict[str, Any]) -> Iterator[tuple[str, str, Any, str]]:
    for name, value in data.items():
        if name != "t":
            yield name, "counter" if name in COUNTERS else "gauge", value, "{}"


def _said(data: dict[str, Any]) -> Iterator[tuple[str, str, Any, str]]:
    figures, stage = data.get("figures"), data.get("stage")
    for one in figures if isinstance(figures, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        words = {"stage": stage, "unit": one.get("unit")}
        kept = {key: word for key, word in words.items() if isinstance(word, str) and word and len(word) <= MAX_WORDS}
        labels = "{}" if any("\0" in word for word in kept.values()) else json.dumps(kept)
        name, kind = one["name"], one.get("kind")
        if kind in ("gauge", "counter"):
            yield name, kind, one.get("value"), labels
        elif kind == "histogram":
            for share in PERCENTILES:
                yield f"{name}.{share}", "gauge", one.get(share), labels
            yield f"{name}.count", "counter", one.get("count"), "{}" if labels == "{}" else _without_unit(kept)
            yield f"{name}.sum", "counter", one.get("value"), labels


def _without_unit(labels: dict[str, str]) -> str:
    return json.dumps({key: word for key, word in labels.items() if key != "unit"})


def _finite(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
