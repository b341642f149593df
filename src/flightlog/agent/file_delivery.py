"""The text logs as a destination of the agent: opened, written to, held and given up as the settings and the disk want.

Invariants: no error leaves it, each is said once and shown in the status, and everything stays in the spool meanwhile; what is not open has
acknowledged nothing. Used by one thread; `acknowledges` may be asked from another. Owns: the life of the FileSink.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from ..errors import FlightlogError, SinkError, SinkMisconfigured
from .aside import Aside, Mistake
from .board import HOLDING, OFF, SHIPPING, STARTING, Board
from .file_positions import NAME, load
from .file_shipper import FileShipper
from .file_sink import FileSink, FileWish
from .sink import Position
from .spool import Files

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
ALIVE_SECONDS = 1.0


class FileDelivery:
    """Text logs, wanted or not.

    Args:
        node: this node's name.
        home: FLIGHTLOG_HOME.
        batch_rows: when a batch is full.
        board: where its state is said.
        say: the agent's log.
    """

    def __init__(self, node: str, home: str, batch_rows: int, board: Board, say: Callable[[str], None]) -> None:
        self._node, self._home, self._batch_rows = node, home, batch_rows
        self._board, self._say = board, say
        self._wish: FileWish | None = None
        self._sink: FileSink | None = None
        self._shipper: FileShipper | None = None
        self._pause = self._retry_at = self._next_alive = 0.0
        self._said = ""
        self._marked = ""
        self._aside = Aside()
        self._unreadable: dict[str, str] = {}  # as last said
        self.presses = False  # whether the last round says to go on at once
        self.busy = False  # whether somebody living writes, or something waits

    @property
    def owners(self) -> dict[str, int]:
        """Whose a writer is, as far as that is known."""
        shipper = self._shipper
        return shipper.owners if shipper is not None else {}

    def closed(self) -> AbstractSet[str]:
        """Return the writers that are in the logs to their end. May be asked from another thread."""
        shipper = self._shipper
        return shipper.closed() if shipper is not None else frozenset()

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer is in the logs to its end."""
        shipper = self._shipper
        return shipper is not None and shipper.is_closed(writer)

    def position(self, writer: str) -> Position | None:
        """Return how far a writer is in the logs, None when that is not known."""
        shipper = self._shipper
        return shipper.position(writer) if shipper is not None else None

    def round(self, wish: FileWish | None, directory: str, found: dict[str, Files], look_alive: bool = False) -> bool:
        """Do what is to be done now, at most one batch; tell whether there may be more. Never raises.

        Args:
            wish: what is wanted; None: nothing.
            directory: where logs are, or were when they were wanted.
            found: a fresh look at the spool.
            look_alive: whether to look now which silent writers are dead; else that is done once a second.
        """
        if wish != self._wish:
            self._change(wish)
        if wish is None:
            self.busy = False
            self._mark_off(directory)
            self._board.say("files", OFF)
            return False
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            return self._work(wish, found, now, look_alive)
        except Mistake as mistake:
            self.close()
            self._aside.put(mistake)
            self.presses = True
            return True
        except (FlightlogError, OSError) as problem:
            self._hold(wish, problem, found)
            return False

    def problem(self) -> str:
        """Return what it holds everything for, empty when it does not."""
        return self._said

    def close(self) -> None:
        """Let go of the directory. Never raises."""
        shipper, sink = self._shipper, self._sink
        self._shipper = self._sink = None
        if shipper is not None:
            shipper.close()
        if sink is not None:
            sink.close()

    def _change(self, wish: FileWish | None) -> None:
        if self._wish is not None and wish is None:
            self._say("text logs are switched off")
        self.close()
        self._wish, self._pause, self._retry_at, self._said, self._marked = wish, 0.0, 0.0, "", ""

    def _work(self, wish: FileWish, found: dict[str, Files], now: float, look_alive: bool) -> bool:
        if self._shipper is None:
            self._open(wish)
        assert self._shipper is not None and self._sink is not None
        look_alive = look_alive or now >= self._next_alive
        if look_alive:
            self._next_alive = now + ALIVE_SECONDS
        removed = self._sink.removed
        done = self._shipper.ship(found, look_alive)
        for writer, why in self._shipper.unreadable.items():
            if self._unreadable.get(writer) != why:
                self._say(f"text logs: writer {writer} is held up: {why}")
        self._unreadable = dict(self._shipper.unreadable)
        if self._sink.removed > removed:
            self._say(f"{self._sink.removed - removed} rotated text logs were removed: logging.file.total is used up")
        if not done.more:
            self._settle()
        waits = self._shipper.backlog(found)
        self.busy = bool(self._shipper.living_runs()) or waits > 0
        if self._said:
            self._say("text logs are written again")
        self._pause, self._said = 0.0, ""
        positions = self._sink.positions
        self._board.say(
            "files",
            SHIPPING,
            backlog_bytes=waits,
            directory=wish.directory,
            format=wish.format,
            began_ns=positions.began_ns,
            first_ns=positions.first_ns,
            gaps=positions.gaps,
        )
        if done.more:
            self.presses = done.presses
            return True
        self.presses = self._sink.tidy()
        return self.presses

    def _open(self, wish: FileWish) -> None:
        self._board.say("files", STARTING, directory=wish.directory)
        sink = FileSink(wish)
        sink.open()
        self._sink = sink
        positions = sink.positions
        if positions.off_ns:
            now_ns = time.time_ns()
            positions.gaps.append([positions.off_ns, now_ns])
            self._say(
                f"text logs in {wish.directory} go on; from {_moment(positions.off_ns)} to {_moment(now_ns)} they were switched off: "
                "what left the spool in between is not in them"
            )
            positions.off_ns = 0
            sink.save()
        self._shipper = FileShipper(sink, self._node, self._home, self._batch_rows, self._aside)

    def _settle(self) -> None:
        """Say from when on a new directory has records, once it has all that was there."""
        assert self._sink is not None
        positions = self._sink.positions
        if not positions.settled:
            positions.settled = True
            self._sink.save()
            since = _moment(positions.first_ns or positions.began_ns)
            self._say(
                f"text logs in {positions.directory} begin with records of {since}; what is older had left the spool"
            )

    def _mark_off(self, directory: str) -> None:
        """Note in a directory that was written to since when it is not any more."""
        if self._marked == directory or not os.path.exists(os.path.join(directory, NAME)):
            return
        self._marked = directory
        try:
            stored = load(directory)
            if stored is not None and not stored.off_ns:
                sink = FileSink(FileWish(directory))
                sink.open()
                try:
                    sink.positions.off_ns = time.time_ns()
                    sink.save()
                finally:
                    sink.close()
        except (SinkError, OSError):
            pass  # then it is not known when it was switched off; nothing else depends on it

    def _hold(self, wish: FileWish, problem: FlightlogError | OSError, found: dict[str, Files]) -> None:
        """Say once what is wrong, and rest longer each time."""
        backlog = self._shipper.backlog(found) if self._shipper is not None else None
        self.close()
        if isinstance(problem, OSError):
            problem = FileSink(wish).translate(problem)
        slow = isinstance(problem, SinkMisconfigured)
        self._pause = min(LONGEST_PAUSE, max(self._pause * 2, 2.0 if slow else FIRST_PAUSE))
        self._retry_at = time.monotonic() + self._pause * random.uniform(0.8, 1.0)
        self.busy = True
        more = {} if backlog is None else {"backlog_bytes": backlog}
        self._board.say("files", HOLDING, problem.message, problem.hint, directory=wish.directory, **more)
        if problem.message != self._said:
            self._say(f"holding everything for {problem.message}" + (f" (try: {problem.hint})" if problem.hint else ""))
            self._said = problem.message


def _moment(ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // 1_000_000_000))
