"""Names of text logs: one per pipeline, safe for any name a pipeline can have, and no two pipelines share one.

    orders.log             what is written to               orders.log.000017      rotated, the highest number is the newest
    a%2Fb.jsonl            the pipeline `a/b`               orders.log.000017.gz   rotated and compressed

Owns: the mapping, which is injective. What is not a letter, digit, dot, hyphen or underscore is %XX, so is a dot or hyphen in front;
a long name is cut and gets a digest behind `~`, which nothing else contains. Names in front of which a dot stands are never logs.
"""

from __future__ import annotations

import hashlib
import re

LIMIT = 180  # bytes of a stem: the longest suffix still fits into the 255 of a file name
SUFFIXES = {"text": ".log", "jsonl": ".jsonl"}
GZIP, UNFINISHED = ".gz", ".gz.tmp"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ROTATED = re.compile(r"(.+\.(?:log|jsonl))\.([0-9]{6,18})(\.gz)?", re.S)
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?$")


def active(pipeline: str, form: str) -> str:
    """Return the name of the file that *pipeline* is written to in the form `text` or `jsonl`."""
    return stem(pipeline) + SUFFIXES[form]


def stem(pipeline: str) -> str:
    """Return *pipeline* as the beginning of a file name; never empty."""
    raw = pipeline.encode("utf-8", "surrogatepass")
    text = "".join(
        chr(byte) if byte in _PLAIN and (index or byte not in b".-") else f"%{byte:02X}"
        for index, byte in enumerate(raw)
    )
    if len(text) > LIMIT:
        digest = hashlib.sha256(raw).hexdigest()[:32]
        text = _CUT_ESCAPE.sub("", text[: LIMIT - 33]) + "~" + digest
    return text or "%"


def rotated(name: str, number: int) -> str:
    """Return what the active file *name* is called after its rotation."""
    return f"{name}.{number:06d}"


def parse_rotated(name: str) -> tuple[str, int, bool] | None:
    """Return (active name, number, whether compressed) of a rotated file, None for any other name."""
    found = _ROTATED.fullmatch(name)
    return (found.group(1), int(found.group(2)), found.group(3) is not None) if found else None
