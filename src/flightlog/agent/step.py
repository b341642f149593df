"""How far one writer gets in one batch: from its committed position to the next one, and what lay between.

Owns: counting. The invariant that the store checks again: to_seq = seq + logs + events + dead.
"""

from __future__ import annotations

from typing import Any

from ..journal.format import FRAME_HEAD_BYTES
from ..system import os
from .sink import Position

MAX_KEPT_BYTES = 1 << 20  # of one stretch of damage
MAX_QUARANTINE_BYTES = 256 << 20
MAX_QUARANTINE_FILES = 1000  # so that damage of many stretches is passed in time that grows with their number
SMALLEST_FRAME_BYTES = FRAME_HEAD_BYTES + 2


class Step:
    """One writer's part of a batch."""

    __slots__ = (
        "_before_loss",
        "_least",
        "_n_from_damage",
        "_n_from_gap",
        "_room",
        "closed",
        "corrupt",
        "dead",
        "dropped",
        "drops",
        "events",
        "gap",
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
        self.logs = self.events = self.dead = self.corrupt = self.torn = self.gap = 0
        self.drops: dict[str, int] = {}  # totals of the writer by "<level>/<reason>", when it said some
        self.closed = False
        self.wants: Exception | None = None  # what has to be there before it can go on
        self._n_from_damage = self._n_from_gap = -1
        self._room = self._least = 0  # how many records may have been where the damage is, and were at least
        self._before_loss = (self.segno, self.offset)

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
            self.corrupt += max(self._least, min(n - self._n_from_damage - 1, self._room))
            self._n_from_damage = -1
        if self._n_from_gap >= 0:
            self.gap += max(0, n - self._n_from_gap - 1)
            self._n_from_gap = -1
        if n > self.n:
            self.n = n

    def passed(self, offset: int, highest: int, logs: int, events: int, dead: int) -> None:
        """Pass frames up to *offset*, of which so many became rows and dead letters; *highest* is the greatest of their own numbers."""
        self.offset = offset
        self.n = max(self.n, highest)
        self.logs += logs
        self.events += events
        self.dead += dead
        self.seq += logs + events + dead

    def damage(self, resume: int, room: int | None = None) -> None:
        """Pass bytes that are no frame, or that are not there any more (*room*: how many records these may have been).

        How many there were is known by the next one's number.
        """
        if self._n_from_damage < 0:
            self._before(self._n_from_gap)
            self._n_from_damage, self._room, self._least = self.n, 0, 0
        if room is None:  # what is not there any more may have held no record: then the next one's number says so
            self._least = 1
        self._room += (resume - self.offset) // SMALLEST_FRAME_BYTES if room is None else room
        self.offset = resume

    def take_drops(self, drops: dict[str, int]) -> None:
        """Take what the writer says it has dropped so far."""
        if drops:
            self.drops = drops
            self.dropped = max(self.dropped, sum(drops.values()))

    def vanished(self) -> None:
        """The segment of the position is gone with what may still have been in it; the next record's number says how much."""
        if self._n_from_gap < 0:
            self._before(self._n_from_damage)
            self._n_from_gap = self.n

    def _before(self, other: int) -> None:
        """Remember where a loss begins, unless another one has begun already."""
        if other < 0:
            self._before_loss = (self.segno, self.offset)

    def go_on(self, number: int) -> None:
        """Begin segment *number*."""
        self.segno, self.offset = number, 0

    def finish(self) -> None:
        """Settle damage, or a gap, with nothing numbered behind it yet: at the end of a writer it is at least one record, else it is met again."""
        if self._n_from_damage < 0 and self._n_from_gap < 0:
            return
        if not self.closed:
            self.segno, self.offset = self._before_loss
        elif self._n_from_damage >= 0:
            self.corrupt += 1
        else:
            self.gap += 1
        self._n_from_damage = self._n_from_gap = -1

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
            "drops": self.drops,
            "corrupt": self.corrupt,
            "torn": self.torn,
            "gap": self.gap,
            "closed": self.closed,
        }


def keep_damage(home: str, fd: int, writer: str, number: int, begin: int, end: int) -> None:
    """Copy damaged bytes to HOME/quarantine, at most 1 MiB of each stretch. Never raises: the shipping of the rest matters more.

    Zeros are not kept, they say nothing and cost nothing to make; nor is anything once the quarantine holds 256 MiB
    or 1,000 stretches.
    """
    folder = os.path.join(home, "quarantine")
    try:
        data = os.pread(fd, min(end - begin, MAX_KEPT_BYTES), begin)
        if not data.strip(b"\0"):
            return
        os.makedirs(folder, 0o700, exist_ok=True)
        names = os.listdir(folder)
        if len(names) >= MAX_QUARANTINE_FILES:
            return
        if sum(os.lstat(os.path.join(folder, name)).st_size for name in names) + len(data) > MAX_QUARANTINE_BYTES:
            return
        path = os.path.join(folder, f"{writer}.{number:06d}.{begin}.bad")
        if not os.path.exists(path):
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(target, data)
            finally:
                os.close(target)
    except OSError:
        pass
