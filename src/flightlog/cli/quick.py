"""The usual command lines of `flightlog run`, read without click: loading that takes a third of the time until the command begins.

Invariant: what is read here means what `run` says it means; everything else, a mistake included, is left to it.
Owns: which command lines are usual. Leaves options and what is said about them to `run`, beginning to `starting`.
"""

from __future__ import annotations

import json
import os
import stat
import sys

from .. import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

FLAGS = ("--merge", "--pty")
VALUES = {"-n": "pipeline", "--pipeline": "pipeline", "--record": "record"}


def read(words: Sequence[str]) -> tuple[list[str], str, dict[str, str]] | None:
    """Return (command, pipeline, what else `starting.start` takes) of the arguments of `flightlog`; None when it is for `run` to read them."""
    if words[:1] != ["run"] or None in (sys.stdin, sys.stdout, sys.stderr) or "_FLIGHTLOG_COMPLETE" in os.environ:
        return None
    given = {"pipeline": "", "merge": "", "pty": "", "record": ""}
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        if word in FLAGS:
            given[word[2:]] = "1"
            continue
        word, equals, value = word.partition("=")
        if word not in VALUES or (equals and not word.startswith("--")) or not (equals or rest):
            return None
        value = value if equals else rest.pop(0)
        if not value or value.startswith("-"):
            return None
        given[VALUES[word]] = value
    if not rest:
        return None
    pipeline, record = given.pop("pipeline"), given["record"]
    if record and not may_be_written(record):
        return None
    return rest, pipeline, {**given, "record": identity.absolute(record) if record else ""}


def may_be_written(record: str) -> bool:
    """Tell whether a file for --record is not there, is empty, or was written by an earlier run: nobody else's is overwritten."""
    try:
        status = os.lstat(record)
    except OSError:
        return True  # where it cannot be, the keeper does without
    if not stat.S_ISREG(status.st_mode):
        return False
    try:
        with open(record, "rb") as file:
            begin = file.read(1 << 20)
        found = json.loads(begin) if begin else {"run": "", "pipeline": "", "t": 0}
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {"run", "pipeline", "t"} <= found.keys()
