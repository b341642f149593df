"""The attempts of one piece of work, and the directory in which what they have finished lies.

    <spool>/checkpoints/<work, 24 hex>-<origin, ULID>/      lineage.0, .1 (slots)    v-<key, 24 hex>.0, .1 (slots)    i-<stage>.<writer> (digests)

The *work* is the pipeline's name with the run's parameters; the *origin* is the first run that did it. Whoever resumes goes on with the origin and the
next attempt. Invariants: nothing exists before the first checkpoint; who works at it holds a lock on the directory, so that there is one at a time; when
a run ends ok, what earlier runs of the same work have left is gone before the end is recorded, so that nobody resumes what is done; 0700.
Owns: directories. Leaves values to `checkpoint`, items to `finished`, taking up again to `resume`. Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import time

from .. import identity
from . import inputs, slots
from .recorder import recorder
from .resumable import entered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .resumable import Resumable

NAME = "lineage"
WORK_LENGTH = 24
KEPT_SECONDS = 30 * 86400.0  # of what nobody has resumed
MAX_REMOVED = 20  # old ones in one go
HIGH_DESCRIPTOR = 200
DUPLICATE = getattr(fcntl, "F_DUPFD_CLOEXEC", 1030)  # PyPy does not name it
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_open: list[Lineage] = []


class Lineage:
    """One piece of work as this run knows it.

    Attributes:
        run, pipeline: of this attempt.
        work, origin, attempt: see the module; origin is this run's id in the first attempt.
        folder: where it lies, there or not.
        taken_up: it goes on with what an earlier run has left.
        begun: this run has written into it.
        before: facts of the attempt before, as that one wrote them.
        known: facts of this attempt, once it has begun.
        there: names of the files that it and those before had left.
        troubles: files that could not be used.
    """

    def __init__(self, run: Resumable, work: str, origin: str = "", attempt: int = 1) -> None:
        self.run, self.pipeline, self.params = run.id, run.pipeline, run.params
        self.work, self.origin, self.attempt = work, origin or run.id, attempt
        self.folder = os.path.join(top(), "%s-%s" % (work, self.origin))
        self.taken_up = bool(origin)
        self.begun = False
        self.before: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.there: list[str] = []
        self.troubles: list[str] = []
        self.stages: dict[str, Any] = {}  # what is finished, by stage: `finished.Ledger`
        self.full = False  # it was said that there are too many keys
        self._lock = -1

    def begin(self) -> None:
        """Make the directory if there is none, take it, and say in it who works at it now. Idempotent. Raises OSError."""
        if self.begun:
            return
        if not self.taken_up:
            make_top()
            try:
                os.mkdir(self.folder, 0o700)
            except FileExistsError:
                pass
            os.chmod(self.folder, 0o700)
            slots.flush_folder(os.path.dirname(self.folder))
            self.take()
            remove_old(self.folder)
        self.known = self.facts()
        slots.store(self.folder, NAME, self.known)
        self.begun = True
        _open.append(self)

    def facts(self) -> dict[str, Any]:
        """Return what is kept of this attempt."""
        pid = os.getpid()
        return {
            "pipeline": self.pipeline,
            "work": self.work,
            "origin": self.origin,
            "attempt": self.attempt,
            "run": self.run,
            "node": identity.node_name(),
            "boot": identity.boot_id(),
            "pid": pid,
            "start": identity.process_start_time(pid),
            "t": time.time_ns(),
            "code": inputs.script(),
            "inputs": inputs.named(self.params, _arguments()),
        }

    def take(self) -> bool:
        """Take the lock of the directory, without waiting; tell whether it is ours. True where there are no locks. Raises OSError: it is gone."""
        if self._lock >= 0:
            return True
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                os.close(fd)
                return False
        try:  # out of the way of programs that count on low numbers
            high = fcntl.fcntl(fd, DUPLICATE, HIGH_DESCRIPTOR)
            os.close(fd)
            fd = high
        except (OSError, ValueError):
            pass
        self._lock = fd
        return True

    def let_go(self) -> None:
        """Release the lock. Never raises."""
        fd, self._lock = self._lock, -1
        try:
            if fd >= 0:
                os.close(fd)
        except OSError:
            pass
        if self in _open:
            _open.remove(self)


def _arguments() -> list[str]:
    import sys

    return list(getattr(sys, "argv", []))[1:]


def top() -> str:
    """Return the directory of all lineages of this user."""
    writer = recorder.writer
    return os.path.join(writer.directory if writer is not None else identity.spool_dir(), identity.CHECKPOINTS)


def make_top() -> None:
    """Make it. Raises OSError."""
    path = top()
    identity.make_spool(os.path.dirname(path))
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    os.chmod(path, 0o700)  # what a default ACL or a umask says does not hold here


def work_of(pipeline: str, params: dict[str, Any]) -> str:
    """Return which piece of work a pipeline does with *params*, as 24 hexadecimal digits: the same in every process and Python."""
    try:
        text = json.dumps(params, sort_keys=True, default=_plainly)
    except (
        Exception
    ):  # keys of several kinds, or a `repr` of the program's own that fails: what it raises must not rise
        text = ",".join(sorted(["%s=%s" % (name, _text(value)) for name, value in params.items()]))
    data = pipeline.encode("utf-8", "surrogatepass") + b"\0" + text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:WORK_LENGTH]


def _text(value: object) -> str:
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception:
        return type(value).__name__


def _plainly(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted([_ADDRESS.sub("", repr(item)) for item in value])
    return _ADDRESS.sub("", repr(value))


def lying(work: str = "", folder: str = "") -> list[tuple[str, str]]:
    """Return (path, origin) of the lineages that lie here, of one piece of work or of all. Never raises."""
    folder = folder or top()
    found: list[tuple[str, str]] = []
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        said, _, origin = name.partition("-")
        if len(said) == WORK_LENGTH and identity.is_ulid(origin) and (not work or said == work):
            found.append((os.path.join(folder, name), origin))
    return sorted(found)


def is_alive(facts: dict[str, Any]) -> bool:
    """Tell whether who these facts are of still works at it, as far as this node can know: a run of this process, or another process that still runs."""
    if facts.get("node") != identity.node_name() or facts.get("boot") != identity.boot_id():
        return False
    pid, start = facts.get("pid"), facts.get("start")
    if pid == os.getpid():
        return facts.get("run") in entered  # a try that failed is over, although we live on for the next one
    return type(pid) is int and type(start) is int and pid > 0 and identity.process_alive(pid, start)


def is_taken(path: str) -> bool:
    """Tell whether somebody works at the lineage at *path*. Never raises."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        return problem.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
    finally:
        os.close(fd)
    return False


def ended(run: Resumable, ok: bool) -> None:
    """Let go of a run's lineage; when it ended *ok*, remove it and what earlier runs of the same work have left. Never raises."""
    try:
        line = run.lineage
        if not ok:
            return
        if line is not None and (line.begun or line.taken_up):
            remove(line.folder)
        if os.path.isdir(top()):
            for path, _ in lying(line.work if line is not None else work_of(run.pipeline, run.params)):
                known = slots.read(path, NAME)
                if not is_taken(path) and (known is None or not is_alive(known.facts)):
                    remove(path)
    except Exception:
        recorder.errors += 1
    finally:
        if run.lineage is not None:
            run.lineage.let_go()


def remove(path: str) -> None:
    """Remove one lineage: from the first step on nobody finds it any more. Never raises."""
    gone = "%s.gone-%d" % (path, os.getpid())
    try:
        os.rename(path, gone)
    except OSError:
        return
    _empty(gone)


def _empty(folder: str) -> None:
    try:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        pass


def remove_old(ours: str) -> None:
    """Remove lineages that nobody has resumed for a month, and what removals have left that were broken off. Never raises."""
    removed = 0
    try:
        folder = os.path.dirname(ours)
        names = os.listdir(folder)
        before = time.time() - KEPT_SECONDS
        for name in names:
            path = os.path.join(folder, name)
            if removed >= MAX_REMOVED:
                break
            if ".gone-" in name:
                _empty(path)
            elif path != ours and os.stat(path).st_mtime < before and not is_taken(path):
                remove(path)
            else:
                continue
            removed += 1
    except OSError:
        pass


def _after_fork_in_child() -> None:
    """The lock is the parent's: a child that outlives it must not keep others from resuming."""
    for line in list(_open):
        line.let_go()
        for ledger in line.stages.values():
            ledger.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
