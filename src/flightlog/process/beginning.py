"""How a caretaker begins: away from who started it, with the lock, with the program to run, and an answer.

Invariants: nothing is inherited but the two descriptors of the conversation, which are gone before anything else is started; who does not get the lock
answers with its holder, and has changed nothing. Owns: detaching, lock, answer. Leaves everything after to the caretaker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from .. import identity
from . import family, launch, linux, notify, signals
from .caretaker import Caretaker
from .descriptors import close_all
from .machine import DONE
from .program import from_json
from .statedir import StateDir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ASK, ANSWER = 3, 4  # the descriptors of the conversation
MAX_LOG_BYTES = 256 << 10
LEAVE_SECONDS = 2.0


def main(arguments: list[str]) -> None:
    """Be the caretaker of a directory until there is nothing to keep."""
    inherited = signals.Inherited()
    foreground = "--foreground" in arguments
    path = arguments[0]
    folder = StateDir(os.path.dirname(os.path.dirname(path)), os.path.basename(path))
    if not foreground:
        _detach(folder)
    service = notify.Service(os.environ if foreground else None)
    limits = launch.Limits()
    limits.lift()
    answer: dict[str, Any] = {}
    keeper = None
    try:
        keeper = _begin(folder, limits, inherited, service, answer)
    except Exception as problem:
        answer.update(error="%s: %s" % (type(problem).__name__, problem))
        raise
    finally:
        _complain(folder, answer) if foreground else _say(answer)
    if keeper is not None:
        keeper.work()
        os._exit(0)  # at once: until then the lock is held


def _begin(
    folder: StateDir,
    limits: launch.Limits,
    inherited: signals.Inherited,
    service: notify.Service,
    answer: dict[str, Any],
) -> Caretaker | None:
    asked = _asked()
    lock = folder.take()
    deadline = time.monotonic() + LEAVE_SECONDS
    while lock < 0 and folder.read("state.json").get("phase") == DONE and time.monotonic() < deadline:
        time.sleep(0.005)  # the one before has nothing left to do but to end
        lock = folder.take()
    if lock < 0:
        answer["held"] = folder.holder() or {}
        return None
    linux.become_subreaper()
    before = from_json(folder.read("spec.json"))
    program = from_json(asked)
    if program is not None:
        program.token = before.token if before is not None and before.token else os.urandom(8).hex()
        alive = _alive(folder, program.mark)
        if alive:  # its caretaker has died, it has not
            program, answer["held"], answer["adopted"] = None, {"pid": os.getpid()}, alive
    fresh = program is not None
    if program is not None:
        folder.write("spec.json", program.as_json(), sync=True)
        folder.intend(want="up", newer=True, frozen=False, why="start", grace_s=program.grace_s)
    program = program or before
    if program is None:
        answer["error"] = "nobody has said yet what to run as %s" % folder.name
        return None
    keeper = Caretaker(folder, program, limits, inherited, service)
    keeper.begin(fresh)
    answer.update({key: value for key, value in keeper.answer().items() if key not in answer})
    return keeper


def _alive(folder: StateDir, mark: str) -> int:
    """Return the pid of a process of ours that runs although nobody keeps it; 0 when there is none."""
    process = folder.read("state.json").get("process") or {}
    pid, start = int(process.get("pid") or 0), int(process.get("start") or 0)
    if start and identity.process_alive(pid, start):
        return pid
    members = family.Tree(mark).members(marked=True)
    return min([one.pid for one in members], default=0)


def _asked() -> dict[str, Any]:
    """Return what we were told to run; empty when that is what ran before."""
    data = b""
    try:
        while True:
            piece = os.read(ASK, 1 << 16)
            if not piece:
                break
            data += piece
        os.close(ASK)
        found = json.loads(data)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _say(answer: dict[str, Any]) -> None:
    try:
        os.write(ANSWER, json.dumps(answer).encode("ascii"))
    except OSError:  # nobody waits
        pass
    close_all([ANSWER])


def _complain(folder: StateDir, answer: dict[str, Any]) -> None:
    """In the foreground nobody reads answers: what is wrong is said, and ends us."""
    text = answer.get("error") or answer.get("problem")
    if answer.get("held") is not None:
        text = "it runs already, kept by process %s" % answer["held"].get("pid", "?")
    if text:
        os.write(2, ("flightlog: %s: %s\n" % (folder.name, text)).encode("utf-8", "backslashreplace"))
        os._exit(6 if answer.get("held") is not None else 1)


def _detach(folder: StateDir) -> None:
    """Become a process of nobody: no parent, session, terminal, group, descriptor, working directory of who started us."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)  # init may be a program that reaps nobody
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    try:
        log = os.open(folder.file("caretaker.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.fstat(log).st_size > MAX_LOG_BYTES:
            os.ftruncate(log, 0)
    except OSError:
        log = null
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.closerange(5, min(os.sysconf("SC_OPEN_MAX"), 65536))
    for fd in (ASK, ANSWER):
        os.set_inheritable(fd, False)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir("/")
    os.umask(0o077)
    sys.stdout.flush()
