"""The evidence file of a supervised run: what its processes, and those who end them, put on record for the judge of its death.

    <spool>/<run>.evidence     JSON lines {"t": ns, "pid": n, "kind": word, ...}, and between them what faulthandler wrote

Invariants: only the recorder of a run creates it; `note` never creates, never raises, never blocks on a lock, writes one whole line by one write(2);
it stops at 256 KB, so that a loop of faults fills no disk; half a line (its writer died) is passed over. It lies 0600 in the spool and goes with the run;
who holds it open holds a shared lock, by which the agent knows an abandoned one. Owns: the file's form. Leaves judging to `process.verdict`.
Standard library only, Python 3.8.

Kinds: uncaught, thread, asyncio, unraisable, atexit, worker (faults inside the program), signal, clean, stop, stall (docs/reference/evidence.md).
"""

from __future__ import annotations

import json

from .. import identity
from ..system import fcntl, os, time
from .encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VARIABLE = "FLIGHTLOG_EVIDENCE"
SUFFIX = ".evidence"
FAULTS = frozenset(("uncaught", "thread", "asyncio", "unraisable", "atexit", "worker"))
MAX_BYTES = 256 << 10
MAX_LINE = 4096
MAX_KEPT = 20  # notes of one family that a reader keeps, the first ones
MAX_DUMP = 16 << 10
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def path_of(spool: str, run: str) -> str:
    """Return where the evidence of *run* lies."""
    return os.path.join(spool, run + SUFFIX)


def create(spool: str, run: str) -> int:
    """Create the file and return its descriptor, locked as in use; -1 when that cannot be. Never raises."""
    try:
        mode = identity.spool_file_mode(spool)
        fd = os.open(
            path_of(spool, run), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | _NOFOLLOW, mode
        )
    except OSError:
        return -1
    try:
        identity.give_spool_mode(fd, mode)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass
    return fd


def note(path: str, kind: str, **data: Any) -> bool:
    """Add a line to the file at *path*; tell whether it is there now. Never raises, never creates the file.

    Args:
        path: absolute; empty: nothing happens.
        kind: see the module.
        data: what JSON can carry; secrets are masked as in records. A line that is too long loses its longest values.
    """
    if not path:
        return False
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | _NOFOLLOW)
    except (OSError, ValueError):
        return False
    try:
        if os.fstat(fd).st_size > MAX_BYTES:
            return False
        line = _line(kind, data)
        return os.write(fd, line) == len(line)
    except Exception:  # what is odd about *data* is no business of the program that has just failed
        return False
    finally:
        os.close(fd)


def _line(kind: str, data: dict[str, Any]) -> bytes:
    record = dict({"t": time.time_ns(), "pid": os.getpid(), "kind": kind}, **data)
    line = encode(record)
    while len(line) >= MAX_LINE:
        longest = max(
            (name for name in record if name not in ("t", "pid", "kind")), key=lambda name: len(repr(record[name]))
        )
        value = record[longest]
        record[longest] = value[:200] + "..." if isinstance(value, str) and len(value) > 300 else None
        line = encode(record)
    return line + b"\n"


def read(fd: int) -> dict[str, Any]:
    """Return what the file says: {"notes": [...], "dump": text}. The notes are in order of time, at most 20 of each kind. Never raises."""
    try:
        data = os.pread(fd, MAX_BYTES + MAX_DUMP + MAX_LINE, 0)
    except OSError:
        data = b""
    notes: list[dict[str, Any]] = []
    rest: list[bytes] = []
    counts: dict[str, int] = {}
    for line in data.split(b"\n"):
        found = _parsed(line)
        if found is None:
            rest.append(line)
            continue
        kind = found["kind"]
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= MAX_KEPT:
            notes.append(found)
    notes.sort(key=lambda found: found["t"])
    dump = b"\n".join(rest).strip()[:MAX_DUMP]
    return {"notes": notes, "dump": dump.decode("utf-8", "backslashreplace")}


def _parsed(line: bytes) -> dict[str, Any] | None:
    if line[:1] != b"{":
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(found, dict) and isinstance(found.get("kind"), str) and type(found.get("t")) is int
    return found if whole else None
