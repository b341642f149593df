"""Following logs: what comes after the tail, by position, never by time.

Invariants: no line is left out and none comes twice, because tail and positions are read from one snapshot; one query per look when nothing is
new. Owns: which runs are followed, and when it is over. Leaves pauses and printing to the face.
"""

from __future__ import annotations

from dataclasses import replace

from ..store.db import Connection
from .ask import ask
from .logs import Filter, Line, behind, heads, newest
from .runs import FINAL


class Follow:
    """Follows what a filter selects.

    Args:
        connection: used by this object alone.
        wanted: runs None follows everything that goes on.
        pipelines: names whose later runs are followed, too.
    """

    def __init__(self, connection: Connection, wanted: Filter, pipelines: list[str]) -> None:
        self._connection, self._wanted, self._pipelines = connection, wanted, pipelines
        self._seen: dict[tuple[str, str], int] = {}

    def tail(self, limit: int) -> list[Line]:
        """Return the newest *limit* lines, and remember where they end."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._seen = heads(self._connection, self._wanted)
            return newest(self._connection, self._wanted, limit)

    def more(self) -> list[Line]:
        """Return what came since the last look."""
        runs = self._wanted.runs
        if runs and self._pipelines:
            after = max(runs)
            new = [row[0] for row in ask(self._connection, "runs", "newer", pipelines=self._pipelines, after=after)]
            if new:
                self._wanted = replace(self._wanted, runs=[*runs, *new])
        upto = heads(self._connection, self._wanted)
        lines = behind(self._connection, self._wanted, self._seen, upto)
        self._seen.update(upto)
        return lines

    def over(self) -> bool:
        """Tell whether all followed runs have ended; never when everything is followed."""
        runs = self._wanted.runs
        if not runs:
            return False
        return all(state in FINAL for _, state in ask(self._connection, "runs", "states", runs=list(runs)))
