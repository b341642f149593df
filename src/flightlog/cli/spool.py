"""`flightlog spool`: the spool that users of a machine share. Owns: these commands' words. Leaves modes and owners to `agent.layout`."""

from __future__ import annotations

import json
import os
import sys

import click

from .. import identity


@click.group(short_help="Look at the spool, or share it.")
def spool() -> None:
    """Look at the spool, or make one that all users of this machine share.

    \b
    Examples:
      flightlog spool status
      flightlog spool setup      as root
    """


@spool.command(short_help="Make or mend a spool for all users.")
@click.option("--home", type=click.Path(), default="/var/lib/flightlog", show_default=True, help="Where the spool is.")
@click.option(
    "--group", default="flightlog", show_default=True, help="The group of the account that the agent runs as."
)
def setup(home: str, group: str) -> None:
    """Make the shared spool, or mend it. Needs root; safe to repeat while pipelines run.

    \b
    Examples:
      flightlog spool setup
      flightlog spool setup --home /srv/flightlog --group pipelines
    """
    from ..agent import layout

    home = os.path.abspath(home)
    for text in layout.setup(home, group):
        click.echo(f"Note: {text}", err=True)
    top = os.path.join(home, "spool")
    click.echo(
        f"{top} is ready: every user records into a directory of his own, an agent in group {group} ships them all"
    )
    if identity.shared_spool() != top:
        click.echo(f"Users find it by these lines in {identity.SYSTEM_CONFIG}:\n\nspool:\n  path: {top}")


@spool.command(short_help="Show whose directories there are.")
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(output: str) -> None:
    """Show the directories of the spool, whose they are, and what is wrong with them. Exit 1 when something is.

    Only root and the agent's group see every user's; others see their own.

    \b
    Examples:
      flightlog spool status
      flightlog spool status -o json | jq -r '.directories[] | select(.wrong != []) | .path'
    """
    from ..agent import layout

    shared, places = layout.inspect(identity.home())
    if output == "json":
        found = [dict(place._asdict(), mode=f"{place.mode:04o}") for place in places]
        click.echo(json.dumps({"v": 1, "home": identity.home(), "shared": shared, "directories": found}))
    else:
        click.echo("shared by all users" if shared else "of one user (flightlog spool setup makes one for all)")
        for place in places:
            who = f"{place.owner}:{place.group}"
            click.echo(f"{place.mode:04o} {who:25} {place.segments:6} files {place.used:12} bytes  {place.path}")
            for text in place.wrong:
                click.echo(f"     {text}")
    if any(place.wrong for place in places):
        if output == "short":
            click.echo("Error: the spool is not as it should be", err=True)
            click.echo("Try: sudo flightlog spool setup" if shared else "Try: mend what is said above", err=True)
        sys.exit(1)
