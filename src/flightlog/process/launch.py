"""Becoming the command: its environment, its limits, and exec, in the shim's child or in place of the keeper.

Invariants: the command gets the signal state, limits and descriptors that it would have had; of the environment only
names that begin with FLIGHTLOG_, and PYTHONPATH, differ. When it cannot be executed, status 127 or 126 and one line say
so, as `env` does it.
Owns: this. Leaves pipes and forks to keeper and shim.
"""

from __future__ import annotations

import errno
import os
import resource

from ..journal import evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .setup import Setup
    from .signals import Inherited

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INJECT = os.path.join(_PACKAGE, "sdk", "inject.zip")  # sdk/inject/sitecustomize.py
DSN_WITHHELD = "FLIGHTLOG_DSN_WITHHELD"
_RAISED = (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)  # they would end or maim the recorder instead of the command


class Limits:
    """Resource limits of the user's: lifted for keeper and shim as far as we may, given back to the command."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: list[tuple[int, tuple[int, int]]] = []

    def lift(self) -> None:
        """Lift them for this process and those it forks."""
        for kind in _RAISED:
            soft, hard = resource.getrlimit(kind)
            if soft == resource.RLIM_INFINITY:
                continue
            for wanted in (resource.RLIM_INFINITY, hard):
                try:
                    resource.setrlimit(
                        kind, (wanted, max(wanted, hard) if wanted != resource.RLIM_INFINITY else wanted)
                    )
                except (OSError, ValueError):
                    continue
                self._before.append((kind, (soft, hard)))
                break

    def restore(self) -> None:
        """Give this process, which is about to become the command, its limits."""
        for kind, pair in self._before:
            resource.setrlimit(kind, pair)


def user_environment() -> dict[bytes, bytes]:
    """Return the environment as it was passed to us: without the LC_CTYPE that Python sets for itself (PEP 538)."""
    environment = dict(os.environb)
    if b"LC_CTYPE" in environment:
        try:
            with open("/proc/self/environ", "rb") as file:
                passed = file.read()
        except OSError:
            return environment
        if not any(item.startswith(b"LC_CTYPE=") for item in passed.split(b"\0")):
            del environment[b"LC_CTYPE"]
    return environment


def withhold_database(environment: dict[bytes, bytes]) -> None:
    """Take out of an environment where the database is: what a pipeline may know, whoever takes it over knows (DESIGN D20).

    A flightlog command inside must not take the lack of it for a wish to use the embedded server, and is told.
    """
    named = [environment.pop(name, None) for name in (b"FLIGHTLOG_DSN", b"FLIGHTLOG_DSN_FILE")]
    if any(named):
        environment[DSN_WITHHELD.encode()] = b"1"


def child_environment(setup: Setup) -> dict[bytes, bytes]:
    """Return the environment of the supervised command; FLIGHTLOG_ADOPT comes when its pid is known."""
    environment = user_environment()
    withhold_database(environment)
    environment.pop(b"FLIGHTLOG_ADOPT", None)
    pipes = []
    for stream in setup.streams:
        status = os.fstat(stream.sink)
        pipes.append("%d:%d:%s" % (status.st_dev, status.st_ino, stream.name))
    ours = {
        "FLIGHTLOG_RUN": setup.spec.run,
        "FLIGHTLOG_PIPELINE": setup.spec.pipeline,
        "FLIGHTLOG_SPOOL": setup.spool,
        "FLIGHTLOG_CONTROL": setup.control_page,
        "FLIGHTLOG_CONFIG": setup.spec.config,
        "FLIGHTLOG_CAPTURE": ",".join(pipes),
        "FLIGHTLOG_NODE": setup.node,
        "FLIGHTLOG_RESUME": setup.spec.resume,
        "FLIGHTLOG_KEEPER": "%d:%d" % (setup.keeper, setup.keeper_start),
        evidence.VARIABLE: evidence.path_of(setup.spool, setup.spec.run) if setup.evidence >= 0 else "",
    }
    for name, value in ours.items():
        if value:
            environment[name.encode()] = os.fsencode(value)
        else:
            environment.pop(name.encode(), None)
    before = environment.get(b"PYTHONPATH", b"")
    inject = os.fsencode(INJECT)
    if before.split(b":")[0] != inject:
        environment[b"PYTHONPATH"] = inject + b":" + before if before else inject
    return environment


def address(environment: dict[bytes, bytes], keeper: int) -> None:
    """What a service manager has addressed to the *keeper* by its pid is meant for the command, which we are about to become (sd_notify, sockets)."""
    for name in (b"WATCHDOG_PID", b"LISTEN_PID"):
        if environment.get(name) == b"%d" % keeper:
            environment[name] = b"%d" % os.getpid()


def become(command: list[str], environment: dict[bytes, bytes]) -> int:
    """Execute *command* in place of this process; return errno when that is not possible, found along PATH like
    execvp(3).
    """
    words = [os.fsencode(word) for word in command]
    name = words[0]
    if b"/" in name:
        places = [name]
    else:
        folders = environment.get(b"PATH", b"/bin:/usr/bin").split(b":")
        places = [os.path.join(folder or b".", name) for folder in folders] if name else []
    worst = errno.ENOENT
    for place in places:
        try:
            os.execve(place, words, environment)
        except OSError as problem:
            code = problem.errno or errno.ENOENT
        if code == errno.ENOEXEC:  # a script without its first line: a shell runs it, so do execvp(3) and `env`
            try:
                os.execve(b"/bin/sh", [b"/bin/sh", place, *words[1:]], environment)
            except OSError as problem:
                return problem.errno or errno.ENOEXEC
        if code in (errno.ENOENT, errno.ENOTDIR):
            if len(places) == 1:
                worst = code
        elif code == errno.EACCES:
            worst = code
        else:
            return code
    return worst


def exec_failed(name: str, code: int) -> NoReturn:
    """Say on stderr that *name* cannot be executed, and end as `env` would: 127 when it does not exist, else 126."""
    text = "flightlog: %s: %s\n" % (name, os.strerror(code))
    try:
        os.write(2, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass
    os._exit(127 if code == errno.ENOENT else 126)


def run_bare(command: list[str], inherited: Inherited, limits: Limits, reason: str) -> NoReturn:
    """Run *command* in place of this process, without us; say so in one line first. An empty *reason*: say nothing."""
    if reason:
        text = "flightlog: this run is not recorded: %s\n" % reason
        try:
            os.write(2, text.encode("utf-8", "surrogateescape"))
        except OSError:
            pass
    environment = user_environment()
    withhold_database(environment)
    limits.restore()
    inherited.restore()
    exec_failed(command[0], become(command, environment))
