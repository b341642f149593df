"""Where the agent ships to: the database, text logs, both, or nothing, as the settings say now.

Invariants: the two advance independently, each in a thread of its own, so that one that hangs or is full never holds the other up; a segment is
acknowledged only when every wanted destination has it; a change of the settings is taken over within about a second. Owns: the thread of the text
logs, watching the settings, and what is acknowledged. Leaves the database to `agent`, text logs to `file_delivery`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from . import door
from .acknowledged import Acknowledging
from .board import OFF, Board
from .file_delivery import FileDelivery
from .file_sink import FileWish
from .sink import Position
from .spool import directories
from .spool_scan import Scan

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Wish:
    """What is wanted now. `directory` is where text logs are, wanted or not; empty: nowhere."""

    database: bool = True
    files: FileWish | None = None
    directory: str = ""


class Together:
    """What all of several destinations have acknowledged; with none of them: nothing."""

    def __init__(self, parts: Sequence[Acknowledging]) -> None:
        self._parts = parts

    def closed(self) -> AbstractSet[str]:
        """Return the writers that were shipped to their end everywhere."""
        found: AbstractSet[str] = frozenset()
        for number, part in enumerate(self._parts):
            found = found & part.closed() if number else part.closed()
        return found

    def is_closed(self, writer: str) -> bool:
        """Tell whether a writer was shipped to its end everywhere."""
        return bool(self._parts) and all(part.is_closed(writer) for part in self._parts)

    def position(self, writer: str) -> Position | None:
        """Return the position up to which a writer was shipped everywhere."""
        lowest: Position | None = None
        for part in self._parts:
            if part.is_closed(writer):
                continue
            at = part.position(writer)
            if at is None:
                return None
            if lowest is None or at[:2] < lowest[:2]:
                lowest = at
        return lowest


class Destinations:
    """The destinations of one agent.

    Args:
        ask: returns what the settings want now; asked about once a second. Must not raise.
        node, home, spool: of the agent.
        batch_rows, flush_interval: settings.
    """

    def __init__(
        self,
        ask: Callable[[], Wish],
        node: str,
        home: str,
        spool: str = "",
        batch_rows: int = 20_000,
        flush_interval: float = 0.5,
    ) -> None:
        self._ask, self._home, self._spool, self._flush_interval = ask, home, spool, flush_interval
        self.say: Callable[[str], None] = lambda text: None
        self.board = Board(home)
        self.wish = ask()
        self._files = FileDelivery(node, home, batch_rows, self.board, self._say)
        self._scan = Scan(self._files.closed)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether text logs are wanted and somebody may still bring lines, or some wait."""
        return self.wish.files is not None and self._files.busy

    @property
    def owners(self) -> dict[str, int]:
        """Whose a writer is, as far as the text logs know, for `Scan.look`. May be asked from another thread."""
        return dict(self._files.owners)

    def start(self) -> None:
        """Write text logs, and watch the settings, from now on in a thread."""
        self._thread = threading.Thread(target=self._run, name="flightlog-files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the batch in hand; waits at most 5 s for a disk."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def acknowledged(self, database: Acknowledging | None) -> Together:
        """Return what every wanted destination has. *database*: None when it is not open."""
        parts: list[Acknowledging | None] = [database] if self.wish.database else []
        if self.wish.files is not None:
            parts.append(self._files)
        return Together([part for part in parts if part is not None] if None not in parts else [])

    def in_files(self) -> AbstractSet[str]:
        """Return the writers that are in the text logs to their end."""
        return self._files.closed()

    def drain_files(self, deadline: float) -> bool:
        """Write everything there is into text logs, without a thread, until *deadline* (monotonic); tell whether all was written."""
        while time.monotonic() < deadline:
            if not self._round(look_alive=True):
                break
        wish, files = self.wish, self._files
        done = wish.files is None or not (files.problem() or time.monotonic() >= deadline)
        self.board.write()
        return done

    def files_problem(self) -> str:
        """Return what the text logs are held for, empty when they are not."""
        return self._files.problem()

    def close_files(self) -> None:
        """Let go of the directory: for who calls `drain_files`. A thread does that itself; one that hangs must not be disturbed."""
        if self._thread is None:
            self._files.close()

    def _say(self, text: str) -> None:
        self.say(text)

    def _run(self) -> None:
        look_at = 0.0
        worked_at = time.monotonic()
        while not self._stopped.is_set():
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                self._look()
            worked = self._round()
            self.board.write()
            if worked:
                worked_at = time.monotonic()
                if not self._files.presses:
                    self._stopped.wait(min(self._flush_interval, LOOK_SECONDS))
            elif self.wish.files is None:
                self._stopped.wait(LOOK_SECONDS)
            else:
                self._stopped.wait(min(self._flush_interval, LOOK_SECONDS, 0.05 + (now - worked_at) / 10))
        self._files.close()

    def _look(self) -> None:
        wish = self._ask()
        if wish == self.wish:
            return
        before, self.wish = self.wish, wish
        if before.database != wish.database:
            self.say(f"the database is switched {'on' if wish.database else 'off'} as a destination")
            if not wish.database:
                self.board.say("database", OFF)
        if not wish.database and wish.files is None:
            self.say("nothing is shipped: both destinations are switched off; the spool keeps records up to its quota")
        door.ring(self._home)  # the agent may be resting for long

    def _round(self, look_alive: bool = False) -> bool:
        wish = self.wish
        found = self._scan.look(directories(self._home, self._spool), self.owners) if wish.files is not None else {}
        return self._files.round(wish.files, wish.directory, found, look_alive)
