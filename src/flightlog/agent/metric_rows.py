"""Rows of `pipeline_metrics`, derived from the line of an event `metrics`: one for each number in it.

Invariants: derived rows are in no account: the event itself is the record, and is stored and counted as one; so nothing here raises, and what is no
finite number is left out. Owns: which names count up, and the columns.
"""

from __future__ import annotations

import json
import math

from .copytext import escape

METRIC_COLUMNS = ["run_id", "ts", "pos", "seq", "writer_id", "node", "name", "kind", "value", "labels"]
EVENT = "metrics"
COUNTERS = frozenset(("cpu_s", "read_b", "write_b", "switches"))
MOST = 64  # numbers of one event
MAX_NAME = 128
_MARK = f"\t{EVENT}\t"


def metric_lines(line: str) -> list[str]:
    """Return the COPY lines that an event's COPY line stands for; none when it is another event's."""
    if _MARK not in line:
        return []
    columns = line.rstrip("\n").split("\t")
    if len(columns) != 9 or columns[6] != EVENT:
        return []
    try:
        data = json.loads(columns[8].replace("\\\\", "\\"))
    except (ValueError, RecursionError):
        return []
    if not isinstance(data, dict):
        return []
    head = "\t".join(columns[:6])
    made: list[str] = []
    for name, value in data.items():
        if name == "t" or type(value) not in (int, float) or len(name) > MAX_NAME or len(made) >= MOST:
            continue
        try:
            number = float(value)
        except OverflowError:
            continue
        if math.isfinite(number) and "\0" not in name:
            kind = "counter" if name in COUNTERS else "gauge"
            made.append(f"{head}\t{escape(name)}\t{kind}\t{number!r}\n")
    return made
