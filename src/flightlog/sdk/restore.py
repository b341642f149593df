"""Putting what another node has left where the SDK of this one looks for it, before the command that resumes it starts.

Invariants: a lineage appears whole or not at all; what lies here and is as new stays, for a store is behind what it is told; one that somebody works at
is never touched. Owns: this copy. Leaves fetching to who may know the store (`wiring`), the forms to `slots` and `digests`. Standard library only.
"""

from __future__ import annotations

import os
from zlib import crc32

from . import checkpoint, digests, lineage, slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

PER_BLOCK = 8192


def lies(work: str, origin: str) -> dict[str, Any] | None:
    """Return the facts of a lineage that lies on this node, None when there is none. Never raises."""
    for path, known in lineage.lying(work):
        if known == origin:
            slot = slots.read(path, lineage.NAME)
            return slot.facts if slot is not None else {}
    return None


def is_busy(work: str, origin: str) -> bool:
    """Tell whether a process of this node works at a lineage now. Never raises."""
    known = lies(work, origin)
    path = os.path.join(lineage.top(), "%s-%s" % (work, origin))
    return known is not None and (lineage.is_alive(known) or lineage.is_taken(path))


def put(facts: dict[str, Any], values: Iterable[tuple[dict[str, Any], str]], items: dict[str, list[bytes]]) -> bool:
    """Lay down a lineage that was fetched; tell whether that was done, False where what lies here is as new. Raises OSError, ValueError.

    Args:
        facts: at least work, origin, run, attempt, pipeline, node.
        values: (facts with key and version, JSON text) of each key.
        items: digests by stage.
    """
    work, origin = str(facts["work"]), str(facts["origin"])
    known = lies(work, origin)
    if known is not None and str(known.get("run")) >= str(facts["run"]):
        return False
    lineage.make_top()
    folder = os.path.join(lineage.top(), "%s-%s" % (work, origin))
    fresh = "%s.gone-new%d" % (folder, os.getpid())  # what is broken off is removed like what is gone
    os.mkdir(fresh, 0o700)
    os.chmod(fresh, 0o700)
    for more, text in values:
        slots.store(fresh, checkpoint.name_of(str(more["key"])), more, text)
    for stage, found in items.items():
        _put_items(fresh, stage, found)
    slots.store(fresh, lineage.NAME, dict(facts, pid=0, start=0))
    if known is not None:
        lineage.remove(folder)
    os.rename(fresh, folder)
    slots.flush_folder(lineage.top())
    return True


def _put_items(folder: str, stage: str, found: list[bytes]) -> None:
    name = digests.name_of(stage) + "0" * 16
    salt = crc32(name.encode("ascii"))
    blocks = [digests.block(found[at : at + PER_BLOCK], salt) for at in range(0, len(found), PER_BLOCK)]
    slots.write(os.path.join(folder, name), digests.header(stage, salt) + b"".join(blocks))
