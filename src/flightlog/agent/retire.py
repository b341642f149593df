"""Removes what the sink has acknowledged: segments after an hour, sooner when the quota is short, a writer's other files last.

Invariants: only files before a committed position, or of a closed writer, are ever removed; the directory is flushed behind it.
A file that reappears (power loss) is removed again: its writer is closed in the sink. Owns: removal. Leaves deciding what is acknowledged to `shipper`.
"""

from __future__ import annotations

from ..journal.format import CAPTURE_SUFFIX, INDEX_SUFFIX, SEGMENT_SUFFIX, segment_name
from ..system import os, time
from . import faults
from .acknowledged import Acknowledged
from .shipper import Shipper
from .spool import CAPTURE, Files, flush_folder

KEPT_SECONDS = 3600.0
CLOSED_GRACE_SECONDS = 5.0  # `journal cat` right after a short command still finds it


def retire(
    found: dict[str, Files],
    shipper: Shipper,
    spare: bool,
    kept_seconds: float = KEPT_SECONDS,
    acknowledged: Acknowledged | None = None,
) -> int:
    """Remove acknowledged files; return how many bytes of segments that freed.

    Args:
        found: a look at the spool.
        shipper: what is acknowledged.
        spare: whether there is room to keep acknowledged segments for a while.
        kept_seconds: for how long.
        acknowledged: is told what is removed, before it is.
    """
    freed = 0
    now = time.time()
    chosen: list[tuple[Files, list[int], bool]] = []  # segments, and whether everything else goes as well
    for writer, files in found.items():
        closed = shipper.is_closed(writer)
        position = shipper.position(writer)
        if not closed and position is None:
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
    if acknowledged is not None:
        acknowledged.removing(files.writer for files, _, _ in chosen)
    for files, numbers, whole in chosen:
        for number in numbers:
            freed += _remove_segment(files, number)
        if whole:
            _remove(files)
    for folder in {files.directory for files, _, _ in chosen}:
        flush_folder(folder)
    return freed


def _remove_segment(files: Files, number: int) -> int:
    suffixes = (CAPTURE_SUFFIX, INDEX_SUFFIX) if files.kind == CAPTURE else (SEGMENT_SUFFIX,)
    freed = 0
    faults.point("before_unlink")
    for suffix in suffixes:
        name = segment_name(files.writer, number, suffix)
        try:
            os.unlink(os.path.join(files.directory, name))
        except OSError:
            continue
        freed = files.sizes.get(number, 0)
    faults.point("after_unlink")
    return freed


def _remove(files: Files) -> None:
    """Remove what is left of a closed writer: index, meta, end, and the lock last."""
    for name in sorted(files.names, key=lambda name: name.endswith(".lock")):
        try:
            os.unlink(os.path.join(files.directory, name))
        except OSError:
            continue
