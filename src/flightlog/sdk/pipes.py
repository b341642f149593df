"""Which of this process's streams are Python's own and lead to a capture pipe of its run.

Owns: the pipes (FLIGHTLOG_CAPTURE: "dev:ino:stdout,..."), and what is remembered of the streams before the program's first line. Leaves marks to
`streams`.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_pipes: frozenset[tuple[int, int]] | None = None
raws: set[io.FileIO] = set()  # the raw layers of Python's own streams


def pipes() -> frozenset[tuple[int, int]]:
    """Return (device, inode) of the capture pipes of this run; empty when the process is not supervised."""
    global _pipes
    if _pipes is None:
        found = set()
        for item in os.environ.get("FLIGHTLOG_CAPTURE", "").split(","):
            parts = item.split(":")
            if len(parts) == 3 and parts[0].isdigit() and parts[1].isdigit():
                found.add((int(parts[0]), int(parts[1])))
        _pipes = frozenset(found)
    return _pipes


def captured() -> bool:
    """Tell whether this process runs with captured output at all."""
    return bool(pipes())


def is_capture(fd: int) -> bool:
    """Tell whether *fd* is a capture pipe of ours at this moment."""
    try:
        status = os.fstat(fd)
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) in pipes()


def install() -> None:
    """Remember which raw layers are those of Python's own streams, on capture pipes. Before the program runs; never raises."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        try:
            raw = raw_of(getattr(sys, name))
            if raw is not None and raw.fileno() == fd and is_capture(fd):
                raws.add(raw)
        except Exception:  # a stream of somebody's own: nothing is marked in it
            from .recorder import recorder

            recorder.errors += 1


def raw_of(stream: Any) -> io.FileIO | None:
    """Return the raw layer of *stream*; None where something unknown lies between, that may do anything with the text."""
    if type(stream) is io.TextIOWrapper:
        stream = stream.buffer
    if type(stream) is io.BufferedWriter:
        stream = stream.raw
    return stream if type(stream) is io.FileIO else None
