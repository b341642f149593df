"""`flightlog agent`: run it, start it, stop it, look at it; `flightlog down`: stop it and the embedded server.

Owns: these commands' words. Leaves processes to `daemons`.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from typing import Any

import click

from .. import identity
from ..agent import door
from ..errors import FlightlogError, SinkError
from .destinations import destinations, lines


@click.group()
def agent() -> None:
    """Run, start, stop or look at the agent, which ships what is recorded.

    \b
    Examples:
      flightlog agent status
      flightlog agent run              in the foreground: what a service does
      flightlog agent run --once       ship what there is, then end
    """


@agent.command("run")
@click.option("--once", is_flag=True, help="Ship what lies in the spool, then end. Exit 1 when something is left.")
@click.option(
    "--timeout", type=float, default=600.0, show_default=True, metavar="SECONDS", help="At most, with --once."
)
@click.option("--background", is_flag=True, hidden=True)
def run_(once: bool, timeout: float, background: bool) -> None:
    """Be the agent of this FLIGHTLOG_HOME until SIGTERM or Ctrl-C."""
    from .. import daemons

    if not once:
        daemons.run_agent(background)
    elif not daemons.drain(timeout):
        click.echo("Error: not everything could be shipped in time", err=True)
        click.echo("Try: flightlog agent status", err=True)
        sys.exit(1)


@agent.command()
def start() -> None:
    """Start the agent in the background."""
    from .. import daemons

    started = daemons.start_agent()
    note = door.holder(identity.home()) or {}
    click.echo(f"agent {'started' if started else 'runs already'}: process {note.get('pid', '?')}")


@agent.command()
def stop() -> None:
    """Stop the agent after the batch in hand. What is recorded meanwhile waits in the spool."""
    from .. import daemons

    click.echo("agent stopped" if daemons.stop_agent() else "no agent runs")


@agent.command()
@click.option("-o", "--output", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(output: str) -> None:
    """Show whether an agent runs, and what waits to be shipped. Exit 1 when something waits and nobody ships it."""
    facts = _facts()
    waits = facts["backlog_bytes"] or any(one["backlog_bytes"] for one in facts["destinations"] if one["enabled"])
    shipped = facts["running"] and any(one["enabled"] for one in facts["destinations"])
    if output == "json":
        click.echo(json.dumps({"v": 1, **facts}))
    else:
        _print(facts)
    if waits and not shipped:
        sys.exit(1)


def _facts() -> dict[str, Any]:
    from .. import wiring
    from ..agent.spool import bytes_of, directories, look

    home = identity.home()
    note = door.holder(home)
    off = wiring.switched_off()
    found = look(directories(home, os.environ.get("FLIGHTLOG_SPOOL", "")))
    facts: dict[str, Any] = {
        "home": home,
        "node": identity.node_name(),
        "running": note is not None,
        "pid": (note or {}).get("pid"),
        "since": _moment((note or {}).get("since")),
        "spool_bytes": bytes_of(found),
        "spool_quota": wiring.settings().spool.quota,
        "writers": len(found),
        "backlog_bytes": None,
        "store": None,
        "store_error": None,
    }
    try:
        if off is not None:
            raise off
        wiring.store_dsn(start=False)
        with wiring.reading_store(ship=False) as reading:
            facts["backlog_bytes"] = reading.backlog_bytes
            facts["store"] = "embedded" if wiring.is_embedded() else "server"
    except (FlightlogError, SinkError) as problem:
        facts["store_error"] = problem.message
        facts["backlog_bytes"] = facts["spool_bytes"] if not note else None
    facts["destinations"] = destinations(facts, wiring.settings())
    if off is not None:
        waiting = [one["backlog_bytes"] for one in facts["destinations"] if one["enabled"]]
        facts["backlog_bytes"] = waiting[0] if waiting else facts["spool_bytes"]
    return facts


def _print(facts: dict[str, Any]) -> None:
    if facts["running"]:
        click.echo(f"agent      running, process {facts['pid']}, since {facts['since']}")
    else:
        click.echo("agent      not running (flightlog agent start, or as a service: flightlog agent run)")
    click.echo(f"node       {facts['node']}")
    click.echo(f"home       {facts['home']}")
    for one in facts["destinations"]:
        for line in lines(one, facts["store"]):
            click.echo(line)
    if not any(one["enabled"] for one in facts["destinations"]):
        click.echo(
            "           nothing is shipped: both destinations are switched off; the spool keeps records up to its quota"
        )
    share = 100 * facts["spool_bytes"] / facts["spool_quota"] if facts["spool_quota"] else 0
    click.echo(
        f"spool      {_size(facts['spool_bytes'])} of {_size(facts['spool_quota'])} ({share:.0f} %), {facts['writers']} writers"
    )
    backlog = facts["backlog_bytes"]
    click.echo(f"backlog    {'unknown' if backlog is None else _size(backlog) if backlog else 'none'}")


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def _moment(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@click.command()
def down() -> None:
    """Stop the agent and the embedded server of this FLIGHTLOG_HOME. Pipelines notice nothing; their records wait in the spool.

    \b
    Example:
      flightlog down
    """
    from .. import daemons
    from ..store.embedded import EmbeddedServer

    stopped = daemons.stop_agent()
    click.echo("agent      " + ("stopped" if stopped else "did not run"))
    server = EmbeddedServer(identity.home())
    if server.running:
        server.stop()
        click.echo("server     stopped")
    else:
        click.echo("server     did not run")
