"""`flightlog agent`: run it, start it, stop it, look at it; `flightlog down`: stop it and the embedded server.

Owns: these commands' words. Leaves processes to `daemons`.
"""

from __future__ import annotations

import datetime
import os
import sys
from typing import Any

import click

from .. import identity
from ..agent import door
from ..errors import FlightlogError, Refused, TimedOut
from . import output, room
from .destinations import destinations, lines


@click.group(short_help="Run, start, stop or look at the agent, which ships.")
def agent() -> None:
    """Run, start, stop or look at the agent, which ships what is recorded into the database.

    \b
    Examples:
      flightlog agent status
      flightlog agent run              in the foreground: what a service does
      flightlog agent run --once       ship what there is, then end
    """


@agent.command("run", short_help="Be the agent, in the foreground.")
@click.option("--once", is_flag=True, help="Ship what lies in the spool, then end. Exit 5 when time was up before.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="At most, with --once.",
)
@click.option("--background", is_flag=True, hidden=True)
def run_(once: bool, timeout: float, background: bool) -> None:
    """Be the agent of this FLIGHTLOG_HOME until SIGTERM or Ctrl-C.

    \b
    Examples:
      flightlog agent run                       what a service does
      flightlog agent run --once --timeout 60   ship what there is, then end
    """
    from .. import daemons

    _must_be_ours()
    if not once:
        daemons.run_agent(background)
    elif not daemons.drain(timeout):
        raise TimedOut(f"not everything could be shipped within {timeout:g} s", "flightlog agent status")


@agent.command(short_help="Start the agent in the background.")
def start() -> None:
    """Start the agent in the background. It leaves, with the embedded server, after ten minutes in which nothing is recorded.

    \b
    Example:
      flightlog agent start
    """
    from .. import daemons

    _must_be_ours()
    try:
        started = daemons.start_agent()
    except OSError as problem:
        raise Refused(
            f"no agent can be started: {problem.filename}: {problem.strerror}", "set FLIGHTLOG_HOME"
        ) from problem
    note = door.holder(identity.home()) or {}
    output.say(f"agent {'started' if started else 'runs already'}: process {note.get('pid', '?')}")


@agent.command(short_help="Stop the agent.")
def stop() -> None:
    """Stop the agent after the batch in hand. What is recorded meanwhile waits in the spool.

    \b
    Example:
      flightlog agent stop
    """
    from .. import daemons

    _must_be_ours()
    output.say("agent stopped" if daemons.stop_agent() else "no agent runs")


@agent.command(short_help="Show whether it runs, and what waits to be shipped.")
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def status(form: str) -> None:
    """Show whether an agent runs, and what waits to be shipped.

    Exit 1 when something waits, or may wait, and nobody ships it; 3 when the configured database does not answer.

    \b
    Examples:
      flightlog agent status
      flightlog agent status -o json | jq .backlog_bytes
    """
    from .. import wiring

    _must_be_ours()
    facts = _facts()
    if form == "json":
        output.say(output.json_text({"v": 1, **facts}))
    else:
        _print(facts)
    wanted = [one for one in facts["destinations"] if one["enabled"]]
    if facts["store_error"] and any(one["name"] == "database" for one in wanted) and not wiring.is_embedded():
        sys.exit(3)
    if _waits(facts, wanted) and not (facts["running"] and wanted):
        sys.exit(1)


def _waits(facts: dict[str, Any], wanted: list[dict[str, Any]]) -> bool:
    """Tell whether something waits, or may wait, for a destination that is wanted, or for one to be switched on."""
    waiting = [facts["backlog_bytes"], *(one["backlog_bytes"] for one in wanted)]
    return any(facts["spool_bytes"] if one is None else one for one in waiting)


def _must_be_ours() -> None:
    """Refuse to speak about an agent that we may not look at: nothing that we said would be true. Raises Refused."""
    lock = os.path.join(identity.home(), door.LOCK_NAME)
    try:
        owner = os.stat(lock).st_uid
    except FileNotFoundError:
        return
    except OSError as problem:
        raise Refused(
            f"{identity.home()}: {problem.strerror}", "set FLIGHTLOG_HOME to a directory of yours"
        ) from problem
    if not os.access(lock, os.R_OK | os.W_OK):
        raise Refused(
            f"the agent of {identity.home()} is another user's ({output.user_name(owner)})",
            f"do it as {output.user_name(owner)}, or set FLIGHTLOG_HOME to a directory of yours",
        )


def _facts() -> dict[str, Any]:
    from .. import wiring
    from ..agent.spool import bytes_of, directories
    from ..agent.spool_scan import look

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
        "spool_quota": wiring.spool_quota(wiring.settings()),
        "writers": len(found),
        "backlog_bytes": None,
        "dropped": None,
        "self_check": _self_check(home),
        "store": "embedded" if wiring.is_embedded() else "server",
        "store_error": None,
    }
    try:
        if off is not None:
            raise off
        from ..query import drops

        wiring.store_dsn(start=False)
        with wiring.reading_store(ship=False) as reading:
            facts["backlog_bytes"] = reading.backlog_bytes
            facts["dropped"] = drops.of_node(reading.connection, reading.node)
            facts.update(room.facts(reading))
    except FlightlogError as problem:
        facts["store_error"] = problem.message
    facts["destinations"] = destinations(facts, wiring.settings())
    if off is not None:
        waiting = [one["backlog_bytes"] for one in facts["destinations"] if one["enabled"]]
        facts["backlog_bytes"] = waiting[0] if waiting else facts["spool_bytes"]
    if facts.get("pressure") is None:
        facts.update(room.facts())
    return facts


def _print(facts: dict[str, Any]) -> None:
    def fact(name: str, value: str) -> None:
        output.say(f"{name.ljust(10)} {output.cut(output.one_line(value), output.width() - 11)}")

    if facts["running"]:
        fact("agent", f"running, process {facts['pid']}, since {facts['since']}")
    else:
        fact("agent", "not running (flightlog agent start, or as a service: flightlog agent run)")
    fact("node", facts["node"])
    fact("home", facts["home"])
    database, *_ = facts["destinations"]
    error = facts["store_error"] if database["enabled"] else None
    fact("store", facts["store"] + (f", {error}" if error else ""))
    for one in facts["destinations"]:
        for name, value in lines(one, facts):
            fact(name, value)
    if not any(one["enabled"] for one in facts["destinations"]):
        fact("", "nothing is shipped: both destinations are switched off; the spool keeps records up to its quota")
    share = 100 * facts["spool_bytes"] / facts["spool_quota"] if facts["spool_quota"] else 0
    spool = f"{output.size(facts['spool_bytes'])} of {output.size(facts['spool_quota'])} ({share:.0f} %)"
    fact("spool", f"{spool}, {facts['writers']} writers")
    backlog = facts["backlog_bytes"]
    if backlog is None and facts["spool_bytes"]:
        fact("backlog", f"unknown, {output.size(facts['spool_bytes'])} at most")
    else:
        fact("backlog", output.size(backlog) if backlog else "none")
    for name, value in room.lines(facts):
        fact(name, value)
    last = facts["self_check"]
    if last is not None:
        counts = f"{last['records']} records of {last['writers']} writers"
        fact(
            "checked",
            f"{last['at']}, {counts}: {'all there, once' if last['good'] else 'NOT all there, once (flightlog audit)'}",
        )
    fact("dropped", "unknown" if facts["dropped"] is None else str(facts["dropped"] or "nothing"))


def _self_check(home: str) -> dict[str, Any] | None:
    """Return what the agent has found when it last audited its own node."""
    from ..agent import self_check

    last = self_check.load(home)
    return None if last is None else {**last._asdict(), "at": _moment(last.at), "good": last.good}


def _moment(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    return output.iso(datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc))


@click.command(short_help="Stop the agent and the embedded server.")
def down() -> None:
    """Stop the agent and the embedded server of this FLIGHTLOG_HOME. Pipelines notice nothing; their records wait in the spool.

    \b
    Example:
      flightlog down
    """
    from .. import daemons
    from ..store.embedded import EmbeddedServer

    _must_be_ours()
    stopped = daemons.stop_agent()
    output.say("agent      " + ("stopped" if stopped else "did not run"))
    server = EmbeddedServer(identity.home())
    if server.running:
        server.stop()
        output.say("server     stopped")
    else:
        output.say("server     did not run")
