"""Compiled modules that are cut, by a limit on file sizes or a full disk, and would break every later start.

Python writes the part of a .pyc that fits and keeps it; whoever imports the module then gets EOFError, until the file is removed. Owns: not
letting our processes write bytecode where it could be cut, removing what was cut before they could say so, and importing from
source where a compiled file is damaged. Standard library only, Python 3.8; imported before anything else of ours. Never raises.
"""

from __future__ import annotations

import os
import sys

ROOM_BYTES = 16 << 20  # on the disk of our package
NOWHERE = os.path.join(os.devnull, "none")  # as sys.pycache_prefix: nothing compiled is read or written


def guard() -> bool:
    """Keep this process from writing bytecode if it could be cut, and remove what it may have cut already; return whether it could."""
    if sys.dont_write_bytecode:
        return False
    try:
        if not _could_be_cut():
            return False
        sys.dont_write_bytecode = True
        _repair()
        return True
    except Exception:
        return False


class careful:
    """`with bytecode.careful(): import ...` in a process that is not ours: the guard for as long as our modules are imported."""

    def __enter__(self) -> None:
        self.before = sys.dont_write_bytecode
        guard()

    def __exit__(self, *_: object) -> None:
        sys.dont_write_bytecode = self.before


def _could_be_cut() -> bool:
    with open("/proc/self/limits", "rb") as file:
        for line in file:
            if line.startswith(b"Max file size") and line.split()[3] != b"unlimited":
                return int(line.split()[3]) < ROOM_BYTES
    disk = os.statvfs(os.path.dirname(os.path.abspath(__file__)))
    return disk.f_bavail * disk.f_frsize < ROOM_BYTES or (disk.f_files > 0 and disk.f_favail < 16)


def _repair() -> None:
    """Remove the compiled files of our modules loaded so far that are damaged."""
    import marshal

    ours = os.path.dirname(os.path.abspath(__file__))

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("flightlog", "sitecustomize", "__main__"):
            continue
        cached = str(getattr(module, "__cached__", None) or "")
        try:
            if os.path.commonpath([ours, os.path.abspath(cached)]) != ours:
                continue
            with open(cached, "rb") as file:
                data = file.read()
        except (OSError, TypeError, ValueError):
            continue
        try:
            marshal.loads(data[16:])  # noqa: S302  what Python itself has just loaded, or tried to
        except Exception:
            try:
                os.unlink(cached)
            except OSError:
                pass


class from_source:
    """`with bytecode.from_source(): import ...`, when that failed before: whatever compiled lies beside the modules is not looked at."""

    def __enter__(self) -> None:
        self.before = sys.dont_write_bytecode, sys.pycache_prefix
        sys.dont_write_bytecode, sys.pycache_prefix = True, NOWHERE

    def __exit__(self, *_: object) -> None:
        sys.dont_write_bytecode, sys.pycache_prefix = self.before
