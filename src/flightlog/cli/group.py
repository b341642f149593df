"""The `flightlog` command: its subcommands by name, each loaded when it is called.

Owns: the table of commands, what is said about an unknown one, and how errors end: `Error:` and `Try:` on standard error, exit code of
the error. Leaves each command to its module.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from .._version import __version__
from ..errors import FlightlogError

COMMANDS = {
    "agent": "agent",
    "audit": "audit",
    "completion": "completion",
    "db": "db",
    "down": "agent",
    "journal": "journal",
    "list": "listing",
    "logs": "logs",
    "run": "run",
    "spool": "spool",
    "status": "status",
    "version": "version",
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
            meant = f"Did you mean {near[0]}?" if near else "flightlog --help lists the commands."
            raise click.UsageError(f"no such command: {args[0]}. {meant}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flightlog")
def flightlog() -> None:
    """The flight recorder for data pipelines.

    \b
    Examples:
      flightlog run -- python pipeline.py
      flightlog logs pipeline -f
      flightlog status
      flightlog audit
    """


def main(prog_name: str = "flightlog") -> None:
    """Run the command line; exits the process."""
    try:
        flightlog.main(prog_name=prog_name)
    except FlightlogError as problem:
        click.echo(f"Error: {problem.message}", err=True)
        if problem.hint:
            click.echo(f"Try: {problem.hint}", err=True)
        sys.exit(problem.exit_code)
