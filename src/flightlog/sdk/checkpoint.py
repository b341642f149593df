"""Checkpoints: what a pipeline keeps so that it can go on there when it was killed.

    run.checkpoint("cursor", {"row": 41000})        run.checkpoint("cursor")  ->  {"row": 41000} of this run, or of the one that is resumed, else None

Invariants: a value is kept when it survives a power cut, and before that the one before it is; what is read back is what JSON makes of it, in the run
that wrote it as well; a value of another version is never given for one of this version. Never raises: what cannot be kept is said in the log, and
the answer is False. It goes on with monitoring switched off, for it is the pipeline's own memory: then nothing is recorded of it.
Owns: values. Leaves directories to `lineage`, files to `slots`, records to `telling`.
"""

from __future__ import annotations

import hashlib
import json

from .. import records
from ..journal.mistakes import MISTAKES
from . import lineage, slots, telling
from .recorder import recorder
from .resumable import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .lineage import Lineage
    from .resumable import Resumable

MAX_VALUE_BYTES = 1 << 20  # of a value as JSON
MAX_KEYS = 256  # of one piece of work
MAX_KEY = 200  # characters


def of(run: Resumable) -> Lineage:
    """Return a run's lineage; one that has not begun when it has none yet."""
    if run.lineage is None:
        run.lineage = lineage.Lineage(run, lineage.work_of(run.pipeline, run.params), attempt=run.attempt)
    return run.lineage


def begin(line: Lineage) -> None:
    """Have the lineage on disk, with this attempt in it, and say so once. Raises OSError, ValueError."""
    if not line.begun:
        line.begin()
        telling.begun(line, line.known)


def checkpoint(
    run: Resumable, key: str, value: object = MISSING, default: object = None, version: object = None
) -> Any:
    """See `Run.checkpoint`."""
    name = _key(key)
    try:
        if not run.id:
            telling.warn("checkpoint %r: enter the run first, by `with`" % (name,), loud=True)
            return default if value is MISSING else False
        wanted = None if version is None else records.safe_text(version, MAX_KEY)
        if value is MISSING:
            return _read(of(run), name, default, wanted)
        return _keep(of(run), name, value, wanted)
    except (*MISTAKES, OSError) as problem:
        recorder.errors += 1
        doing = "read" if value is MISSING else "kept"
        if isinstance(problem, FileNotFoundError):
            doing += " any more (its run has ended, or somebody removed its directory: keep it inside of `with flightlog.run(...)`)"
        telling.warn("checkpoint %r cannot be %s: %s" % (name, doing, _words(problem)), run.id, loud=True)
        return default if value is MISSING else False


def _keep(line: Lineage, key: str, value: object, version: str | None) -> bool:
    try:
        text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except Exception as problem:  # of the value's own methods as well
        words = "checkpoint %r is not kept: JSON cannot carry it (%s); keep texts, finite numbers, lists, dicts"
        telling.warn(words % (key, records.safe_text(problem)), line.run, loud=True)
        return False
    if len(text) > MAX_VALUE_BYTES:
        words = "checkpoint %r is not kept: it has %d bytes, %d are allowed; the one before stands; keep large values in a file and its path here"
        telling.warn(words % (key, len(text), MAX_VALUE_BYTES), line.run, loud=True)
        return False
    name = name_of(key)
    begin(line)
    for ledger in list(line.stages.values()):
        ledger.write()  # a value speaks of the items that are finished by now: they are not to be done again beside it
    before = slots.read(line.folder, name)
    if before is None and _count(line.folder) >= MAX_KEYS:
        words = "checkpoint %r and other new keys are not kept: there are %d already; keep one dict under one key, or items by `track(key=)`"
        if not line.full:
            line.full = True
            telling.warn(words % (key, MAX_KEYS), line.run, loud=True)
        return False
    facts = {"key": key, "version": version, "run": line.run, "attempt": line.attempt}
    n = slots.store(line.folder, name, facts, text, before)
    local = telling.holds_secret(json.loads(text))
    if local:
        words = (
            "checkpoint %r holds what looks like a secret: it stays on this node, and another one cannot resume from it"
        )
        telling.warn(words % (key,), line.run)
    telling.value(line, key, n, text, version, local)
    return True


def _read(line: Lineage, key: str, default: object, version: str | None) -> object:
    if not (line.begun or line.taken_up):
        return default
    found = slots.read(line.folder, name_of(key), line.troubles)
    for trouble in line.troubles:
        telling.warn("a checkpoint file could not be used: " + trouble, line.run)
    if found is None:
        return default
    if found.facts.get("version") != version:
        words = "checkpoint %r has version %s and version %s is wanted: it is not used"
        telling.warn(words % (key, found.facts.get("version"), version), line.run, loud=True)
        return default
    return json.loads(found.text)


def keys(folder: str) -> dict[str, slots.Slot]:
    """Return the values that lie in a lineage's directory, by key. Never raises."""
    found = {}
    for name in sorted({entry[:-2] for entry in _entries(folder) if entry.endswith(slots.PLACES)}):
        slot = slots.read(folder, name)
        if slot is not None and isinstance(slot.facts.get("key"), str):
            found[slot.facts["key"]] = slot
    return found


def name_of(key: str) -> str:
    """Return how the files of a key are called."""
    return "v-" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _count(folder: str) -> int:
    return len({name[:-2] for name in _entries(folder) if name.endswith(slots.PLACES)})


def _entries(folder: str) -> list[str]:
    import os

    try:
        return [name for name in os.listdir(folder) if name.startswith("v-")]
    except OSError:
        return []


def _key(key: object) -> str:
    return key[:MAX_KEY] if isinstance(key, str) else records.safe_text(key, MAX_KEY)


def _words(problem: BaseException) -> str:
    return getattr(problem, "strerror", None) or "%s: %s" % (type(problem).__name__, problem)
