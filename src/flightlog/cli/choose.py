"""What the reading commands share: opening the store, saying what is not there yet, RUN arguments and their completion.

Owns: that nothing of a record or name can steer the terminal through an error. Leaves shipping to `wiring`, selectors to `query`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..errors import FlightlogError
from . import output

if TYPE_CHECKING:
    from ..wiring import Reading

COMPLETION_RUNS = 200
COMPLETION_SECONDS = 1
SHIPPING_SECONDS = 0.2


@contextlib.contextmanager
def open_store(ship: bool = True, note_first: bool = False) -> Iterator[Reading]:
    """Open the store after a short catch-up; say on standard error what is still on its way, at the end unless *note_first*.

    Raises FlightlogError.
    """
    from .. import wiring

    output.ready()
    try:
        with wiring.reading_store(ship) as reading:
            if note_first:
                _note(reading)
            yield reading
            if not note_first:
                _note(reading)
    except FlightlogError as problem:  # it may name what others named: pipelines, nodes, patterns
        problem.message, problem.hint = output.one_line(problem.message), output.one_line(problem.hint)
        raise


def _note(reading: Reading) -> None:
    if reading.off is not None:
        click.echo(f"Note: nothing new comes here: {output.one_line(reading.off.message)}", err=True)
        click.echo(f"Try: {output.one_line(reading.off.hint)}", err=True)
        return
    if reading.backlog_bytes:
        click.echo(f"{output.size(reading.backlog_bytes)} are still to be shipped; flightlog agent status", err=True)


def wake_shipping(ourselves: bool = True) -> None:
    """Have what is new in this node's spool shipped: by the agent, or, when none runs, by *ourselves*. Never raises."""
    from .. import identity, wiring
    from ..agent import door

    home = identity.home()
    if door.ring(home) or not ourselves or wiring.switched_off() is not None:
        return
    own = door.Door(home)
    try:
        if own.take():
            agent = wiring.make_agent(own)
            agent.quiet = True
            with contextlib.closing(agent):
                agent.drain(SHIPPING_SECONDS)
    except (FlightlogError, OSError):
        pass  # no right to write here, or no sink that takes it: what is in the store is shown
    finally:
        own.leave()


def runs_argument(command: Any) -> Any:
    """Add the RUN... argument to a command."""
    return click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=complete_runs)(command)


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return pipelines, and short ids of recent runs, that begin with what was typed; nothing when the store is not at hand."""
    found = _recent_runs()
    names = {run.pipeline: "pipeline" for run in found}
    names.update((run.short, f"{run.pipeline} {run.state}") for run in found)
    return _items(names, incomplete)


def complete_pipelines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return pipelines that begin with what was typed; nothing when the store is not at hand."""
    return _items({run.pipeline: "pipeline" for run in _recent_runs()}, incomplete)


def _recent_runs() -> list[Any]:
    try:
        from psycopg import conninfo

        from .. import wiring
        from ..query import runs
        from ..store.db import connect

        dsn = conninfo.make_conninfo(wiring.store_dsn(start=False), connect_timeout=COMPLETION_SECONDS)
        with connect(dsn, "flightlog completion", statement_seconds=COMPLETION_SECONDS) as connection:
            return runs.list_runs(connection, limit=COMPLETION_RUNS)
    except Exception:  # a completion must never print
        return []


def _items(names: dict[str, str], incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    plain = {
        name: text for name, text in names.items() if name.startswith(incomplete) and name == output.one_line(name)
    }
    return [CompletionItem(name, help=output.one_line(text)) for name, text in plain.items()]
