"""`flightlog version`: which flightlog, on which Python."""

from __future__ import annotations

import json
import platform

import click

from .._version import __version__


@click.command(short_help="Print the version.")
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def version(output: str) -> None:
    """Print the version.

    \b
    Examples:
      flightlog version
      flightlog version -o json
    """
    if output == "json":
        click.echo(
            json.dumps({"v": 1, "flightlog": __version__, "python": platform.python_version()}, separators=(",", ":"))
        )
    else:
        click.echo(f"flightlog {__version__} (Python {platform.python_version()})")
