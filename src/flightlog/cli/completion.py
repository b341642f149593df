"""`flightlog completion`: the script that lets a shell complete commands, options, pipelines and runs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      source <(flightlog completion bash)
      flightlog completion zsh > "${fpath[1]}/_flightlog"
      flightlog completion fish > ~/.config/fish/completions/flightlog.fish
    """
    from .group import flightlog

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(flightlog, {}, "flightlog", "_FLIGHTLOG_COMPLETE").source())
