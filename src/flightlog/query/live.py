"""Following logs: what comes after the tail, by position, never by time.

Invariants: no line is left out and none comes twice, because tail and positions are read from one snapshot; one query per look when nothing is
new; a look returns a bounded number of lines. Owns: which runs are followed, and when it is over. Leaves pauses and printing to the face.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg

from .. import identity
from ..store.db import Connection, translate
from .ask import ask, take_time
from .logs import Filter, Line, everything, newest
from .runs import FINAL

Head = tuple[str, str]  # run, node
LOOK_LINES = 5000  # positions read of one run on one node in one look
LATE_SECONDS = 3600  # a run that began so long ago and is shipped only now may be missed; one that goes on never is
QUIET_SECONDS = 1.0  # how long an ended run's open writers may say nothing before nobody waits for them


class Follow:
    """Follows what a filter selects.

    Args:
        connection: used by this object alone; lost, it is replaced by `use`.
        wanted: runs None follows everything that goes on.
        pipelines: names whose later runs are followed, too.
    """

    def __init__(self, connection: Connection, wanted: Filter, pipelines: list[str]) -> None:
        self._connection, self._wanted, self._pipelines = connection, wanted, pipelines
        self._chosen = wanted.runs is not None
        self._open = set(wanted.runs or ())
        self._after = max(self._open) if self._open else _some_time_ago()
        self._seen: dict[Head, int] = {}
        self._all_ended = False
        self._writers_open = True
        self._news_at = time.monotonic()
        self.more_waits = False  # whether the last look left lines behind that are in the store already

    def use(self, connection: Connection) -> None:
        """Go on over another connection: what was seen stays seen."""
        self._connection = connection

    def tail(self, limit: int | None) -> Iterator[Line]:
        """Yield the newest *limit* lines (None: all), and remember where they end. To be exhausted before `more`."""
        try:
            with self._connection.transaction():
                self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                take_time(self._connection)
                self._seen = self._heads()
                if limit is None:
                    yield from everything(self._connection, self._wanted)
                else:
                    yield from newest(self._connection, self._wanted, limit)
        except psycopg.Error as problem:
            raise translate(problem, "cannot read logs") from problem

    def more(self) -> list[Line]:
        """Return what came since the last look, in the order of time. Raises SinkError, and the next look returns the same lines."""
        heads = self._heads()
        upto = {key: min(high, self._seen.get(key, 1) + LOOK_LINES) for key, high in heads.items()}
        new = [(key, self._seen.get(key, 1), high) for key, high in upto.items() if high > self._seen.get(key, 1)]
        left = [key for key, high in heads.items() if upto[key] < high]
        self._open.update(run for run, _ in left)
        self.more_waits = bool(left)
        if not new:
            return []
        self._news_at = time.monotonic()
        values = self._wanted.values()
        values.update(seen_runs=[key[0] for key, _, _ in new], seen_nodes=[key[1] for key, _, _ in new])
        values.update(after=[low for _, low, _ in new], before=[high for _, _, high in new])
        lines = [Line(*row) for row in ask(self._connection, "logs", "behind", **values)]
        self._seen.update(upto)
        return lines

    @property
    def over(self) -> bool:
        """Whether all followed runs have ended and said what they had to say; never when everything is followed."""
        if not self._chosen or not self._all_ended or self.more_waits:
            return False
        return not self._writers_open or time.monotonic() - self._news_at > QUIET_SECONDS

    def _heads(self) -> dict[Head, int]:
        """Return the next position of each followed run on each node."""
        self._after = max(self._after, _some_time_ago())
        rows = ask(
            self._connection,
            "logs",
            "heads",
            runs=list(self._open),
            pipelines=self._pipelines,
            after=self._after,
            live=not self._chosen,
        )
        self._all_ended = all(state in FINAL for _, state, _, _, _ in rows)
        self._writers_open = any(unclosed for _, _, _, _, unclosed in rows)
        # What had ended at this look, with all its writers, is not asked for again; what goes on is, until it has ended.
        # Positions are in the same snapshot as states, so that the last lines of such a run are in this look's heads.
        self._open = {run for run, state, _, _, unclosed in rows if state not in FINAL or unclosed}
        return {
            (run, node): position
            for run, _, node, position, _ in rows
            if node is not None and self._wanted.node in (None, node)
        }


def _some_time_ago() -> str:
    """Return what ids of runs that began lately are greater than."""
    return identity.new_ulid(time.time_ns() - LATE_SECONDS * 10**9)[:10]
