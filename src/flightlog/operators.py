"""The two sides of an operator's command, put together: where the agent gets commands from, and what does them on this node.

Owns: that wiring, kept out of `wiring` because commands that only look need none of it. Leaves the order to `agent.errands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import commands
from .agent.errands import Errands
from .errors import Refused
from .process.operate import Operator

if TYPE_CHECKING:
    from .agent.sink import Sink


class _Store:
    """Commands in the store of the agent."""

    def claim(self, sink: Sink) -> Sequence[commands.Command]:
        from .store.ingest import PostgresSink

        assert isinstance(sink, PostgresSink)
        return commands.claim(sink.usable(), sink.node, sink.epoch)

    def complete(self, sink: Sink, command: str, done: bool, result: str) -> None:
        from .store.ingest import PostgresSink

        assert isinstance(sink, PostgresSink)
        commands.complete(sink.usable(), sink.node, sink.epoch, command, done, result)


def errands(home: str) -> Errands:
    """Return what the agent of *home* does for operators."""

    def perform(command: commands.Command) -> str:
        if command.signal not in ("", "TERM", "KILL"):
            raise Refused(f"SIG{command.signal} is not sent from elsewhere", "stop, kill, pause or resume")
        verb = "kill" if command.signal == "KILL" and command.verb == "stop" else command.verb
        operator = Operator(home, command.requested_by)
        return operator.perform(verb, command.program, command.run, command.grace_seconds)

    return Errands(_Store(), perform)
