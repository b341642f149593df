"""Removes what the sink has acknowledged: segments after an hour, sooner when the quota is short, a writer's other files last.

Invariants: only files before a committed position, or of a closed writer, are ever removed; the directory is flushed behind it.
A file that reappears (power loss) is removed again: its writer is closed in the sink. Owns: removal; two threads may be at it. Leaves deciding what is
acknowledged to `destinations`: by all of them.
"""

from __future__ import annotations

from ..journal.format import CAPTURE_SUFFIX, INDEX_SUFFIX, SEGMENT_SUFFIX, segment_name
from ..system import os, time
from . import faults
from .acknowledged import Acknowledging
from .hint import Hint
from .spool import CAPTURE, Files, open_directory

KEPT_SECONDS = 3600.0
CLOSED_GRACE_SECONDS = 5.0  # `journal cat` right after a short command still finds it


def retire(
    found: dict[str, Files],
    shipped: Acknowledging,
    spare: bool,
    kept_seconds: float = KEPT_SECONDS,
    hint: Hint | None = None,
) -> int:
    """Remove acknowledged files; return how many bytes of segments that freed.

    Args:
        found: a look at the spool.
        shipped: what is acknowledged.
        spare: whether there is room to keep acknowledged segments for a while.
        kept_seconds: for how long.
        hint: is told what is removed, before it is.
    """
    folders: dict[str, int] = {}
    try:
        chosen = _choose(found, shipped, spare, kept_seconds, folders)
        if hint is not None:
            hint.removing(files.writer for files, _, _ in chosen)
        return _retire(chosen, folders)
    finally:
        for fd in folders.values():
            if fd >= 0:
                os.close(fd)


def _choose(
    found: dict[str, Files], shipped: Acknowledging, spare: bool, kept_seconds: float, folders: dict[str, int]
) -> list[tuple[Files, list[int], bool]]:
    """Return what is to go: segments, and whether everything else goes with them; *folders* takes the directories that were opened, by path."""
    now = time.time()
    chosen = []
    ended = shipped.closed()
    for writer, files in found.items():
        closed = writer in ended
        position = None if closed else shipped.position(writer)
        if (not closed and position is None) or _folder(files, folders) < 0:
            continue
        youngest = max(files.times.values(), default=0.0)
        # A clock that was put back leaves files of the future: they are old as well, or they would fill the spool until it has caught up.
        old_enough = abs(now - youngest) > (kept_seconds if spare else CLOSED_GRACE_SECONDS)
        numbers = [
            number
            for number in sorted(files.sizes)
            if (closed or (position is not None and number < position.segno))
            and (old_enough or (not spare and not closed))
        ]
        whole = closed and (old_enough or not files.sizes)
        if numbers or whole:
            chosen.append((files, numbers, whole))
    return chosen


def _retire(chosen: list[tuple[Files, list[int], bool]], folders: dict[str, int]) -> int:
    """Remove what was chosen; return how many bytes of segments that freed."""
    freed = 0
    for files, numbers, whole in chosen:
        for number in numbers:
            freed += _remove_segment(files, number, _folder(files, folders))
        if whole:
            _remove(files, _folder(files, folders))
    for folder in {files.directory for files, _, _ in chosen}:
        _flush(folders[folder])
    return freed


def _folder(files: Files, folders: dict[str, int]) -> int:
    """Return the directory of *files*, opened once; -1 when it is not any more what it was: its owner may have put a link in its place."""
    if files.directory not in folders:
        try:
            folders[files.directory] = open_directory(files.directory)[0]
        except OSError:
            folders[files.directory] = -1
    return folders[files.directory]


def _remove_segment(files: Files, number: int, folder: int) -> int:
    suffixes = (CAPTURE_SUFFIX, INDEX_SUFFIX) if files.kind == CAPTURE else (SEGMENT_SUFFIX,)
    freed = 0
    faults.point("before_unlink")
    for suffix in suffixes:
        try:
            os.unlink(segment_name(files.writer, number, suffix), dir_fd=folder)
        except OSError:
            continue
        freed = files.sizes.get(number, 0)
    faults.point("after_unlink")
    return freed


def _remove(files: Files, folder: int) -> None:
    """Remove what is left of a closed writer: index, meta, end, and the lock last."""
    for name in sorted(files.names, key=lambda name: name.endswith(".lock")):
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            continue


def _flush(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError:
        pass
