"""What operators ask of this node through the store: claimed between batches, done beside them, answered when done.

Invariants: nothing of it delays shipping: what takes its time (a stop with its grace) is done in a thread of its own, and commands about the same
target one after the other; the connection is used by the agent's thread only; a store that refuses commands is asked again a minute later and keeps
nothing from being shipped. Owns: when to look, and the order. Leaves claiming and answering to `Source`, doing to *perform*: both are handed in by `wiring`.
"""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import Fenced, FlightlogError, SinkUnavailable
from ..system import time
from .sink import Sink

LOOK_SECONDS, REFUSED_SECONDS = 1.0, 60.0


class Command(Protocol):
    """What is to be done (`commands.Command`)."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def run(self) -> str:
        """The run it is about, or empty."""

    @property
    def program(self) -> str:
        """The kept process it is about, or empty."""


class Source(Protocol):
    """Where commands come from: the store, over the agent's own connection. Both raise SinkError."""

    def claim(self, sink: Sink) -> Sequence[Command]:
        """Take what waits for this node."""

    def complete(self, sink: Sink, command: str, done: bool, result: str) -> None:
        """Say what became of it."""


class Errands:
    """See the module.

    Args:
        source: see there.
        perform: does one command and says what was done. Raises FlightlogError.
        say: writes a line of the agent's log.
    """

    def __init__(self, source: Source, perform: Callable[[Any], str]) -> None:
        self._source, self._perform = source, perform
        self.say: Callable[[str], None] = lambda text: None
        self._next = 0.0
        self._waiting: dict[str, collections.deque[Command]] = {}  # by target, as long as a thread works on it
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[tuple[str, bool, str]] = queue.SimpleQueue()
        self._unsent: list[tuple[str, bool, str]] = []

    @property
    def busy(self) -> bool:
        """Whether something is being done, or was and is not answered yet."""
        return bool(self._waiting or self._unsent or not self._answers.empty())

    def look(self, sink: Sink) -> None:
        """Answer what is done, and take what is new. Raises Fenced, SinkUnavailable."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        try:
            self._answer(sink)
            for command in self._source.claim(sink):
                self._begin(command)
        except (Fenced, SinkUnavailable):
            raise
        except FlightlogError as problem:
            self._next = now + REFUSED_SECONDS
            self.say(f"no commands are taken: {problem.message}")

    def _answer(self, sink: Sink) -> None:
        while not self._answers.empty():
            self._unsent.append(self._answers.get())
        while self._unsent:
            self._source.complete(sink, *self._unsent[0])
            del self._unsent[0]

    def _begin(self, command: Command) -> None:
        target = command.program or command.run
        with self._lock:
            if target in self._waiting:
                self._waiting[target].append(command)
                return
            self._waiting[target] = collections.deque([command])
        threading.Thread(target=self._work, args=(target,), name=f"errand {target}", daemon=True).start()

    def _work(self, target: str) -> None:
        while True:
            with self._lock:
                if not self._waiting[target]:
                    del self._waiting[target]
                    return
                command = self._waiting[target].popleft()
            try:
                answer = (command.id, True, self._perform(command))
            except FlightlogError as problem:
                answer = (command.id, False, problem.message + (f" (try: {problem.hint})" if problem.hint else ""))
            except Exception as problem:  # a mistake of our own is the command's failure, not the agent's end
                answer = (command.id, False, f"{type(problem).__name__}: {problem}")
            self._answers.put(answer)
