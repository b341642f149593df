"""`python -m flightlog` and the `flightlog` command: the command line needs Python 3.11, the SDK does not.

Owns: the check that a command line can run here at all, and what to say when it cannot; `run` then runs its command all the same. Leaves
everything else to `cli`.
"""

from __future__ import annotations

import os
import sys

from . import bytecode

OLDEST = (3, 11)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Run the command line; exits the process (2 when this Python or installation has none)."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Error: the flightlog command needs Python 3.11 or newer; this is %d.%d\n" % sys.version_info[:2]
        )
        sys.stderr.write("Try: a newer Python for the command; pipelines may stay on 3.8 or newer\n")
        sys.exit(2)
    bytecode.guard()
    try:
        import click  # noqa: F401
    except ImportError:
        sys.stderr.write("Error: the flightlog command needs the package click\nTry: pip install 'flightlog[server]'\n")
        _run_bare()
        sys.exit(2)
    except Exception:  # its compiled files are damaged, maybe: see below
        pass
    try:
        command_line = _load()
    except Exception as problem:
        command_line = _again(problem)
    command_line(prog_name="flightlog")


def _load() -> Any:
    """Return the command line, with the command that is asked for imported, before anything has begun."""
    import importlib

    from .cli import group

    if sys.argv[1:2] and sys.argv[1] in group.COMMANDS:
        importlib.import_module("flightlog.cli." + group.COMMANDS[sys.argv[1]])
    return group.main


def _again(problem: Exception) -> Any:
    """Import the command line from source, because what is compiled cannot be used."""
    try:
        with bytecode.from_source():
            return _load()
    except Exception as second:
        sys.stderr.write(
            "Error: this installation of flightlog is damaged: %s: %s (from compiled files: %s)\n"
            % (type(second).__name__, second, problem)
        )
        sys.stderr.write("Try: pip install --force-reinstall flightlog\n")
        _run_bare()
        sys.exit(70)


def _run_bare() -> None:
    """Become the command of `flightlog run`, if that is what was asked for: it must run whatever is wrong with us."""
    words = sys.argv[1:]
    if words[:1] != ["run"]:
        return
    if "--" in words:
        command = words[words.index("--") + 1 :]
    else:
        rest = words[1:]
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] in ("-n", "--pipeline") else rest[1:]
        command = rest
    if not command or "--help" in words[: len(words) - len(command)]:
        return
    import signal

    sys.stderr.write("flightlog: this run is not recorded\n")
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as failed:
        sys.stderr.write("flightlog: %s: %s\n" % (command[0], failed.strerror))
        os._exit(127 if failed.errno == 2 else 126)


if __name__ == "__main__":
    main()
