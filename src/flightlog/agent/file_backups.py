"""Rotated logs: which there are, how much they take, compressing them, removing the oldest.

Invariants: touches only rotated names of logs that the positions file knows: a directory may hold other people's files. A compressed file has
its name only when it is whole and on disk, and its original is removed after that. Owns: rotated files. Leaves rotating to `file_log`.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from . import faults
from .file_log import MODE
from .file_names import GZIP, UNFINISHED, parse_rotated, rotated

SLICE_BYTES = 4 << 20  # compressed in one go, between two batches


class Backup(NamedTuple):
    """One rotated log; `log` is the active name."""

    log: str
    number: int
    name: str
    size: int
    mtime: float

    def same(self, other: Backup) -> bool:
        """Tell whether both are the same log, whatever it is called or its times are."""
        return (self.log, self.number) == (other.log, other.number)


class Backups:
    """The rotated logs of one directory.

    Args:
        folder: a descriptor of it.
        directory: its path, for listing.
    """

    def __init__(self, folder: int, directory: str) -> None:
        self._folder, self._directory = folder, directory
        self._found: list[Backup] = []
        self._source: BinaryIO | None = None
        self._raw: BinaryIO | None = None
        self._packer: zlib._Compress | None = None
        self._at: Backup | None = None

    def scan(self, logs: Collection[str]) -> None:
        """Look which rotated files of *logs* there are; finish or undo what a crash has left. Raises OSError."""
        found: dict[tuple[str, int], Backup] = {}
        unfinished = f"{self._at.name}{UNFINISHED}" if self._at else ""
        with os.scandir(self._directory) as entries:
            for entry in entries:
                left = entry.name.endswith(UNFINISHED) and entry.name != unfinished
                parsed = parse_rotated(entry.name.removesuffix(UNFINISHED) if left else entry.name)
                if parsed is None or parsed[0] not in logs:
                    continue
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    continue
                if left:
                    self._unlink(entry.name)
                    continue
                log, number, packed = parsed
                other = found.get((log, number))
                if other is not None:  # compressed and not yet removed: the compressed one is whole
                    self._unlink(rotated(log, number))
                    if not packed:
                        continue
                found[log, number] = Backup(log, number, entry.name, status.st_size, status.st_mtime)
        self._found = sorted(found.values(), key=lambda backup: (backup.mtime, backup.log, backup.number))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def bytes(self) -> int:
        """Bytes of all of them, with what compressing one may take."""
        return sum(backup.size for backup in self._found) + (_bound(self._at.size) if self._at else 0)

    def highest(self, log: str) -> int:
        """Return the highest number of *log*'s, 0 when it has none."""
        return max((backup.number for backup in self._found if backup.log == log), default=0)

    def add(self, log: str, number: int, size: int, mtime: float) -> None:
        """Take in a log that was just rotated."""
        self._found.append(Backup(log, number, rotated(log, number), size, mtime))

    def keep(self, log: str, count: int) -> None:
        """Remove all but the newest *count* of *log*. Raises OSError."""
        mine = sorted((backup for backup in self._found if backup.log == log), key=lambda backup: backup.number)
        for backup in mine[: max(0, len(mine) - count)]:
            self._remove(backup)

    def remove_oldest(self) -> bool:
        """Remove the one that was written to longest ago; False when there is none. Raises OSError."""
        if not self._found:
            return False
        self._remove(min(self._found, key=lambda backup: (backup.mtime, backup.number)))
        return True

    def wanted(self) -> int:
        """Return how many bytes the next one to be compressed may take meanwhile; 0: there is none, or one is on its way."""
        plain = [] if self._at is not None else [one.size for one in self._found if not one.name.endswith(GZIP)]
        return _bound(plain[-1]) if plain else 0

    def compress(self) -> bool:
        """Go on compressing for a short while; tell whether more is to be done. Raises OSError."""
        if self._at is None and not self._begin():
            return False
        assert self._source is not None and self._packer is not None and self._raw is not None and self._at is not None
        data = self._source.read(SLICE_BYTES)
        self._raw.write(self._packer.compress(data))
        if len(data) == SLICE_BYTES:
            return True
        self._finish(self._at)
        return True

    def close(self) -> None:
        """Let go; what was being compressed is begun anew another time."""
        for file in (self._raw, self._source):
            if file is not None:
                try:
                    file.close()
                except OSError:
                    pass
        if self._at is not None:
            try:
                self._unlink(self._at.name + UNFINISHED)
            except OSError:
                pass
        self._source = self._raw = self._packer = self._at = None

    def _begin(self) -> bool:
        plain = [backup for backup in self._found if not backup.name.endswith(GZIP)]
        if not plain:
            return False
        self._at = backup = plain[-1]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            source = os.open(backup.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._folder)
        except FileNotFoundError:
            self._at = None
            self._found.remove(backup)
            return False
        self._source = os.fdopen(source, "rb")
        raw = os.open(backup.name + UNFINISHED, flags, MODE, dir_fd=self._folder)
        os.fchmod(raw, MODE)
        self._raw = os.fdopen(raw, "wb")
        # Not a GzipFile: one that could not be written to its end complains once more when it is collected.
        self._packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        return True

    def _finish(self, backup: Backup) -> None:
        assert self._packer is not None and self._raw is not None and self._source is not None
        self._raw.write(self._packer.flush())
        self._raw.flush()
        os.fsync(self._raw.fileno())
        os.utime(self._raw.fileno(), (backup.mtime, backup.mtime))
        size = os.fstat(self._raw.fileno()).st_size
        self._raw.close()
        self._source.close()
        self._source = self._raw = self._packer = self._at = None
        os.rename(backup.name + UNFINISHED, backup.name + GZIP, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        faults.point("file_compressed")
        self._unlink(backup.name)
        whole = backup._replace(name=backup.name + GZIP, size=size)
        self._found = [whole if other.same(backup) else other for other in self._found]

    def _remove(self, backup: Backup) -> None:
        if self._at is not None and self._at.same(backup):
            self.close()
        self._unlink(backup.name)
        self._found.remove(backup)
        faults.point("file_removed")

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._folder)
        except FileNotFoundError:
            pass


def _bound(size: int) -> int:
    """Return how large a file of *size* bytes can become by compressing."""
    return size + size // 1000 + 1024
