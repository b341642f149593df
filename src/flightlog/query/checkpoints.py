"""What a run can be resumed from, out of the store: values and finished items of all attempts of the same work, the newest whole ones.

Owns: putting events `checkpoint` together (docs/reference/journal-format.md). They may have been written by anybody: what does not fit is passed over.
Leaves local files to `sdk.restore`, what to do with it to the faces. Times are aware, UTC.
"""

from __future__ import annotations

import binascii
import datetime
import re
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from ..identity import is_ulid
from ..store.db import Connection
from . import runs
from .ask import ask, stream

DIGEST_BYTES = 12
MAX_PARTS = 64
_WORK = re.compile(r"[0-9a-f]{24}")


@dataclass
class Value:
    """One value.

    Attributes:
        key, version: as the pipeline said.
        n, attempt: the how-manieth of this key, written by which attempt.
        run, at: by which run and when.
        size: characters of its JSON.
        text: the JSON; None when it holds a secret and stayed on the node where it was written.
    """

    key: str
    version: str | None
    n: int
    attempt: int
    run: str
    at: datetime.datetime
    size: int
    text: str | None = None


@dataclass
class Work:
    """What is kept of one piece of work.

    Attributes:
        work, origin, pipeline: which.
        run, node, attempt: of the newest attempt that kept something.
        at: when it last did.
        code, inputs: files as the newest attempt found them: {path, size, mtime_ns, sha}.
        values: by key.
        items: digests of finished items by stage.
        totals: how many items a stage has, where that is known.
        spans: (first, last) moment of checkpoints, by run.
    """

    work: str
    origin: str
    pipeline: str = ""
    run: str = ""
    node: str = ""
    attempt: int = 0
    at: datetime.datetime | None = None
    code: dict[str, Any] | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    items: dict[str, list[bytes]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    spans: dict[str, tuple[datetime.datetime, datetime.datetime]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One stage: whether an attempt ended it in good order, how many items it has and had done (None: not known)."""

    name: str
    ended: bool
    total: int | None
    done: int | None


@dataclass(frozen=True)
class Kept:
    """All that a run can be resumed from.

    Attributes:
        origin: the first attempt's id.
        attempts: runs, oldest first.
        works: what is kept, of the run itself and of runs inside it.
        stages: in the order of their beginning.
    """

    origin: str
    attempts: list[runs.Run]
    works: list[Work]
    stages: list[Stage]

    @property
    def saved_seconds(self) -> float:
        """How long the attempts worked at what need not be done again: each up to its last checkpoint."""
        began = {run.run: run.started_at for run in self.attempts}
        last: dict[str, datetime.datetime] = {}
        for work in self.works:
            for run, (first, until) in work.spans.items():
                began.setdefault(run, first)
                last[run] = max(until, last.get(run, until))
        return sum(max(0.0, (until - began[run]).total_seconds()) for run, until in last.items())


def gather(connection: Connection, run: runs.Run) -> Kept:
    """Return what *run*, or a later attempt of the same work, has left. Raises SinkError."""
    origin = run.origin or run.run
    ids = [row[0] for row in ask(connection, "checkpoints", "attempts", origin=origin)] or [run.run]
    inside = [row[0] for row in ask(connection, "checkpoints", "inside", runs=ids)]
    attempts = sorted(runs.list_runs(connection, ids), key=lambda one: one.run)
    stages = [
        Stage(name, bool(ended), None if total is None else int(total), None if done is None else int(done))
        for name, ended, total, done in ask(connection, "checkpoints", "stages", runs=inside)
    ]
    return Kept(origin, attempts, _works(connection, inside), stages)


def _works(connection: Connection, inside: list[str]) -> list[Work]:
    works: dict[tuple[str, str], Work] = {}
    pieces: dict[
        tuple[str, str, str, int, int, str], dict[int, tuple[str, int]]
    ] = {}  # a value -> its parts: (node, pos)
    facts: dict[tuple[str, str, str, int, int, str], tuple[dict[str, Any], datetime.datetime]] = {}
    for run, node, pos, ts, stage, data in stream(connection, "checkpoints", "told", runs=inside):
        work = _work(works, data)
        if work is None:
            continue
        attempt = _number(data.get("attempt"), 1)
        if attempt >= work.attempt:
            work.attempt, work.run, work.node = attempt, run, node
        first, _ = work.spans.get(run, (ts, ts))
        work.spans[run] = (first, ts)
        work.at = ts if work.at is None else max(ts, work.at)
        what = data.get("what")
        if what == "begun" and attempt == work.attempt:
            work.pipeline = data["pipeline"] if isinstance(data.get("pipeline"), str) else work.pipeline
            work.code = _file(data.get("code"))
            told = data.get("inputs")
            work.inputs = [one for one in map(_file, told if isinstance(told, list) else []) if one is not None]
        elif what == "items":
            work.items.setdefault(stage or "", []).extend(_digests(data.get("items")))
            if _number(data.get("of"), 0):
                work.totals[stage or ""] = data["of"]
        elif what == "value" and isinstance(data.get("key"), str):
            value = (work.work, work.origin, data["key"], attempt, _number(data.get("n"), 0), run)
            facts[value] = (data, ts)
            pieces.setdefault(value, {})[_number(data.get("part"), 0)] = (node, pos)
    _take_values(connection, works, pieces, facts)
    return [works[name] for name in sorted(works, key=lambda name: (name[1], name[0]))]


def _take_values(
    connection: Connection,
    works: dict[tuple[str, str], Work],
    pieces: dict[tuple[str, str, str, int, int, str], dict[int, tuple[str, int]]],
    facts: dict[tuple[str, str, str, int, int, str], tuple[dict[str, Any], datetime.datetime]],
) -> None:
    """Take of each key the newest value that is whole: a kill may have come between two parts."""
    for name in sorted(facts, key=lambda name: (name[3], name[4], facts[name][1]), reverse=True):
        data, ts = facts[name]
        work, key = works[name[:2]], name[2]
        if key in work.values:
            continue
        text = None
        if data.get("local") is not True:
            text = _text(connection, name[5], data, pieces[name])
            if text is None:
                continue
        version = data.get("version") if isinstance(data.get("version"), str) else None
        size = _number(data.get("bytes"), 0)
        work.values[key] = Value(key, version, name[4], name[3], name[5], ts, size, text)


def _text(connection: Connection, run: str, data: dict[str, Any], parts: dict[int, tuple[str, int]]) -> str | None:
    """Return a value's JSON, None when not all of it is there, as it was."""
    count = _number(data.get("parts"), 0)
    if not 0 < count <= MAX_PARTS or any(number not in parts for number in range(count)):
        return None
    found: dict[tuple[str, int], str] = {}
    for node in {node for node, _ in parts.values()}:
        positions = [pos for other, pos in parts.values() if other == node]
        for pos, part in ask(connection, "checkpoints", "parts", run=run, node=node, positions=positions):
            found[node, pos] = part or ""
    text = "".join(found.get(parts[number], "") for number in range(count))
    whole = len(text) == data.get("bytes") and text.isascii() and crc32(text.encode("ascii")) == data.get("crc")
    return text if whole else None


def _work(works: dict[tuple[str, str], Work], data: Any) -> Work | None:
    if not isinstance(data, dict) or data.get("v") != 1:
        return None
    work, origin = data.get("work"), data.get("origin")
    if not isinstance(work, str) or not _WORK.fullmatch(work) or not isinstance(origin, str) or not is_ulid(origin):
        return None
    return works.setdefault((work, origin), Work(work, origin))


def _digests(text: Any) -> list[bytes]:
    try:
        data = binascii.a2b_base64(text)
    except (ValueError, TypeError):
        return []
    return [data[at : at + DIGEST_BYTES] for at in range(0, len(data) - DIGEST_BYTES + 1, DIGEST_BYTES)]


def _file(told: Any) -> dict[str, Any] | None:
    return told if isinstance(told, dict) and isinstance(told.get("path"), str) else None


def _number(value: Any, default: int) -> int:
    return value if type(value) is int and 0 <= value < 1 << 53 else default
