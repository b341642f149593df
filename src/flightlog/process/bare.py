"""Becoming the command of `flightlog run` when our own code cannot be loaded: it must run, whatever is wrong with us.

It may be read by its path, because the package is what is damaged: it stands alone.
Owns: which words of a command line are the command, the note, and exec. Leaves every case in which our code can be loaded to
`launch`.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Sequence

REINSTALL = "pip install --force-reinstall flightlog"


def command_of(words: Sequence[str]) -> list[str]:
    """Return the command among the arguments of `flightlog`; empty when they do not ask to run one."""
    rest = list(words)
    if rest[:1] != ["run"]:
        return []
    del rest[0]
    while rest and rest[0] != "--":
        if not rest[0].startswith("-"):
            return rest
        if rest[0] in ("-n", "--pipeline", "--record"):
            del rest[:2]
        elif rest[0] in ("--merge", "--pty") or rest[0].startswith(("-n", "--pipeline=", "--record=")):
            del rest[0]
        else:
            return []
    return rest[1:]


def run(command: Sequence[str], why: str, remedy: str = REINSTALL) -> NoReturn:
    """Say why *command* is not recorded, and become it; ends as `env` does when that is not possible."""
    _say("this run is not recorded: %s (try: %s)" % (" ".join(why.split()), remedy))
    environment = _environment()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    words = [os.fsencode(word) for word in command]
    code = errno.ENOENT
    try:
        os.execvpe(words[0], words, environment)
    except OSError as problem:
        code = problem.errno or code
    _say("%s: %s" % (command[0], os.strerror(code)))
    os._exit(127 if code == errno.ENOENT else 126)


def _environment() -> dict[bytes, bytes]:
    """Return what `launch` gives to a command that runs bare: no connection string, no LC_CTYPE that Python has set for itself."""
    environment = dict(os.environb)
    named = [environment.pop(name, None) for name in (b"FLIGHTLOG_DSN", b"FLIGHTLOG_DSN_FILE")]
    if any(named):
        environment[b"FLIGHTLOG_DSN_WITHHELD"] = b"1"
    try:
        with open("/proc/self/environ", "rb") as file:
            if not any(item.startswith(b"LC_CTYPE=") for item in file.read().split(b"\0")):
                environment.pop(b"LC_CTYPE", None)
    except OSError:
        pass
    return environment


def _say(text: str) -> None:
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        pass
    try:
        os.write(2, ("flightlog: %s\n" % text).encode("utf-8", "surrogateescape"))
    except OSError:
        pass
