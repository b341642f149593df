"""What a directory of text logs holds, and up to where the spool has gone into it: one small file beside the logs.

    .flightlog-positions    line 1: JSON; line 2: crc32 of it, 8 hexadecimal digits        replaced whole by rename, mode 0600

Invariants: positions of writers and lengths of logs change in one rename, so they are always of the same moment; what a log holds beyond its
length was never acknowledged and is cut off at the next opening. Order of a batch: (1) new and rotated logs are saved here with length 0, (2) text is
appended, (3) each log is flushed, (4) this file is written anew, flushed, renamed, and the directory is flushed; only then is the batch acknowledged.
ADR 0011 says why this is no offset file of the kind ADR 0003 rejects. Owns: this file. Leaves logs to `file_log`.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import SinkMisconfigured
from . import faults
from .sink import Position
from .spool import Files

NAME, UNFINISHED = ".flightlog-positions", ".flightlog-positions.tmp"
VERSION = 1
MAX_BYTES = 256 << 20
MAX_GAPS = 20


class LogState:
    """One log: the file, how long it is, and what identifies it when its name has changed.

    Attributes:
        inode: of the file that `length` speaks of; 0: none yet.
        length: bytes that are acknowledged.
        check: crc32 of the last bytes before `length` (`file_log.CHECKED_BYTES`), so that another file with a reused inode is not taken for it.
        next: the number that the next rotated file gets.
        day: when it was begun, in days since 1970-01-01 UTC.
    """

    __slots__ = ("check", "day", "inode", "length", "next")

    def __init__(self, inode: int = 0, length: int = 0, check: int = 0, next: int = 1, day: int = 0) -> None:
        self.inode, self.length, self.check, self.next, self.day = inode, length, check, next, day

    def row(self) -> list[int]:
        """Return it as it is stored."""
        return [self.inode, self.length, self.check, self.next, self.day]


class FilePositions:
    """The file's content.

    Attributes:
        writers: how far each writer is in the logs.
        owners: whose each writer is, by user id: somebody else may use its name.
        gone: when a writer was first missed in the spool, seconds of the monotonic clock; not stored.
        runs: pipeline of each run that may still get lines, and how sure that is (`file_rows.Pipelines`).
        logs: by file name.
        began_ns: when this directory was first written to.
        first_ns: time of the oldest record that was still there then; 0 when there was none.
        settled: whether `first_ns` is final.
        off_ns: since when nothing is written because it was switched off; 0: it is on.
        gaps: times [from, to] in which it was switched off, in nanoseconds; the last ones.
    """

    def __init__(self, directory: str, now_ns: int = 0) -> None:
        self.directory = directory
        self.writers: dict[str, Position] = {}
        self.owners: dict[str, int] = {}
        self.gone: dict[str, float] = {}
        self.runs: dict[str, tuple[str, int]] = {}
        self.logs: dict[str, LogState] = {}
        self.began_ns, self.first_ns, self.settled, self.off_ns = now_ns, 0, False, 0
        self.gaps: list[list[int]] = []

    def save(self, folder: int, advances: Mapping[str, Position] | None = None) -> None:
        """Store it with *advances* of writers, which are known here only when they are stored: another thread removes segments by them.

        *folder*: a descriptor of the directory. Durable on return. Raises OSError; then the stored one is the old or the new one.
        """
        writers = {**self.writers, **(advances or {})}
        body = json.dumps(
            {
                "v": VERSION,
                "began": self.began_ns,
                "first": self.first_ns,
                "settled": self.settled,
                "off": self.off_ns,
                "gaps": self.gaps[-MAX_GAPS:],
                "writers": {writer: list(position) for writer, position in writers.items()},
                "owners": {writer: uid for writer, uid in self.owners.items() if writer in writers},
                "runs": self.runs,
                "logs": {name: log.row() for name, log in self.logs.items()},
            },
            separators=(",", ":"),
        ).encode()
        data = b"%s\n%08x\n" % (body, zlib.crc32(body))
        fd = os.open(
            UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder
        )
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        faults.point("file_before_rename")
        os.rename(UNFINISHED, NAME, src_dir_fd=folder, dst_dir_fd=folder)
        faults.point("file_after_rename")
        os.fsync(folder)
        self.writers = writers

    def prune(self, present: Iterable[str], now: float, grace: float) -> None:
        """Forget writers whose files left the spool at least *grace* seconds ago, and runs that nobody can write into any more.

        Not at once: a directory that cannot be read for a moment looks empty, and an unlink is not durable before its directory was flushed.
        """
        for writer in self.writers.keys() - present:
            if now - self.gone.setdefault(writer, now) >= grace:
                del self.writers[writer], self.gone[writer]
        for writer in self.owners.keys() - self.writers.keys() - set(present):
            del self.owners[writer]
        for writer in self.gone.keys() & present:
            del self.gone[writer]


def load(directory: str) -> FilePositions | None:
    """Return what is stored in *directory*, None when nothing is. Raises SinkMisconfigured when it cannot be believed, OSError."""
    path = os.path.join(directory, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read(MAX_BYTES)
    body, _, check = data.rstrip(b"\n").rpartition(b"\n")
    try:
        if int(check, 16) != zlib.crc32(body):
            raise ValueError("its checksum is wrong")
        return _from(directory, json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SinkMisconfigured(
            f"{path} cannot be believed: {problem}",
            f"mv {path} {path}.bad; what the spool still holds is then written once more",
        ) from problem


def _from(directory: str, data: Mapping[str, Any]) -> FilePositions:
    if data["v"] != VERSION:
        raise ValueError(f"it is of version {data['v']}, of a newer flightlog")
    found = FilePositions(directory, data["began"])
    found.first_ns, found.settled, found.off_ns, found.gaps = data["first"], data["settled"], data["off"], data["gaps"]
    found.writers = {writer: Position(*row) for writer, row in data["writers"].items()}
    found.owners = dict(data["owners"])
    found.runs = {run: (row[0], row[1]) for run, row in data["runs"].items()}
    found.logs = {name: LogState(*row) for name, row in data["logs"].items()}
    return found


def waiting(found: dict[str, Files], stored: FilePositions | None) -> int:
    """Return how many bytes of the spool lie behind the positions that are *stored*."""
    total = 0
    for writer, files in found.items():
        at = stored.writers.get(writer, Position()) if stored is not None else Position()
        if not at.closed and (stored is None or stored.owners.get(writer, files.uid) == files.uid):
            total += sum(
                max(0, size - (at.offset if number == at.segno else 0))
                for number, size in files.sizes.items()
                if number >= at.segno
            )
    return total
