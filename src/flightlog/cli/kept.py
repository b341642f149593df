"""A sink that hands rows on instead of storing them, and COPY lines as typed ones.

Owns: reading back what `agent.rows` writes. Leaves what becomes of the rows to `spooled`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..agent.sink import Checked, DeadLetter, Position
from ..query.logs import Line
from ..store.db import parsed

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"n": "\n", "t": "\t", "r": "\r"}


class Kept:
    """Sink and batch in one: refuses nothing, remembers nothing.

    Args:
        keep: gets each log, a COPY line.
        heed: gets each event, a COPY line.
        learn: gets what a batch says of a run.
        account: gets how far a writer has come.
    """

    def __init__(
        self,
        keep: Callable[[str], None],
        heed: Callable[[str], None],
        learn: Callable[[dict[str, Any]], None],
        account: Callable[[dict[str, Any]], None],
    ) -> None:
        self._keep, self._heed, self._learn, self._account = keep, heed, learn, account

    store_id = place = ""
    backend = 0

    def open(self, node: str, pid: int, session: int = 0) -> int:
        """See `agent.sink`."""
        return 1

    def positions(self, writers: Sequence[str]) -> dict[str, Position]:
        """See `agent.sink`."""
        return {}

    def run_positions(self, runs: Sequence[str]) -> dict[str, int]:
        """See `agent.sink`."""
        return {}

    def prepare(self, days: Iterable[int]) -> set[int]:
        """See `agent.sink`."""
        return set(days)

    def self_check(self, since: str, after: str, limit: int, rows: int) -> list[Checked]:
        """See `agent.sink`."""
        return []

    def begin(self) -> Kept:
        """See `agent.sink`."""
        return self

    def write_logs(self, rows: bytes) -> None:
        """See `agent.sink`."""
        for row in rows.decode().split("\n")[:-1]:
            self._keep(row)

    def end_logs(self) -> None:
        """See `agent.sink`."""

    def write_events(self, rows: bytes) -> None:
        """See `agent.sink`."""
        for row in rows.decode().split("\n")[:-1]:
            self._heed(row)

    def write_metrics(self, rows: bytes) -> None:
        """See `agent.sink`."""

    def forget_rows(self) -> None:
        """See `agent.sink`."""

    def try_rows(self, logs: bytes, events: bytes) -> None:
        """See `agent.sink`."""

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """See `agent.sink`."""

    def apply_runs(self, runs: Sequence[dict[str, Any]]) -> None:
        """See `agent.sink`."""
        for row in runs:
            self._learn(row)

    def advance(self, writers: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> None:
        """See `agent.sink`."""
        for writer in writers:
            self._account(writer)

    def commit(self) -> None:
        """See `agent.sink`."""

    def abort(self) -> None:
        """See `agent.sink`."""

    def owners(self, writers: Sequence[str]) -> dict[str, int]:
        """See `agent.sink`."""
        return {}

    def lost(self, known: Sequence[str]) -> list[str]:
        """See `agent.sink`."""
        return []

    def beat(self, status: dict[str, Any]) -> None:
        """See `agent.sink`."""

    def close(self) -> None:
        """See `agent.sink`."""


def line(row: str) -> Line:
    """Return a COPY line of `agent.rows` as a typed one."""
    (
        run, ts, pos, seq, writer, levelno, level, logger, message, stage, source, pid, thread, file, line, func, fields, error, node,
        claimed, flags,
    ) = (None if field == "\\N" else _ESCAPE.sub(_meant, field) if "\\" in field else field for field in row.split("\t"))  # fmt: skip
    return Line(
        moment(ts), level or "", int(levelno or 0), message or "", logger, None, run or "", stage, node or "", _number(pid), thread,
        writer or "", int(seq or 0), int(pos or 0), source or "", file, _number(line), func, parsed(fields) if fields else None,
        parsed(error) if error else None, moment(claimed) if claimed else None, int(flags or 0),
    )  # fmt: skip


def event(row: str) -> tuple[str, datetime.datetime, dict[str, Any]]:
    """Return run, time and data of an event's COPY line."""
    run, ts, *_, data = (_ESCAPE.sub(_meant, field) if "\\" in field else field for field in row.split("\t"))
    return run, moment(ts), parsed(data)


def _meant(found: re.Match[str]) -> str:
    return _MEANING.get(found[1], found[1])


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def moment(text: str | None) -> datetime.datetime:
    """Return a timestamp of PostgreSQL's."""
    return datetime.datetime.fromisoformat(text or "1970-01-01 00:00:00+00")
