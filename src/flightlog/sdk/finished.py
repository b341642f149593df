"""Items that are finished: `stage.track(items, key=...)` remembers them, and passes over those that the run it resumes had finished.

Invariants: an item is finished when the next one is asked for, or when its stage ends in good order, never before; what is finished is written with the
first item, with the first one that finishes 50 ms after the last time, with each `every` items, and when there are no more: a killed run does again what
took these 50 ms at most, and the one it was at, however long that one takes; as often as a key was finished it is passed over, in any order, so that equal keys are as many items as they are; never raises what is not raised by the items.
Owns: when to write. Leaves the form to `digests`, directories to `lineage`, records to `telling`.
"""

from __future__ import annotations

import time
from collections import deque

from ..journal.mistakes import MISTAKES
from . import checkpoint, digests, telling
from .recorder import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, TypeVar

    from .lineage import Lineage
    from .stage import Stage

    T = TypeVar("T")

WRITE_EVERY_NS = 50_000_000  # a write costs some fifty microseconds
SYNC_EVERY_NS = 1_000_000_000
WRITE_EVERY_ITEMS = 1000


class Ledger:
    """What is finished of one stage.

    Args:
        line: whose.
        stage: `extract/merge`.
    """

    def __init__(self, line: Lineage, stage: str) -> None:
        self._line, self._stage = line, stage
        self.of: int | None = None  # how many items there are, if known
        self._before: set[bytes] = set()
        self._more: dict[bytes, int] = {}  # of `_before`, how many times more
        self._new: deque[bytes] = deque()  # finished and not written; popped one by one, so that threads may share it
        self._owed: deque[bytes] = deque()  # told to the store, and not in the file, which could not be written
        self._file: digests.DigestFile | None = None
        self._written_at = 0
        self._synced_at = time.monotonic_ns()
        self._retry_at = self._count = self._passed = 0
        if line.taken_up:
            self._remember()

    def _remember(self) -> None:
        troubles: list[str] = []
        found = digests.read(self._line.folder, self._line.there, self._stage, troubles)
        for digest in found:
            if digest in self._before:
                self._more[digest] = self._more.get(digest, 0) + 1
            else:
                self._before.add(digest)
        self._count = len(found)
        for trouble in troubles:
            telling.warn("finished items could not be read, and are done again: " + trouble, self._line.run)

    def pass_over(self, digest: bytes) -> bool:
        """Tell whether an item was finished before; each time counts once."""
        if digest not in self._before:
            return False
        left = self._more.get(digest, 0)
        if left:
            self._more[digest] = left - 1
        else:
            self._before.discard(digest)
        self._passed += 1
        return True

    def finish(self, digest: bytes, every: int) -> None:
        """An item is finished."""
        self._new.append(digest)
        if len(self._new) >= every or time.monotonic_ns() - self._written_at >= WRITE_EVERY_NS:
            self.write()

    def write(self, sync: bool = False) -> None:
        """Write what is finished. Never raises."""
        now = self._written_at = time.monotonic_ns()
        try:
            fresh = _all_of(self._new)
            if fresh and self._count >= digests.MAX_DIGESTS:
                words = "stage %s has finished %d items with keys: further ones are not remembered"
                telling.warn(words % (self._stage, digests.MAX_DIGESTS), self._line.run, loud=True)
                fresh = []
            if fresh:
                self._count += len(fresh)
                self._owed.extend(fresh)
            if self._owed and (sync or now >= self._retry_at):
                self._append(now)
            if fresh:
                telling.items(self._line, self._stage, fresh, self._count, self.of)
            if self._file is not None and (sync or now - self._synced_at >= SYNC_EVERY_NS):
                self._synced_at = now
                self._file.sync()
        except (*MISTAKES, OSError) as problem:
            recorder.errors += 1
            self._say(problem)

    def _append(self, now: int) -> None:
        """Write what is owed to the file of this process, or say why not and keep it for another try."""
        owed = _all_of(self._owed)
        try:
            checkpoint.begin(self._line)
            if self._file is None:
                self._file = digests.DigestFile(self._line.folder, self._stage)
            self._file.append(owed)
        except (OSError, ValueError) as problem:
            self._retry_at = now + SYNC_EVERY_NS
            self._owed.extend(owed)
            if self._file is not None:  # half a block may stand there: what follows would not be believed
                self._file.close()
                self._file = None
            recorder.errors += 1
            self._say(problem)

    def _say(self, problem: BaseException) -> None:
        why = getattr(problem, "strerror", None) or "%s: %s" % (type(problem).__name__, problem)
        words = "finished items of stage %s cannot be kept here: %s; a resumed run does them again"
        telling.warn(words % (self._stage, why), self._line.run, loud=True)

    def settle(self) -> None:
        """The stage has ended: everything is written and flushed. Never raises."""
        self.write(sync=True)
        if self._passed:
            passed, self._passed = self._passed, 0
            telling.say(
                "%d items of stage %s were finished before and are not done again" % (passed, self._stage),
                20,
                self._line.run,
                {"stage": self._stage, "skipped": passed},
            )

    def forget(self) -> None:
        """This is a forked child: what the parent has not written yet is the parent's, and so is its file. Never raises."""
        self._new, self._owed = deque(), deque()
        if self._file is not None:
            self._file.close()
            self._file = None


def _all_of(queue: deque[bytes]) -> list[bytes]:
    """Take everything out of *queue*, one by one: two threads may be at it."""
    found = []
    try:
        while True:
            found.append(queue.popleft())
    except IndexError:
        return found


class Tracking:
    """One `track(key=)` in its stage: the item that was given out last is finished when the next one is asked for."""

    def __init__(self, ledger: Ledger, every: int) -> None:
        self.ledger, self.every = ledger, max(1, every)
        self.at: bytes | None = None

    def done(self) -> None:
        """The item that was given out is finished."""
        digest, self.at = self.at, None
        if digest is not None:
            self.ledger.finish(digest, self.every)

    def end(self, well: bool) -> None:
        """Its stage has ended, *well* or not. Never raises."""
        if well:
            self.done()
        self.at = None
        self.ledger.settle()


def track(stage: Stage, items: Iterable[T], key: Callable[[T], object], every: int = 0) -> Iterator[T]:
    """Yield those of *items* that are not finished; see `Stage.track`."""
    tracking = _tracking(stage, every)
    if tracking is None:
        for item in items:
            yield item
            stage.advance()
        return
    for item in items:
        digest = _digest(key, item, tracking.ledger)
        if digest is not None and tracking.ledger.pass_over(digest):
            stage.passed.add()
            stage.advance()
            continue
        tracking.at = digest
        yield item
        tracking.done()
        stage.advance()
    tracking.ledger.write()  # who knows how long the stage goes on


def _tracking(stage: Stage, every: int) -> Tracking | None:
    try:
        from .resumable import entered

        scope = stage.scope
        run = entered.get(scope.run) if scope is not None else None
        if run is None or scope is None:
            telling.warn(
                "track(key=): no flightlog.run() of this process is around it: nothing is remembered", loud=True
            )
            return None
        line = checkpoint.of(run)
        ledger = line.stages.get(scope.stage)
        if ledger is None:
            ledger = line.stages.setdefault(scope.stage, Ledger(line, scope.stage))
        ledger.of = stage.total
        tracking = Tracking(ledger, every if type(every) is int and every > 0 else WRITE_EVERY_ITEMS)
        stage.trackings.append(tracking)
        return tracking
    except (*MISTAKES, OSError) as problem:
        recorder.errors += 1
        telling.warn("track(key=): nothing is remembered: %s: %s" % (type(problem).__name__, problem), loud=True)
        return None


def _digest(key: Callable[[T], object], item: T, ledger: Ledger) -> bytes | None:
    try:
        digest = digests.digest_of(key(item))
        if digest is None:
            telling.warn("track(key=): a key has no repr of its own; its item is done again when the run is resumed")
        return digest
    except Exception as problem:
        telling.warn("track(key=): a key cannot be made (%s): %s" % (type(problem).__name__, problem))
        return None
