"""What the store is known to have, remembered while it is away: so that acknowledged segments can be given up before a record is shed.

Invariants: taken from a committed position and nothing else; a writer of which nothing is known now is forgotten, not guessed. A database that is
set back asks again for what it lost, as long as it is still in the spool (ADR 0003); under pressure that is not long. One thread takes, another
one looks. Owns: this memory. Leaves removal to `retire`.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Protocol

from .sink import Position
from .spool import Files

CLOSED, NOWHERE = Position(closed=True), Position()


class Acknowledging(Protocol):
    """What says how far a writer was shipped."""

    def closed(self) -> AbstractSet[str]:
        """Return the writers that were shipped to their end and will write no more."""

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer was shipped to its end and will write no more."""

    def position(self, writer: str) -> Position | None:
        """Return how far a writer was shipped, None when that is not known."""


class Acknowledged:
    """See the module; answers like any `Acknowledging`.

    Attributes:
        asked: whether the store has been asked since this agent began, with or without an answer.
    """

    def __init__(self) -> None:
        self.asked = False
        self._positions: dict[str, Position] = {}
        self._closed: set[str] = set()

    def take(self, writers: Collection[str], source: Acknowledging) -> None:
        """Remember what *source* knows of *writers*, and forget the rest."""
        closed = {*writers} & source.closed()
        known = dict.fromkeys(closed, CLOSED)
        for writer in {*writers} - closed:
            position = source.position(writer)
            if position is not None:
                known[writer] = position
        self._positions, self._closed = known, closed
        self.asked = True

    def learn(self, writer: str, segno: int, offset: int, closed: bool) -> None:
        """Remember one position."""
        self._positions[writer] = Position(segno, offset, closed=closed)
        if closed:
            self._closed.add(writer)

    def closed(self) -> AbstractSet[str]:
        """Return the writers that were shipped to their end and will write no more."""
        return self._closed

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer was shipped to its end and will write no more."""
        return self._positions.get(writer, NOWHERE).closed

    def position(self, writer: str) -> Position | None:
        """Return how far a writer was shipped, None when that is not known."""
        return self._positions.get(writer)

    def waiting(self, files: Files) -> int:
        """Return how many of a writer's bytes are not known to be in the store."""
        at = self._positions.get(files.writer, NOWHERE)
        if at.closed:
            return 0
        return sum(
            max(0, size - (at.offset if number == at.segno else 0))
            for number, size in files.sizes.items()
            if number >= at.segno
        )
