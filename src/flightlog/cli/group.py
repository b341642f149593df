"""The `flightlog` command: its subcommands by name, each loaded when it is called.

Owns: the table of commands, what is said about an unknown one, and how everything ends: `Error:` and `Try:` on standard error with the error's
exit code; 130 and no word after Ctrl-C; no word when the reader of standard output leaves. Leaves each command to its module.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from .. import redact
from .._version import __version__
from ..errors import FlightlogError

INTERRUPTED = 130

COMMANDS = {
    "agent": "agent",
    "audit": "audit",
    "checkpoints": "checkpoints",
    "completion": "completion",
    "config": "config",
    "db": "db",
    "down": "agent",
    "journal": "journal",
    "kill": "keep",
    "list": "listing",
    "logs": "logs",
    "metrics": "metrics",
    "overhead": "overhead",
    "pause": "keep",
    "ps": "ps",
    "redact": "redact",
    "restart": "keep",
    "resume": "resume",
    "rollout": "rollout",
    "run": "run",
    "spool": "spool",
    "stacks": "stacks",
    "start": "start",
    "status": "status",
    "stop": "keep",
    "unpause": "keep",
    "version": "version",
    "why": "why",
}


class Commands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command *name*, None when there is none."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module("flightlog.cli." + COMMANDS[name])
        command = getattr(module, "list_" if name == "list" else name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which one may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            raise FlightlogUsage(f"no such command: {args[0]}", f"flightlog {near[0]}" if near else "flightlog --help")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the command line."""
        with _quiet_ends():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command."""
        with _quiet_ends():
            return super().invoke(ctx)


@contextlib.contextmanager
def _quiet_ends() -> Iterator[None]:
    """Ctrl-C, and a reader that leaves, end the process before click has its own words about them."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # who read has seen enough; a command whose exit code says something prints by `output.say`
        sys.exit(0)


class FlightlogUsage(click.UsageError):
    """A usage error that knows its remedy."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flightlog", message="%(prog)s %(version)s")
def flightlog() -> None:
    """The flight recorder for data pipelines.

    \b
    Examples:
      flightlog run -- python pipeline.py
      flightlog logs pipeline -f
      flightlog status
      flightlog audit

    Exit codes: 0 well; 1 what was checked is not well; 2 wrong usage; 3 the store cannot be reached; 4 no such run, or more than one;
    5 time is up; 6 refused; 130 Ctrl-C. `run` exits as its command does.
    """


def main(prog_name: str = "flightlog") -> None:
    """Run the command line; exits the process."""
    try:
        code = _run(prog_name)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(_flushed(code))


def _run(prog_name: str) -> int:
    """Run the command line; return the exit code."""
    _open_standard_streams()
    try:
        code = flightlog.main(prog_name=prog_name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except click.exceptions.NoArgsIsHelpError as problem:
        problem.show()
        return problem.exit_code
    except click.UsageError as problem:
        return _fail(" ".join(problem.format_message().split()), _remedy(problem), problem.exit_code)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as problem:
        return _fail(problem.format_message(), "", problem.exit_code)
    except FlightlogError as problem:
        return _fail(problem.message, problem.hint, problem.exit_code)
    except OSError as problem:
        if problem.filename is not None:
            raise
        from .output import goes_nowhere

        goes_nowhere(sys.stdout)  # it is told once
        return _fail(f"cannot write: {problem.strerror}", "", 1)


def _fail(message: str, hint: str, code: int) -> int:
    """Say what failed and what to do about it: nothing that others named in it can steer the terminal."""
    from .output import note, one_line

    note(f"Error: {one_line(redact.text(message))}")
    if hint:
        note(f"Try: {one_line(redact.text(hint))}")
    return code


def _remedy(problem: click.UsageError) -> str:
    if isinstance(problem, FlightlogUsage):
        return problem.hint
    if problem.ctx is not None:
        return f"{problem.ctx.command_path} --help"
    return " ".join(["flightlog", *(word for word in sys.argv[1:2] if word in COMMANDS), "--help"])


def _open_standard_streams() -> None:
    """Let standard output and error take any text, what their encoding does not have as an escape. One that was closed when we were started
    goes nowhere: no file of ours may get its number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number, inheritable=False)  # `run` becomes a command, for which it is closed
                os.close(nowhere)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """Bring out what is still buffered, so that Python has nothing to complain about at its exit; return the exit code."""
    from .output import goes_nowhere, note

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        goes_nowhere(sys.stdout)
    except OSError as problem:
        goes_nowhere(sys.stdout)
        note(f"Error: cannot write: {problem.strerror}")
        return code or 1
    return code
