"""Getting a caretaker to work: starting one for a new program, or for what is there and has lost its own.

Invariants: what is started inherits nothing of who asks but the two ends of one conversation; nothing here forks by itself, so that a program with
threads may call it. Owns: that conversation's other side (see `beginning`). Leaves names and words for people to `controller`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from ..errors import FlightlogError
from . import launch
from .family import DETACHED
from .program import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .program import Program
    from .statedir import StateDir

CARETAKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "caretaker.py")
ANSWER_SECONDS = 30.0
_DEFAULTS = [number for number in range(1, 65) if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)]


def arguments(folder: StateDir, foreground: bool = False) -> list[str]:
    """Return the argument list of a caretaker."""
    return [sys.executable, "-I", "-S", CARETAKER, folder.path, *(["--foreground"] if foreground else [])]


def environment(home: str) -> dict[bytes, bytes]:
    """Return the environment of a caretaker: ours without what belongs to a run, and marked as nobody's descendant."""
    found = launch.user_environment()
    launch.withhold_database(found)
    for name in list(found):
        if name.startswith(b"FLIGHTLOG_") and name not in KEPT:
            del found[name]
    found[b"FLIGHTLOG_HOME"] = os.fsencode(home)
    found[DETACHED] = b"1"
    return found


def start(folder: StateDir, program: Program | None) -> dict[str, Any]:
    """Start a caretaker for *program*, or for what is there already; return its answer (see `beginning`).

    Raises OSError when no process can be made, TimeoutError when it does not answer, FlightlogError when this interpreter cannot keep any.
    """
    _must_be_able()
    question, ask = os.pipe()
    answers, answer = os.pipe()
    moved = [_above(question), _above(answer)]
    home = os.path.dirname(os.path.dirname(folder.path))
    try:
        pid = os.posix_spawn(
            sys.executable,
            arguments(folder),
            environment(home),
            file_actions=[(os.POSIX_SPAWN_DUP2, moved[0], 3), (os.POSIX_SPAWN_DUP2, moved[1], 4)],
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )
    except OSError:
        for fd in (ask, answers):
            os.close(fd)
        raise
    finally:
        for fd in (question, answer, *moved):
            os.close(fd)
    try:
        _send(ask, json.dumps(program.as_json()).encode("ascii") if program is not None else b"")
    finally:
        os.close(ask)
    try:
        os.waitpid(pid, 0)  # it leaves at once: the caretaker is its grandchild
    except OSError:  # children are reaped by somebody else here
        pass
    try:
        return _receive(answers)
    finally:
        os.close(answers)


def become(folder: StateDir, program: Program) -> NoReturn:
    """Become the caretaker of *program* in the foreground, in place of this process: a service manager has started it. Raises OSError, and FlightlogError as `start`."""
    _must_be_able()
    question = os.memfd_create("program", os.MFD_CLOEXEC)
    _send(question, json.dumps(program.as_json()).encode("ascii"))
    os.lseek(question, 0, os.SEEK_SET)
    if question == 3:
        os.set_inheritable(3, True)
    else:
        os.dup2(question, 3)
    home = os.path.dirname(os.path.dirname(folder.path))
    given = environment(home)
    os.execve(sys.executable, arguments(folder, foreground=True), given)


def _must_be_able() -> None:
    if not hasattr(os, "waitid"):  # a caretaker runs under the interpreter of the controller
        raise FlightlogError(
            "%s has no waitid(2), without which nothing can be kept" % sys.executable,
            "start it from CPython 3.8 or newer, or by `flightlog start`: what is kept may be of any interpreter",
        )


def _above(fd: int) -> int:
    """Return a copy of a descriptor that is neither 3 nor 4."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _send(fd: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:  # it has gone; the answer, or the lack of it, says why
        pass


def _receive(fd: int) -> dict[str, Any]:
    deadline, data = time.monotonic() + ANSWER_SECONDS, b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(int(left * 1000) + 1):
            raise TimeoutError("no caretaker answered within %g s" % ANSWER_SECONDS)
        piece = os.read(fd, 1 << 16)
        if not piece:
            break
        data += piece
    try:
        found = json.loads(data)
    except ValueError:
        return {"error": "the caretaker ended without a word"}
    return found if isinstance(found, dict) else {}


def user() -> str:
    """Return the name of who we are, the number when there is none."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError, OSError):
        return str(os.geteuid())
