"""Taking up again what an earlier run has left: which one, and what is said about it.

    with flightlog.run("orders", resume=True): ...        flightlog resume RUN        flightlog run --resume RUN -- COMMAND

What is resumed is the newest lineage of the same work that lies on this node: one that ended ok is gone, so it is one that failed, was killed or lost
its machine. Where `flightlog resume` or `flightlog run --resume` started this process, FLIGHTLOG_RESUME names origins, which were fetched before,
and a run that has not asked goes on with these as well; but never with other parameters. Invariants: one run at a time goes on with a lineage; never raises:
what cannot be resumed begins afresh, and that is said. Owns: the choice. Leaves files to `lineage`.
"""

from __future__ import annotations

import os
import time

from .. import identity, records
from ..config import switch
from . import checkpoint, inputs, slots, telling
from .lineage import NAME, Lineage, is_alive, lying, work_of
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .resumable import Resumable

VARIABLE = "FLIGHTLOG_RESUME"
BEING_MADE_SECONDS = 5.0  # a folder of checkpoints that is younger may not say yet what it is of


def take_up(run: Resumable) -> dict[str, Any]:
    """Find what *run* is to go on with and take it; return what its first event says of that: `origin` and `attempt`, or nothing. Never raises.

    May flush a file to disk. `tell` has to be called once the run has begun.
    """
    try:
        work = work_of(run.pipeline, run.params)
        named = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
        line = _choose(run, work, named)
        if line is None:
            return {}
        run.lineage = line
        run.origin = run.origin or line.origin  # what the program says of its tries stands
        run.attempt = line.attempt = max(run.attempt, line.attempt)
        return {"origin": run.origin, "attempt": run.attempt}
    except Exception as problem:
        recorder.errors += 1
        run.untold.append(("nothing is resumed: %s: %s" % (type(problem).__name__, problem), True))
        return {}


def _choose(run: Resumable, work: str, named: list[str]) -> Lineage | None:
    """Return the lineage to go on with, taken, or None."""
    best: tuple[str, str, str, slots.Slot] | None = None
    troubles: list[str] = []
    for path, origin in lying(work):
        if not run.resume and origin not in named:
            continue
        known = slots.read(path, NAME, troubles)
        if known is None:
            if _is_being_made(path):
                continue
            run.untold.append(("%s says not what it is of, and is not resumed" % path, True))
            continue
        order = ("1" if origin in named else "0") + str(known.facts.get("run"))
        if best is None or order > best[0]:
            best = (order, path, origin, known)
    run.untold += [("a checkpoint file could not be used: " + trouble, False) for trouble in troubles]
    if best is None:
        _explain(run, named)
        return None
    _, path, origin, known = best
    line = Lineage(run, work, origin, _attempt(known.facts) + 1)
    line.folder, line.before = path, known.facts
    short = identity.short(str(known.facts.get("run")))
    if is_alive(known.facts) or not line.take():
        run.untold.append(
            ("run %s of the same work still goes on: nothing is resumed, this run begins afresh" % short, True)
        )
        return None
    line.there = _clear(path)
    return line


def _is_being_made(path: str) -> bool:
    """Tell whether another run of the same work seems to begin there at this moment, or has taken it away again."""
    try:
        return time.time() - os.stat(path).st_mtime < BEING_MADE_SECONDS
    except OSError:
        return True


def _attempt(facts: dict[str, Any]) -> int:
    attempt = facts.get("attempt")
    return attempt if type(attempt) is int and 0 < attempt < 1 << 30 else 1


def _clear(path: str) -> list[str]:
    """Remove what a kill left unfinished; return the names of the rest."""
    kept = []
    for name in os.listdir(path):
        if slots.UNFINISHED in name:
            os.unlink(os.path.join(path, name))
        else:
            kept.append(name)
    return kept


def _explain(run: Resumable, named: list[str]) -> None:
    """Say why there is nothing to resume, where somebody may count on it."""
    if named and run.adopts:
        words = "nothing of %s is resumed: it did the work of other parameters, or of another pipeline than %s"
        run.untold.append((words % (identity.short(named[0]), run.pipeline), True))
    elif run.resume and not named and names_database():
        words = (
            "no checkpoint of %s lies on this node, and a database is configured: if an earlier run was on another node, this one does its work again; "
            "flightlog run --resume RUN -- COMMAND fetches checkpoints before it starts"
        )
        run.untold.append((words % run.pipeline, True))


def names_database() -> bool:
    """Tell whether the environment or the config file names a database, by a look at its text. Never raises."""
    if any(os.environ.get("FLIGHTLOG_DSN" + kind) for kind in ("", "_FILE", "_WITHHELD")):
        return True
    try:
        path = os.environ.get("FLIGHTLOG_CONFIG") or switch.find_config()
        return bool(path) and _says_dsn(identity.read_plain(path))
    except (OSError, ValueError):
        return False


def _says_dsn(text: bytes) -> bool:
    """Tell whether a config file's text has `dsn` or `dsn_file` below `database`, or beside it in braces. Linear in the text."""
    inside = False
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare[:1] == b"#":
            continue
        key, _, rest = bare.partition(b":")
        name = key.strip(b" \t\"'")
        if line[:1] not in (b" ", b"\t"):
            inside = name == b"database"
            if inside and b"dsn" in rest.partition(b"#")[0]:
                return True
        elif inside and name in (b"dsn", b"dsn_file"):
            return True
    return False


def tell(run: Resumable) -> None:
    """Record what was found, now that the run has begun. Never raises."""
    try:
        told, run.untold = run.untold, []
        for text, loud in told:
            telling.warn(text, run.id, loud)
        line = run.lineage
        if line is None or not line.taken_up:
            return
        checkpoint.begin(line)
        data = {"origin": line.origin, "attempt": line.attempt, "before": line.before.get("run")}
        then = line.before.get("code")
        changed = (
            inputs.change(then, inputs.look(str(then.get("path")), inputs.MAX_SCRIPT)) if isinstance(then, dict) else ""
        )
        if changed:
            data["code"] = changed
        words = "attempt %d goes on with what %s had finished%s"
        more = "; its script %s" % changed if changed else ""
        telling.say(
            words % (line.attempt, identity.short(str(line.before.get("run"))), more), records.INFO, run.id, data
        )
    except Exception as problem:
        recorder.errors += 1
        telling.warn("this run cannot say that it has resumed: %s" % problem, run.id)
