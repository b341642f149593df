"""How far one writer gets in one batch: from its committed position to the next one, and what lay between.

Owns: counting. The invariant that the store checks again: to_seq = seq + logs + events + dead.
"""

from __future__ import annotations

import os
from typing import Any

from ..journal.format import FRAME_HEAD_BYTES
from .sink import Position

MAX_KEPT_BYTES = 1 << 20  # of one stretch of damage
SMALLEST_FRAME_BYTES = FRAME_HEAD_BYTES + 2


class Step:
    """One writer's part of a batch."""

    __slots__ = (
        "_before_damage",
        "_n_from_damage",
        "_room",
        "closed",
        "corrupt",
        "dead",
        "dropped",
        "events",
        "logs",
        "n",
        "offset",
        "segno",
        "seq",
        "start",
        "torn",
        "wants",
        "writer",
    )

    def __init__(self, writer: str, start: Position) -> None:
        self.writer, self.start = writer, start
        self.segno, self.offset, self.seq, self.n, self.dropped = start[:5]
        self.logs = self.events = self.dead = self.corrupt = self.torn = 0
        self.closed = False
        self.wants: Exception | None = None  # what has to be there before it can go on
        self._n_from_damage = -1
        self._room = 0  # how many records may have been where the damage is
        self._before_damage = (start.segno, start.offset)

    @property
    def moved(self) -> bool:
        """Whether there is anything to commit."""
        return (self.segno, self.offset, self.closed) != (self.start.segno, self.start.offset, self.start.closed)

    @property
    def blocked(self) -> bool:
        """Whether something has to be there before it can go on."""
        return self.wants is not None

    def number(self, n: int) -> None:
        """Take the writer's own number of a frame; one behind damage says how many are missing in it."""
        if self._n_from_damage >= 0:
            self.corrupt += max(1, min(n - self._n_from_damage - 1, self._room))
            self._n_from_damage = -1
        if n > self.n:
            self.n = n

    def count_dead(self, end: int, n: int) -> None:
        """Pass a frame that became a dead letter."""
        self.dead += 1
        self.seq += 1
        self.number(n)
        self.offset = end

    def damage(self, resume: int, room: int | None = None) -> None:
        """Pass bytes that are no frame, or that are not there any more (*room*: how many records these may have been).

        How many there were is known by the next one's number.
        """
        if self._n_from_damage < 0:
            self._n_from_damage, self._room = self.n, 0
            self._before_damage = (self.segno, self.offset)
        self._room += (resume - self.offset) // SMALLEST_FRAME_BYTES if room is None else room
        self.offset = resume

    def go_on(self, number: int) -> None:
        """Begin segment *number*."""
        self.segno, self.offset = number, 0

    def finish(self) -> None:
        """Settle damage that nothing numbered was read behind: at the end of a writer it is at least one record, else it is met again."""
        if self._n_from_damage < 0:
            return
        if self.closed:
            self.corrupt += 1
        else:
            self.segno, self.offset = self._before_damage
        self._n_from_damage = -1

    def refused(self, kinds: list[str]) -> None:
        """Count rows as dead letters that were refused after they had been counted as stored."""
        for kind in kinds:
            if kind == "log":
                self.logs -= 1
            else:
                self.events -= 1
            self.dead += 1

    def position(self) -> Position:
        """Return where it stands now."""
        return Position(self.segno, self.offset, self.seq, self.n, self.dropped, self.closed)

    def advance(self, kind: str, run: str, described: dict[str, Any], opened: str) -> dict[str, Any]:
        """Return it as `pipeline_ship_commit_v1` takes it."""
        start = self.start
        return {
            "writer": self.writer,
            "kind": kind,
            "run": run,
            "pid": described.get("pid"),
            "opened": opened,
            "header": described.get("header") or {},
            "segno": start.segno,
            "offset": start.offset,
            "seq": start.seq,
            "to_segno": self.segno,
            "to_offset": self.offset,
            "to_seq": self.seq,
            "n": self.n,
            "logs": self.logs,
            "events": self.events,
            "dead": self.dead,
            "dropped": self.dropped,
            "corrupt": self.corrupt,
            "torn": self.torn,
            "closed": self.closed,
        }


def keep_damage(home: str, fd: int, writer: str, number: int, begin: int, end: int) -> None:
    """Copy damaged bytes to HOME/quarantine, at most 1 MiB of each stretch. Never raises: the shipping of the rest matters more."""
    folder = os.path.join(home, "quarantine")
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        path = os.path.join(folder, f"{writer}.{number:06d}.{begin}.bad")
        if not os.path.exists(path):
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(target, os.pread(fd, min(end - begin, MAX_KEPT_BYTES), begin))
            finally:
                os.close(target)
    except OSError:
        pass
