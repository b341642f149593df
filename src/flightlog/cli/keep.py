"""`flightlog stop`, `restart`, `pause`, `unpause`, `kill`: what is done to kept processes, and to runs on this node.

Owns: these commands' words and exit codes. Leaves doing it to `process.operate`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from .. import identity
from ..errors import FlightlogError, NotFound, TimedOut
from . import output, spans

MORE_SECONDS = 30.0  # for the way there and back, and for what cannot be ended at once
_GRACE = "Between SIGTERM and SIGKILL; default: as it was started with."


def names_argument(command: Any) -> Any:
    """Add the NAME... argument to a command."""
    return click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_processes)(
        command
    )


def complete_processes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return the names of kept processes that begin with what was typed."""
    from ..process.statedir import names

    return [name for name in names(identity.home()) if name.startswith(incomplete)]


def node_option(command: Any) -> Any:
    """Add --node to a command."""
    return click.option("--node", metavar="NODE", help="On another node, by its agent.")(command)


@click.command(short_help="End kept processes and all that descends from them.")
@names_argument
@click.option("--grace", metavar="SPAN", help=_GRACE)
@node_option
def stop(names: tuple[str, ...], grace: str | None, node: str | None) -> None:
    """End processes that were started by name, with all their descendants: SIGTERM, after the grace SIGKILL.

    Exit 1 when something of one is still there, which is then named.

    \b
    Examples:
      flightlog stop api
      flightlog stop api worker --grace 30s
    """
    _each("stop", names, grace, node)


@click.command(short_help="End kept processes and start them again.")
@names_argument
@click.option("--grace", metavar="SPAN", help=_GRACE)
@node_option
def restart(names: tuple[str, ...], grace: str | None, node: str | None) -> None:
    """End processes and start them again as they were started. Also starts one that has ended, or is quarantined.

    \b
    Example:
      flightlog restart api
    """
    _each("restart", names, grace, node)


@click.command(short_help="Stop kept processes where they are.")
@names_argument
@node_option
def pause(names: tuple[str, ...], node: str | None) -> None:
    """Stop processes and their descendants where they are (SIGSTOP), until `flightlog unpause`.

    \b
    Example:
      flightlog pause import
    """
    _each("pause", names, None, node)


@click.command(short_help="Let paused processes go on.")
@names_argument
@node_option
def unpause(names: tuple[str, ...], node: str | None) -> None:
    """Let processes that were paused go on.

    \b
    Example:
      flightlog unpause import
    """
    _each("resume", names, None, node)


@click.command(short_help="Kill a run or a kept process at once.")
@click.argument("targets", metavar="RUN|NAME...", nargs=-1, required=True, shell_complete=complete_processes)
@click.option("--grace", metavar="SPAN", default="0", help="SIGTERM first, and so long before SIGKILL.")
@click.option("--verify", is_flag=True, help="Exit 1, and name it, when something of its tree is still there.")
@node_option
def kill(targets: tuple[str, ...], grace: str, verify: bool, node: str | None) -> None:
    """Kill runs on this node, or processes that were started by name, with all their descendants.

    A name of a kept process stands before a run; a process that is killed here is not started again.

    \b
    Examples:
      flightlog kill orders --verify
      flightlog kill 01M893ZZGFA20NAF51EHNY3BKX --grace 10s --verify
    """
    from ..process.operate import Operator
    from ..process.statedir import NAME
    from ..process.statedir import names as kept

    operator = Operator()
    seconds = spans.seconds(grace, "--grace")
    verb = "stop" if seconds > 0 else "kill"
    perform, known = operator.perform, set(kept(operator.keep.home))
    if node is not None and node != identity.node_name():  # what is kept there its agent knows
        perform, known = (
            Elsewhere(node).perform,
            {one for one in targets if NAME.match(one) and not identity.is_ulid(one)},
        )
    problems: list[FlightlogError] = []
    for target in targets:
        for name, run in [(target, "")] if target in known else [("", one) for one in runs(target)]:
            try:
                output.say(perform(verb, name, run, seconds))
            except NotFound:
                raise
            except FlightlogError as problem:
                problems.append(problem)
    _complain(problems)
    if problems and verify:
        sys.exit(1)


def _each(verb: str, names: Sequence[str], grace: str | None, node: str | None) -> None:
    seconds = None if grace is None else spans.seconds(grace, "--grace")
    if node is None or node == identity.node_name():
        from ..process.operate import Operator

        perform = Operator().perform
    else:
        perform = Elsewhere(node).perform
    problems: list[FlightlogError] = []
    for name in names:
        try:
            output.say(perform(verb, name, "", seconds))
        except FlightlogError as problem:
            problems.append(problem)
    if len(problems) == 1:
        raise problems[0]
    _complain(problems)
    if problems:
        sys.exit(max(problem.exit_code for problem in problems))


class Elsewhere:
    """Another node, reached through the commands table; its agent does what is asked within a second or two, if it runs."""

    def __init__(self, node: str) -> None:
        self._node = node

    def perform(self, verb: str, program: str = "", run: str = "", grace_s: float | None = None) -> str:
        """Ask for it, wait, and return what was done, in words. Raises as `ask`."""
        return f"{self._node}: {self.ask(verb, program, run, grace_s)}"

    def ask(self, verb: str, program: str = "", run: str = "", grace_s: float | None = None) -> str:
        """Ask for it and wait for the answer; return it. Raises FlightlogError when it was not done, TimedOut."""
        from .. import commands, wiring
        from ..store.db import connect

        patience = (grace_s or 0.0) + MORE_SECONDS
        with connect(wiring.store_dsn(), wiring.READER) as connection:
            command = commands.enqueue(connection, verb, self._node, run, program, grace_s, expires_seconds=patience)
            deadline = time.monotonic() + patience
            while True:
                state, said = commands.answer(connection, command)
                if state == "done":
                    return said
                if state == "failed":
                    raise FlightlogError(f"{self._node}: {said}", "flightlog ps, on that node")
                if time.monotonic() > deadline:
                    raise TimedOut(
                        f"{self._node} has not answered within {patience:g} s",
                        f"does an agent run there? command {command}",
                    )
                time.sleep(0.1)


def _complain(problems: Sequence[FlightlogError]) -> None:
    for problem in problems:
        output.note(f"Error: {output.one_line(problem.message)}")
        if problem.hint:
            output.note(f"Try: {output.one_line(problem.hint)}")


def runs(selector: str) -> list[str]:
    """Return the ids that *selector* names; a whole id needs no store. Raises NotFound."""
    if identity.is_ulid(selector):
        return [selector]
    from ..query.selectors import resolve
    from .choose import UNREACHABLE, open_store, waiting

    try:
        with open_store() as reading:
            return list(resolve(waiting(reading).catalogue(), [selector]))
    except FlightlogError as problem:
        if problem.exit_code != UNREACHABLE:
            raise
    from .spooled import Spooled

    return list(resolve(Spooled(), [selector]))
