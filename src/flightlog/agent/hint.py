"""What the store has acknowledged, remembered on this side: by it a store that has lost its memory is recognised.

    HOME/acknowledged/last           JSON: which store it was, and the newest positions it acknowledged
    HOME/acknowledged/<day>.jsonl    a line per writer some of whose files were removed, written before they are; kept for a week

Invariants: a hint, never the truth: what is shipped next is what the store says, and without these files everything works but the recognising.
Nothing here raises, and nothing here keeps a file from being removed. Memory is bounded by the writers that have files.
Owns: these files. Leaves comparing with the store to `regression`.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Container, Iterable
from typing import Any, NamedTuple

from ..system import os, time
from .sink import Position
from .spool import flush_folder

KEPT_DAYS = 7
NEWEST = 64  # writers in `last`
MAX_LINES = 500_000  # read of one week
SECONDS_OF_DAY = 86400
FOLDER, LAST = "acknowledged", "last"


class Known(NamedTuple):
    """What was acknowledged of one writer.

    Attributes:
        run: that of its birth, like `pipeline`; empty when not known.
        gap: how many records that store knows to be missing: another one, behind it, lacks these, too, and has no word of them.
        gap_at: (segno, offset) of the position by which it was told the last of them.
    """

    writer: str
    kind: str
    run: str
    pipeline: str
    position: Position
    gap: int = 0
    gap_at: tuple[int, int] = (0, 0)

    def behind(self, position: Position, gap: int) -> Known:
        """Return what is known once the store has been told of a *gap* before *position*."""
        return self._replace(position=position, gap=gap, gap_at=position[:2])

    def with_gap_of(self, before: Known | None) -> Known:
        """Return it with the gap that was known *before*, if it has none: an agent that began anew in between did not remember it."""
        if before is None or self.gap or not before.gap:
            return self
        return self._replace(gap=before.gap, gap_at=before.gap_at)

    def missing_behind(self, position: Position) -> int:
        """Return how many records a store that is at *position* only lacks, if nothing of the writer can be shipped again."""
        return max(0, self.position.seq - position.seq) + (self.gap if position[:2] < self.gap_at else 0)


class Hint:
    """The memory of one home.

    Args:
        home: FLIGHTLOG_HOME.
    """

    def __init__(self, home: str) -> None:
        self._folder = os.path.join(home, FOLDER)
        self._known: dict[str, Known] = {}  # the newest last
        self._changed = False
        self._unwritten: list[str] = []
        self._removing = threading.Lock()  # the upkeep removes files, too
        self.store = self.place = ""
        self._read_last()

    def note(self, known: Known) -> None:
        """Remember an acknowledged position; a gap in it is one more."""
        if known.gap:
            known = known._replace(gap_at=known.position[:2])
        before = self._known.pop(known.writer, None)
        if before is not None and not known.run:
            known = known._replace(run=before.run, pipeline=before.pipeline)
        if before is not None and before.gap:
            known = known._replace(gap=before.gap + known.gap, gap_at=max(before.gap_at, known.gap_at))
        self._known[known.writer] = known
        self._changed = True

    def keep(self, found: Container[str]) -> None:
        """Forget writers without files, but for the newest."""
        for writer in [writer for writer in list(self._known)[:-NEWEST] if writer not in found]:
            del self._known[writer]

    def newest(self) -> list[Known]:
        """Return what was acknowledged last: what a store that goes back loses first."""
        return list(self._known.values())[-NEWEST:]

    def begin(self, store: str, place: str) -> None:
        """Belong to this store from now on; what another one acknowledged counts no more."""
        if (store, place) != (self.store, self.place):
            self._known.clear()
            self.store, self.place = store, place
            self._changed = True
        self.save()

    def forget(self) -> None:
        """Forget positions: the store has lost them."""
        self._known.clear()
        self._changed = True

    def save(self) -> None:
        """Write `last`, when there is something new."""
        if not self._changed or not self.store:
            return
        data = {"store": self.store, "place": self.place, "writers": [_as_json(item) for item in self.newest()]}
        path = os.path.join(self._folder, LAST)
        try:
            self._make_folder()
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, json.dumps(data).encode())
            finally:
                os.close(fd)
            os.replace(path + ".new", path)
            self._changed = False
        except OSError:
            pass

    def removing(self, writers: Iterable[str]) -> None:
        """Write down what is known of writers whose files are about to be removed; on the disk when this returns, if that can be.

        What cannot be written now (a full disk is a reason to remove files) is written the next time.
        """
        self.write_down([self._known[writer] for writer in writers if writer in self._known], self.store)

    def write_down(self, known: Iterable[Known], store: str) -> None:
        """Write down what `removed` is to return, and which store it is about; on the disk when this returns, if that can be."""
        with self._removing:
            self._write_down(known, store)

    def _write_down(self, known: Iterable[Known], store: str) -> None:
        if store:
            self._unwritten += [
                json.dumps(dict(_as_json(item), store=store, place=self.place)) + "\n" for item in known
            ]
        if not self._unwritten:
            return
        path = os.path.join(self._folder, self._day_name(0))
        try:
            self._make_folder()
            fresh = not os.path.exists(path)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                data = ("\n" + "".join(self._unwritten)).encode()  # half a line may stand before
                if os.write(fd, data) != len(data):
                    raise OSError(errno.ENOSPC, "no room for what was acknowledged")
                os.fdatasync(fd)
                self._unwritten.clear()
            finally:
                os.close(fd)
            if fresh:
                flush_folder(self._folder)
                self._prune()
        except OSError:
            pass

    def removed(self) -> dict[str, Known]:
        """Return what was written down of this place within a week, by writer; the latest of each."""
        found: dict[str, Known] = {}
        for name in self._day_names():
            for line in self._read(name).split(b"\n")[:MAX_LINES]:
                data = _parsed(line)
                known = _from_json(data) if data.get("place") == self.place else None
                if known is not None:
                    found[known.writer] = known.with_gap_of(found.get(known.writer))
        return found

    def _make_folder(self) -> None:
        if not os.path.isdir(self._folder):
            os.makedirs(self._folder, 0o700, exist_ok=True)

    def _day_name(self, ago: int) -> str:
        return f"{int(time.time()) // SECONDS_OF_DAY - ago:06d}.jsonl"

    def _day_names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name.endswith(".jsonl"))
        except OSError:
            return []

    def _prune(self) -> None:
        for name in self._day_names()[:-KEPT_DAYS]:  # by number: a clock that jumps removes none too early
            os.unlink(os.path.join(self._folder, name))

    def _read(self, name: str) -> bytes:
        parts = []
        try:
            fd = os.open(os.path.join(self._folder, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                offset = 0
                while True:
                    part = os.pread(fd, 1 << 20, offset)
                    if not part:
                        break
                    parts.append(part)
                    offset += len(part)
            finally:
                os.close(fd)
        except OSError:
            pass
        return b"".join(parts)

    def _read_last(self) -> None:
        """Read `last`, and the newest lines: `last` is not flushed, so a power cut may leave an older one, or none."""
        data = _parsed(self._read(LAST))
        names = self._day_names()
        lines = [_parsed(line) for line in self._read(names[-1]).split(b"\n")[-NEWEST:] if line] if names else []
        if not data.get("store"):
            data = next((line for line in reversed(lines) if line.get("store")), {})
        self.store, self.place = str(data.get("store", "")), str(data.get("place", ""))
        writers = data.get("writers")
        for item in [
            *(line for line in lines if (line.get("store"), line.get("place")) == (self.store, self.place)),
            *(writers if isinstance(writers, list) else []),
        ]:
            known = _from_json(item)
            before = self._known.get(known.writer) if known is not None else None
            if known is not None and (before is None or before.position < known.position):
                self._known[known.writer] = known.with_gap_of(before)


def _as_json(known: Known) -> dict[str, Any]:
    data = {"w": known.writer, "k": known.kind, "r": known.run, "p": known.pipeline, "at": list(known.position)}
    if known.gap:
        data["gap"] = [known.gap, *known.gap_at]
    return data


def _from_json(data: Any) -> Known | None:
    try:
        position = Position(*data["at"])
        gap, segno, offset = data.get("gap", (0, 0, 0))
        if not all(isinstance(value, int) for value in (*position, gap, segno, offset)):
            return None
        return Known(str(data["w"]), str(data["k"]), str(data["r"]), str(data["p"]), position, gap, (segno, offset))
    except (KeyError, TypeError, ValueError):
        return None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
