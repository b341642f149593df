"""What lies in the spool: the files of each writer, found by one look at the directories.

Owns: listing, which directories belong to this node's agent, and flushing them. Reads no contents, changes nothing.
"""

from __future__ import annotations

import stat

from ..journal.format import (
    CAPTURE_SUFFIX,
    END_SUFFIX,
    INDEX_SUFFIX,
    LOCK_SUFFIX,
    META_SUFFIX,
    SEGMENT_SUFFIX,
    parse_name,
)
from ..system import os

JOURNAL, CAPTURE = "journal", "capture"


class Files:
    """The files of one writer.

    Attributes:
        directory: where they lie.
        writer: its id.
        sizes: bytes of each segment, by number.
        times: when each segment was last written to, seconds since the epoch, by number.
        kind: `journal` or `capture`.
        ended: whether a capture says that nothing comes any more.
        names: all names, for removal.
    """

    __slots__ = ("directory", "ended", "kind", "names", "sizes", "times", "writer")

    def __init__(self, directory: str, writer: str) -> None:
        self.directory, self.writer = directory, writer
        self.kind = JOURNAL
        self.ended = False
        self.sizes: dict[int, int] = {}
        self.times: dict[int, float] = {}
        self.names: list[str] = []

    def path(self, suffix: str) -> str:
        """Return the path of the file that has no number: lock, meta, end."""
        return os.path.join(self.directory, self.writer + suffix)

    def next_after(self, number: int) -> int | None:
        """Return the number of the segment behind *number*, None when there is none."""
        return min((other for other in self.sizes if other > number), default=None)


def directories(home: str, chosen: str = "") -> list[str]:
    """Return the spool directories that this process may read: every user's for root, else its own.

    Args:
        home: FLIGHTLOG_HOME.
        chosen: FLIGHTLOG_SPOOL, which stands instead.
    """
    if chosen:
        return [chosen]
    top = os.path.join(home, "spool")
    if os.geteuid() != 0:
        return [os.path.join(top, str(os.geteuid()))]
    try:
        return [os.path.join(top, name) for name in sorted(os.listdir(top)) if name.isdigit()]
    except OSError:
        return []


def look(folders: list[str]) -> dict[str, Files]:
    """Return the files of every writer in *folders*; what is not ours, not a plain file or unreadable is passed over."""
    found: dict[str, Files] = {}
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            parsed = parse_name(entry.name)
            if parsed is None:
                continue
            writer, number, suffix = parsed
            files = found.get(writer)
            if files is None:
                files = found[writer] = Files(folder, writer)
            elif files.directory != folder:
                continue
            files.names.append(entry.name)
            if suffix in (SEGMENT_SUFFIX, CAPTURE_SUFFIX):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    files.sizes[number] = status.st_size
                    files.times[number] = status.st_mtime
            if suffix in (CAPTURE_SUFFIX, META_SUFFIX):
                files.kind = CAPTURE
            elif suffix == END_SUFFIX:
                files.ended = True
    return found


def bytes_of(found: dict[str, Files]) -> int:
    """Return how many bytes all segments hold."""
    return sum(sum(files.sizes.values()) for files in found.values())


def flush_folder(folder: str) -> None:
    """Make what was created and removed in *folder* survive a power cut. Never raises."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)


__all__ = [
    "CAPTURE",
    "INDEX_SUFFIX",
    "JOURNAL",
    "LOCK_SUFFIX",
    "Files",
    "bytes_of",
    "directories",
    "flush_folder",
    "look",
]
