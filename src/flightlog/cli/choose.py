"""What the reading commands share: opening the store, saying what is not there yet, RUN arguments and their completion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import output

if TYPE_CHECKING:
    from ..wiring import Reading


@contextlib.contextmanager
def open_store(ship: bool = True) -> Iterator[Reading]:
    """Open the store after a short catch-up; say on standard error what is still on its way. Raises FlightlogError."""
    from .. import wiring

    with wiring.reading_store(ship) as reading:
        yield reading
        if reading.backlog_bytes:
            click.echo(
                f"note: {output.size(reading.backlog_bytes)} are recorded but not in the store yet (flightlog agent status)",
                err=True,
            )


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return pipelines and short ids that begin with what was typed; nothing when the store is not at hand."""
    from click.shell_completion import CompletionItem

    try:
        from .. import wiring
        from ..query import runs
        from ..store.db import connect

        with connect(wiring.store_dsn(start=False), "flightlog completion", statement_seconds=1) as connection:
            found = runs.list_runs(connection, limit=200)
    except Exception:  # a completion must never print
        return []
    names = {run.pipeline: "pipeline" for run in found}
    names.update((run.short, f"{run.pipeline} {run.state}") for run in found)
    return [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(incomplete)]


def runs_argument(command: Any) -> Any:
    """Add the RUN... argument to a command."""
    return click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=complete_runs)(command)
