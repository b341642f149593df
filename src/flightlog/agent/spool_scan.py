"""Looking at the spool, again and again: what has not changed is not looked at twice.

A spool keeps what was shipped for an hour, so that a node of short jobs has thousands of files there, of which a handful grow. A look therefore costs as
much as has changed: a directory is read when its time of change says so, and files are asked for their size while somebody may write into them.

Invariants: each look returns what stands there now, as far as anybody can still change it; nothing rests on the memory alone for longer than FULL_SECONDS,
since the times of a network's or a coarse file system, and clocks that are set, may hide a change; and nothing does when a writer was found dead,
because it is closed by the look that follows (`Files.doubt`).
Owns: listing, and the memory of it. Leaves what a file has to be to `spool`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice

from ..journal.format import CAPTURE_SUFFIX, END_SUFFIX, META_SUFFIX, SEGMENT_SUFFIX, parse_name
from ..system import os, time
from .spool import CAPTURE, Files, is_plain, open_directory

MAX_NAMES = 100_000  # looked at in one directory; who has more delays himself, not the others
FULL_SECONDS = 30.0  # after which everything that may still change is looked at anew
COARSE_NS = 3_000_000_000  # a directory that changed as lately as this may change again without showing it: FAT counts in two seconds
RECENT_SECONDS = 60.0  # who wrote to a file as lately as this may still do so, although he has begun the next one


class _Known:
    """What is known of one name: its number and suffix; once it was looked at, whose it is, its bytes, those on the disk, and when it was written to."""

    __slots__ = ("mtime", "number", "size", "suffix", "uid", "used")

    def __init__(self, number: int, suffix: str) -> None:
        self.number, self.suffix = number, suffix
        self.uid = -1  # not looked at, or nothing that may be
        self.size = self.used = 0
        self.mtime = 0.0

    def look(self, fd: int, name: str, allowed: frozenset[int]) -> None:
        """Ask the file system."""
        self.uid = -1
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return
        if is_plain(status) and status.st_uid in allowed:
            self.uid, self.size, self.mtime = status.st_uid, status.st_size, status.st_mtime
            self.used = min(status.st_size, status.st_blocks * 512)


class _Writer:
    """One writer's names in one directory.

    Attributes:
        files: as they were last seen.
        changed: whether its names have since.
    """

    __slots__ = ("changed", "files", "names")

    def __init__(self) -> None:
        self.names: dict[str, _Known] = {}
        self.files: Files | None = None
        self.changed = True

    def look(
        self, folder: str, fd: int, writer: str, allowed: frozenset[int], now: float, doubt: Callable[[], None]
    ) -> None:
        """Look at what can have changed by *now*, seconds since the epoch."""
        newest = max([known.number for known in self.names.values()])
        due = [
            (name, known)
            for name, known in self.names.items()
            if self.changed
            or known.uid < 0
            or known.number >= max(0, newest - 1)
            or abs(now - known.mtime) < RECENT_SECONDS
        ]
        before = [known.uid for _, known in due]
        for name, known in due:
            known.look(fd, name, allowed)
        # They are somebody else's now, or cannot be asked: so are the others, and half a writer would look dead.
        if not self.changed and [known.uid for _, known in due] != before:
            for name, known in self.names.items():
                known.look(fd, name, allowed)
        files: Files | None = None
        for name, known in self.names.items():
            if known.uid < 0:
                continue
            if files is None:
                files = Files(folder, writer, known.uid)
                files.doubt = doubt
            elif files.uid != known.uid:
                continue
            files.names.append(name)
            files.used += known.used
            if known.suffix in (SEGMENT_SUFFIX, CAPTURE_SUFFIX):
                files.sizes[known.number] = known.size
                files.times[known.number] = known.mtime
            if known.suffix in (CAPTURE_SUFFIX, META_SUFFIX):
                files.kind = CAPTURE
            elif known.suffix == END_SUFFIX:
                files.ended = True
        self.files, self.changed = files, False

    def all_seen(self) -> bool:
        """Tell whether every name was one that is taken."""
        return all(known.uid >= 0 for known in self.names.values())


class _Folder:
    """What is known of one directory: which it is, when it had changed last, every name, and its writers.

    Attributes:
        writers: all of them; `active` those that are looked at each time.
        settled: the files of the others, which were looked at when it was known already that nobody writes into them any more.
    """

    __slots__ = ("active", "changed_ns", "full_at", "names", "place", "settled", "writers")

    def __init__(self, place: tuple[int, int]) -> None:
        self.place = place
        self.full_at = time.monotonic() + FULL_SECONDS
        self.changed_ns = -1  # by its own time; -1: it is to be listed at the next look, whatever it says
        self.names: dict[str, tuple[str, int, str] | None] = {}
        self.writers: dict[str, _Writer] = {}
        self.active: dict[str, _Writer] = {}
        self.settled: dict[str, Files] = {}

    def doubt(self) -> None:
        """Have the names read at the next look."""
        self.changed_ns = -1

    def distrust(self) -> None:
        """Have everything that may still change looked at anew."""
        self.full_at = time.monotonic() + FULL_SECONDS
        self.changed_ns = -1
        for one in self.active.values():
            one.changed = True

    def list(self, fd: int) -> bool:
        """Take the names that came and went; tell whether the directory could be read to its end."""
        names: dict[str, None] = {}
        whole = True
        try:
            with os.scandir(fd) as entries:
                for entry in islice(entries, MAX_NAMES):
                    names[entry.name] = None
        except OSError:  # a damaged directory: what can be read of it is shipped
            names.update(dict.fromkeys(self.names))
            whole = False
        for name in [name for name in self.names if name not in names]:
            parsed = self.names.pop(name)
            if parsed is not None:
                one = self._change(parsed[0])
                del one.names[name]
                if not one.names:
                    del self.writers[parsed[0]], self.active[parsed[0]]
        for name in [name for name in names if name not in self.names]:
            parsed = self.names[name] = parse_name(name)
            if parsed is not None:
                self._change(parsed[0]).names[name] = _Known(parsed[1], parsed[2])
        return whole

    def _change(self, writer: str) -> _Writer:
        """Return a writer, made if it is new, whose names change."""
        one = self.writers.get(writer)
        if one is None:
            one = self.writers[writer] = _Writer()
        one.changed = True
        self.wake(writer)
        return one

    def wake(self, writer: str) -> None:
        """Have a writer looked at each time."""
        self.active[writer] = self.writers[writer]
        self.settled.pop(writer, None)

    def look(self, path: str, fd: int, settled: AbstractSet[str], allowed: frozenset[int]) -> dict[str, Files]:
        """Look at who is not settled, and return the files of all."""
        if not self.settled.keys() <= settled:  # a store went back, or another destination is asked
            for writer in [writer for writer in self.settled if writer not in settled]:
                self.wake(writer)
        now = time.time()
        found = dict(self.settled)
        for writer, one in list(self.active.items()):
            one.look(path, fd, writer, allowed, now, self.doubt)
            if one.files is not None:
                found[writer] = one.files
                if writer in settled and one.all_seen():
                    self.settled[writer] = one.files
                    del self.active[writer]
        return found


class Scan:
    """A memory of the spool, for one thread.

    Args:
        settled: returns the writers that were shipped to their end and write no more.
    """

    def __init__(self, settled: Callable[[], AbstractSet[str]] = frozenset) -> None:
        self._settled = settled
        self._folders: dict[str, _Folder] = {}

    def look(self, folders: list[str], owners: Mapping[str, int] | None = None) -> dict[str, Files]:
        """Return the files of every writer in *folders*; what is not ours, not a plain file or unreadable is passed over.

        Nobody may change them: those of a settled writer are the same objects at each look, all others are new ones (`ready` goes by that).

        Args:
            folders: spool directories.
            owners: whose a writer is known to be, by its id: a name that stands in several directories is his, else the first one's.
        """
        found: dict[str, Files] = {}
        for folder in [folder for folder in self._folders if folder not in folders]:
            del self._folders[folder]
        for folder in folders:
            more = self._look(folder)
            for writer in more.keys() & found.keys():
                if not (owners and owners.get(writer) == more[writer].uid != found[writer].uid):
                    del more[writer]
            found.update(more)
        return found

    def _look(self, folder: str) -> dict[str, Files]:
        try:
            fd, allowed = open_directory(folder)
        except OSError:
            self._folders.pop(folder, None)
            return {}
        try:
            settled = self._settled()  # before anybody is looked at: what was written till then is seen
            return self._listed(folder, fd).look(folder, fd, settled, allowed)
        except OSError:
            self._folders.pop(folder, None)
            return {}
        finally:
            os.close(fd)

    def _listed(self, folder: str, fd: int) -> _Folder:
        status = os.fstat(fd)
        place = (status.st_dev, status.st_ino)
        seen = self._folders.get(folder)
        if seen is None or seen.place != place:
            seen = self._folders[folder] = _Folder(place)
        elif time.monotonic() >= seen.full_at:
            seen.distrust()
        if seen.changed_ns != status.st_mtime_ns:
            now = time.time_ns()
            whole = seen.list(fd)
            seen.changed_ns = status.st_mtime_ns if whole and now - status.st_mtime_ns > COARSE_NS else -1
        return seen


def look(folders: list[str], owners: Mapping[str, int] | None = None) -> dict[str, Files]:
    """Return the files of every writer in *folders*, looked at once; see `Scan.look`."""
    return Scan().look(folders, owners)
