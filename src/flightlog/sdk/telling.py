"""Checkpoints on their way to the store, and what has to be said about them.

Invariants: a value that redaction would change is not recorded at all, for a masked one would be resumed from as if it were whole: the record says so,
and the value stays in the local file. Of everything else the text is recorded as it is, in parts that a frame can hold. Never raises.
Owns: the shape of events `checkpoint` (docs/reference/journal-format.md) and warnings. Leaves files to `slots` and `digests`.
"""

from __future__ import annotations

import json
import sys
import time
from base64 import b64encode
from zlib import crc32

from .. import records
from ..journal.encode import clean_value
from ..journal.format import MAX_PAYLOAD_BYTES
from . import redact
from .context import current
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .lineage import Lineage

LOGGER = "flightlog.checkpoint"
PART_CHARACTERS = 120_000  # of a value: its quotes may be escaped, and a frame has 256 KB
MAX_DIGESTS_TOLD = 8192  # in one record
_dump = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_said: set[str] = set()


def begun(line: Lineage, facts: dict[str, Any]) -> None:
    """Record that an attempt has begun to keep what it has done."""
    told = {name: facts[name] for name in ("pipeline", "code", "inputs")}
    _event(line, dict({"what": "begun"}, **_clean(told)))


def value(line: Lineage, key: str, n: int, text: str, version: str | None, local: bool) -> None:
    """Record a value, or, where it is *local*, only that there is one."""
    facts = {"what": "value", "key": key, "n": n, "version": version, "bytes": len(text)}
    clean = _clean(facts)
    if local or clean["key"] != key or clean["version"] != version:
        _event(line, dict(clean, local=True))
        return
    parts = [text[at : at + PART_CHARACTERS] for at in range(0, len(text), PART_CHARACTERS)]
    crc = crc32(text.encode("ascii"))
    for number, part in enumerate(parts):
        _event(line, dict(clean, crc=crc, part=number, parts=len(parts), value=part))


def items(line: Lineage, stage: str, digests: list[bytes], count: int, of: int | None) -> None:
    """Record *digests* of items of *stage* that are finished; *count* are, with those of before, *of* as many as there are, if known."""
    for at in range(0, len(digests), MAX_DIGESTS_TOLD):
        part = digests[at : at + MAX_DIGESTS_TOLD]
        data: dict[str, Any] = {"what": "items", "count": len(part), "total": count, "of": of}
        data["items"] = b64encode(b"".join(part)).decode("ascii")
        _event(line, data, stage)


def holds_secret(tree: object) -> bool:
    """Tell whether redaction would change *tree*, which is parsed JSON."""
    try:
        return redact.fields({"value": tree}) != {"value": tree}
    except Exception:  # in doubt it stays here
        return True


def warn(text: str, run: str = "", loud: bool = False) -> None:
    """Record a warning, once in this process; *loud*: say it on standard error as well. Never raises."""
    if text in _said or len(_said) > 1000:
        return
    _said.add(text)
    try:
        if loud and sys.stderr is not None:
            sys.stderr.write("flightlog: %s\n" % text.encode("ascii", "backslashreplace").decode("ascii"))
            sys.stderr.flush()
    except Exception:  # the program's own stream, or none any more
        recorder.errors += 1
    say(text, records.WARNING, run)


def say(text: str, level: int, run: str = "", data: dict[str, Any] | None = None) -> None:
    """Record a line of our own in *run* (default: where we are). Never raises."""
    try:
        now = time.time_ns()
        if not recorder.admit(now, level):
            return
        scope = current.get() or recorder.scope
        record: dict[str, Any] = {"k": "log", "t": now, "lv": level, "lg": LOGGER, "m": text, "src": "flightlog"}
        record["r"] = run or (scope.run if scope is not None else "")
        record["x"] = data or {}
        _append(_clean(record), level)
    except Exception:
        recorder.errors += 1


def _clean(tree: dict[str, Any]) -> dict[str, Any]:
    """Return what records may say of *tree*: of bounded size, secrets masked."""
    cleaned: Any = redact.fields(clean_value(tree))
    return cleaned if isinstance(cleaned, dict) else {}


def _event(line: Lineage, data: dict[str, Any], stage: str = "") -> None:
    try:
        now = time.time_ns()
        level = records.EVENT_LEVELS[records.CHECKPOINT]
        if not recorder.admit_event(now, level):
            return
        known = {"v": 1, "work": line.work, "origin": line.origin, "attempt": line.attempt}
        record = records.event(records.CHECKPOINT, line.run, dict(known, **data), redact.text(stage), now)
        _append(record, level)
    except Exception:
        recorder.errors += 1


def _append(record: dict[str, Any], level: int) -> None:
    assert recorder.writer is not None
    payload = _dump(record).encode("ascii")
    if len(payload) > MAX_PAYLOAD_BYTES:  # no reader would believe it
        recorder.failed += 1
        recorder.check_at = 0
        return
    recorder.writer.append(payload, level)
