"""What a run works on and with: the script, and the files that its parameters and its command line name, so that a change of them is seen.

Invariants: bounded in files and bytes; opens regular files only; never raises. Owns: these facts and how two of them compare. Leaves saying what has
changed to the faces. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

MAX_FILES = 64
MAX_WORDS = 1000  # that are asked whether they are files
MAX_HASHED = 1 << 20  # a larger file is known by its size and the time of its last change
MAX_HASHED_ALL = 8 << 20
MAX_SCRIPT = 4 << 20


def look(path: str, hash_up_to: int = MAX_HASHED) -> dict[str, Any] | None:
    """Return {path, size, mtime_ns, sha} of a regular file, None for anything else. `sha` is None when it is larger than *hash_up_to*."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        sha = None
        if status.st_size <= hash_up_to:
            sha = hashlib.sha256(identity.read_plain(path, hash_up_to + 1)).hexdigest()[:32]
    except (OSError, ValueError):
        return None
    return {"path": path, "size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha": sha}


def script() -> dict[str, Any] | None:
    """Return the facts of this program's script, None when it has none (`python -c`, a prompt)."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return look(identity.absolute(path), MAX_SCRIPT) if isinstance(path, str) else None


def named(*trees: object) -> list[dict[str, Any]]:
    """Return the facts of the files that texts in *trees* (parameters, command lines) name, each once, by path; at most 64."""
    found: dict[str, dict[str, Any]] = {}
    left = MAX_HASHED_ALL
    for number, word in enumerate(_words(trees, 0)):
        if number >= MAX_WORDS or len(found) >= MAX_FILES:
            break
        name = word.partition("=")[2] if word[:2] == "--" and "=" in word else word  # --input=orders.csv
        path = identity.absolute(name)
        if not name or len(name) > 4096 or path in found:
            continue
        known = look(path, min(MAX_HASHED, left))
        if known is not None:
            found[path] = known
            left -= known["size"] if known["sha"] else 0
    return [found[path] for path in sorted(found)]


def _words(tree: object, depth: int) -> Iterator[str]:
    if isinstance(tree, str):
        if "\0" not in tree:
            yield tree
    elif isinstance(tree, os.PathLike):
        try:
            path = os.fspath(tree)
        except Exception:  # somebody else's code
            return
        if isinstance(path, str):
            yield path
    elif depth < 4 and isinstance(tree, (list, tuple, dict)):
        items: Iterable[object] = tree.values() if isinstance(tree, dict) else tree
        for item in items:
            yield from _words(item, depth + 1)


def change(then: dict[str, Any], now: dict[str, Any] | None) -> str:
    """Return how a file differs from what it was, in a few words; empty when it does not."""
    if now is None:
        return "is gone"
    if then.get("sha") and now.get("sha"):
        return "" if then["sha"] == now["sha"] else "has other content"
    if then.get("size") != now.get("size"):
        return "has %s bytes, had %s" % (now.get("size"), then.get("size"))
    return "" if then.get("mtime_ns") == now.get("mtime_ns") else "was written to since"
