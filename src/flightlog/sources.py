"""A line of a program's source, for the frames of an exception.

Invariants: nothing is imported for it. linecache would take 2 ms of each start; loaded when an exception comes, it imports tokenize, of which a pipeline
may have one of its own beside its script, and whose namedtuple is made by an eval, in which the interpreter forgets that it is about to die of SIGINT.
Owns: reading, and a memory of a few files. A program that has linecache and tokenize is answered by them: they know the sources of consoles, too.
Standard library only, Python 3.8.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_FILES, MAX_BYTES = 16, 4 << 20
_known: dict[str, tuple[int, int, list[bytes]]] = {}  # path -> mtime, size, lines


def line(file: str, number: int) -> str:
    """Return line *number*, from 1, of *file*; empty when there is none. Raises whatever reading it does."""
    linecache: Any = sys.modules.get("linecache")
    if linecache is not None and "tokenize" in sys.modules:
        return str(linecache.getline(file, number))
    lines = _lines(file)
    if not 0 < number <= len(lines):
        return ""
    return lines[number - 1].decode(_encoding(lines), "replace")


def _lines(file: str) -> list[bytes]:
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        return []
    known = _known.get(file)
    if known is not None and known[:2] == (status.st_mtime_ns, status.st_size):
        return known[2]
    with open(file, "rb") as source:
        lines = source.read(MAX_BYTES).splitlines()
    if len(_known) >= MAX_FILES:
        _known.clear()
    _known[file] = status.st_mtime_ns, status.st_size, lines
    return lines


def _encoding(lines: list[bytes]) -> str:
    """Return what the source says it is encoded in: https://peps.python.org/pep-0263/."""
    for text in lines[:2]:
        _, found, rest = text.partition(b"coding")
        name = rest[1:].strip().split(b" ")[0].decode("ascii", "ignore")
        if text.lstrip().startswith(b"#") and found and rest[:1] in (b":", b"=") and name:
            try:
                b"x".decode(name)
                return name
            except LookupError:
                return "utf-8"
    return "utf-8"
