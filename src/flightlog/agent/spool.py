"""What lies in the spool: the files of each writer, and the directories of this node's agent.

Invariants: users whom the agent serves may put anything into their directories: nothing but a regular file with one name, that belongs to whom the
directory belongs to, is ever looked into; no link is followed; nothing is waited for. Whose a file is says the file system, never a record.
Owns: which directories these are, what a file there has to be, and flushing. Leaves looking to `spool_scan`. Reads no contents, changes nothing.
"""

from __future__ import annotations

import stat
from collections.abc import Callable

from .. import identity
from ..journal import reader
from ..journal.format import (
    CAPTURE_SUFFIX,
    INDEX_SUFFIX,
    LOCK_SUFFIX,
    SEGMENT_SUFFIX,
    segment_name,
)
from ..system import os

JOURNAL, CAPTURE = "journal", "capture"
MAX_GAP = 1000  # numbers in a row that failed births may have used up; whoever names a file can name any number
MAX_SEGMENT_BYTES = 4 << 30  # a new one begins at 8 MiB, unless none can be made


class Files:
    """The files of one writer.

    Attributes:
        directory: where they lie.
        writer: its id.
        sizes: bytes of each segment, by number.
        times: when each segment was last written to, seconds since the epoch, by number.
        uid: whose files they are.
        used: bytes that they take on the disk; a file with holes has fewer than its size.
        kind: `journal` or `capture`.
        ended: whether a capture says that nothing comes any more.
        names: all names, for removal.
        doubt: to be called when a writer was found dead: has the next look read the directory, whatever its time of change says.
    """

    __slots__ = ("directory", "doubt", "ended", "kind", "names", "sizes", "times", "uid", "used", "writer")

    def __init__(self, directory: str, writer: str, uid: int) -> None:
        self.directory, self.writer, self.uid = directory, writer, uid
        self.used = 0
        self.kind = JOURNAL
        self.ended = False
        self.sizes: dict[int, int] = {}
        self.times: dict[int, float] = {}
        self.names: list[str] = []
        self.doubt: Callable[[], None] = _nothing

    def path(self, suffix: str) -> str:
        """Return the path of the file that has no number: lock, meta, end."""
        return os.path.join(self.directory, self.writer + suffix)

    def open(self, name: str) -> int:
        """Open one of the files for reading, if it is what it should be. Raises OSError, SegmentError."""
        return reader.open_segment(os.path.join(self.directory, name), self.uid)

    def next_after(self, number: int) -> int | None:
        """Return the number of the segment behind *number*, None when there is none."""
        return min((other for other in self.sizes if other > number), default=None)

    def overlooked(self, first: int, before: int) -> bool:
        """Tell whether a segment from *first* up to *before* is there and was not seen: one that is made while a directory is read may be missed."""
        suffix = CAPTURE_SUFFIX if self.kind == CAPTURE else SEGMENT_SUFFIX
        return any(
            number not in self.sizes
            and os.path.exists(os.path.join(self.directory, segment_name(self.writer, number, suffix)))
            for number in range(first, min(before, first + MAX_GAP))
        )


def _nothing() -> None:
    pass


def directories(home: str, chosen: str = "") -> list[str]:
    """Return the spool directories that this process may read: every user's for root and for the agent of a shared spool, else its own.

    Args:
        home: FLIGHTLOG_HOME.
        chosen: FLIGHTLOG_SPOOL, which stands instead.
    """
    if chosen:
        return [chosen]
    top = os.path.join(home, "spool")
    own = os.path.join(top, str(os.geteuid()))
    if os.geteuid() != 0 and not identity.is_shared(top):
        return [own]
    try:
        return [os.path.join(top, name) for name in sorted(os.listdir(top)) if identity.is_uid(name)]
    except PermissionError:
        return [own]  # a shared spool, and we are not its agent
    except OSError:
        return []


def open_directory(folder: str) -> tuple[int, frozenset[int]]:
    """Open a spool directory; return it, and whose files may lie in it.

    What is named after a user has to be that user's own directory, else it is passed over: another one may have made it. A directory that was
    chosen by name (FLIGHTLOG_SPOOL) holds files of its owner and of ourselves. Raises OSError.
    """
    name = os.path.basename(folder)
    for_user = identity.is_uid(name) and os.path.basename(os.path.dirname(folder)) == "spool"
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if for_user else 0)
    fd = os.open(folder, flags)
    owner = os.fstat(fd).st_uid
    if for_user and owner != int(name):
        os.close(fd)
        raise PermissionError(1, f"belongs to user {owner}, not to {name}", folder)
    return fd, frozenset((owner,) if for_user else (owner, os.geteuid()))


def is_plain(status: os.stat_result) -> bool:
    """Tell whether this is a regular file with one name, of a size that a segment can have."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size <= MAX_SEGMENT_BYTES


def bytes_of(found: dict[str, Files]) -> int:
    """Return how many bytes of the disk the files take."""
    return sum([files.used for files in found.values()])


def flush_folder(folder: str) -> None:
    """Make what was created and removed in *folder* survive a power cut. Never raises."""
    try:
        fd, _ = open_directory(folder)
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
    "is_plain",
    "open_directory",
]
