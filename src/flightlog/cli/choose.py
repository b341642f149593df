"""What the reading commands share: opening the store, saying what is not there yet, RUN arguments.

Leaves shipping to `wiring`, selectors to `query`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..errors import FlightlogError, NotFound, UsageError
from . import output
from .complete import complete_runs

if TYPE_CHECKING:
    from ..wiring import Reading
    from .waiting import Waiting

UNREACHABLE = 3
SHIPPING_SECONDS = 0.2


@contextlib.contextmanager
def open_store(ship: bool = True, note_first: bool = False) -> Iterator[Reading]:
    """Open the store after a short catch-up; say on standard error what is still on its way, at the end unless *note_first*.

    Raises FlightlogError.
    """
    from .. import wiring

    was_asleep = wiring.is_asleep()
    with wiring.reading_store(ship) as reading:
        if was_asleep:
            _let_it_end()
        if note_first:
            _note(reading)
        try:
            yield reading
        except NotFound:  # it may be in what is still on its way
            if not note_first:
                _note(reading)
            raise
        if not note_first:
            _note(reading)


def _let_it_end() -> None:
    """We started the embedded server, and somebody has to stop it when nobody needs it: an agent, where one may be started, does. Never raises."""
    from .. import daemons

    with contextlib.suppress(FlightlogError, OSError):
        daemons.ensure_agent()


def answer_from_spool(problem: FlightlogError, answer: Callable[[], None]) -> NoReturn:
    """Let the spool of this node *answer* when *problem* is that the store cannot be reached, and end with its exit code all the same.

    Raises *problem* when it is another one.
    """
    if problem.exit_code != UNREACHABLE:
        raise problem
    output.note(f"Error: {output.one_line(problem.message)}")
    if problem.hint:
        output.note(f"Try: {output.one_line(problem.hint)}")
    output.note("-- from the spool of this node: what is not in the store yet, and what was brought there lately --")
    try:
        answer()
    except NotFound as unknown:
        output.note(f"-- {output.one_line(unknown.message)} --")
    sys.exit(UNREACHABLE)


def waiting(reading: Reading) -> Waiting:
    """Return the runs that only this node's spool knows, as they were when this was first asked for. Raises SinkError."""
    from .waiting import Waiting

    if not isinstance(reading.waiting, Waiting):
        reading.waiting = Waiting(reading)
    return reading.waiting


def _note(reading: Reading) -> None:
    if reading.off is not None:
        click.echo(f"Note: nothing new comes here: {output.one_line(reading.off.message)}", err=True)
        click.echo(f"Try: {output.one_line(reading.off.hint)}", err=True)
        return
    if reading.backlog_bytes:
        whose = ""
        with contextlib.suppress(FlightlogError):  # the store may have gone meanwhile
            from .waiting import words

            runs = list(waiting(reading).runs.values())
            whose = f", all of {words(runs)} among them" if runs else ""
        output.note(f"{output.size(reading.backlog_bytes)} are still to be shipped{whose}; flightlog agent status")


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
            wiring.store_dsn(start=False)  # who stopped the server does not want us to start it
            agent = wiring.make_agent(own)
            agent.quiet = True
            with contextlib.closing(agent):
                agent.drain(SHIPPING_SECONDS)
    except (FlightlogError, OSError):
        pass  # no right to write here, or no sink that takes it: what is in the store is shown
    finally:
        own.leave()


def count(text: str, option: str, least: int = 0) -> int | None:
    """Return a number of things to show, None for `all`. Raises UsageError, naming *option*."""
    if text == "all":
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise UsageError(f"{option} {text}: no number of {least} or more", "-n 50, or -n all")
    return int(text)


def runs_argument(command: Any) -> Any:
    """Add the RUN... argument to a command."""
    return click.argument("selectors", metavar="[RUN]...", nargs=-1, shell_complete=complete_runs)(command)
