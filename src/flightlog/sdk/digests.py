"""Finished items as files: a few bytes for each, appended while the run goes on.

    i-<stage, 24 hex>.<writer, 16 hex>      {"v": 1, "stage": ..., "bytes": 12, "salt": ...}\n
                                            then blocks: u32 crc | u32 count | count x 12 bytes     little endian

An item is known by its digest, the first 12 bytes of the SHA-256 of its key: two keys with the same digest are not to be expected among a million, nor among
the millions of a lifetime. Invariants: one file has one process that appends to it, each block by one write(2); a block that is torn or damaged, and
what stands behind it, is not believed (its items are done again); 0600. Owns: digests and this form. Leaves when to write to `finished`.
Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import operator
import os
import struct
from zlib import crc32

from .. import identity
from .slots import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

FORM = 1
DIGEST_BYTES = 12
MAX_DIGESTS = 1_000_000  # of one stage: what a resumed run has to remember takes about 100 bytes each
MAX_BYTES = 64 << 20  # of one file
_BLOCK = struct.Struct("<II")


def digest_of(key: object) -> bytes | None:
    """Return the digest of a key: text, bytes, a number, or what says by its repr which one it is; None when its repr names an address."""
    kind = type(key)
    if kind is str:
        data = b"s" + key.encode("utf-8", "surrogatepass")  # type: ignore[attr-defined]
    elif kind is bytes:
        data = b"b" + key  # type: ignore[operator]
    else:
        try:
            data = b"i%d" % operator.index(key)  # type: ignore[arg-type]
        except TypeError:
            text = repr(key)
            if " at 0x" in text:
                return None
            data = b"r" + text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def name_of(stage: str) -> str:
    """Return how the names of a stage's files begin."""
    return "i-%s." % hashlib.sha256(stage.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class DigestFile:
    """A file that this process appends to. Making it creates the file; raises OSError."""

    __slots__ = ("_salt", "fd")

    def __init__(self, folder: str, stage: str) -> None:
        path = os.path.join(folder, name_of(stage) + identity.new_writer_id()[:16])
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self.fd = os.open(path, flags, 0o600)
        self._salt = crc32(os.path.basename(path).encode("ascii"))
        os.fchmod(self.fd, 0o600)
        write_all(self.fd, header(stage, self._salt))

    def append(self, digests: list[bytes]) -> None:
        """Append a block; it survives `kill -9` of this process. Raises OSError."""
        write_all(self.fd, block(digests, self._salt))

    def sync(self) -> None:
        """Let what was appended survive a power cut. Blocks as long as the disk takes. Raises OSError."""
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Close it. Never raises."""
        fd, self.fd = self.fd, -1
        try:
            if fd >= 0:
                os.close(fd)
        except OSError:
            pass


def header(stage: str, salt: int) -> bytes:
    """Return the first line of a file."""
    data = {"v": FORM, "stage": stage, "bytes": DIGEST_BYTES, "salt": salt}
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def block(digests: list[bytes], salt: int) -> bytes:
    """Return one block."""
    data = b"".join(digests)
    count = struct.pack("<I", len(digests))
    return _BLOCK.pack(crc32(data, crc32(count, salt)), len(digests)) + data


def parse(data: bytes) -> tuple[str, list[bytes], bool]:
    """Return (stage, digests, whether all bytes were believed) of a file's bytes. Raises ValueError when it is none of ours."""
    line, end, _ = data.partition(b"\n")
    head: Any = json.loads(line) if end else None
    if not isinstance(head, dict) or head.get("v") != FORM or head.get("bytes") != DIGEST_BYTES:
        raise ValueError("has no header that this flightlog knows")
    salt, stage = head.get("salt"), head.get("stage")
    if type(salt) is not int or not 0 <= salt < 1 << 32 or not isinstance(stage, str):
        raise ValueError("has no header that this flightlog knows")
    digests: list[bytes] = []
    at = len(line) + 1
    while at + _BLOCK.size <= len(data):
        crc, count = _BLOCK.unpack_from(data, at)
        begin, stop = at + _BLOCK.size, at + _BLOCK.size + count * DIGEST_BYTES
        part = data[begin:stop]
        if not count or stop > len(data) or crc32(part, crc32(struct.pack("<I", count), salt)) != crc:
            break
        digests += [part[i : i + DIGEST_BYTES] for i in range(0, len(part), DIGEST_BYTES)]
        at = stop
    return stage, digests, at == len(data)


def read(folder: str, names: Iterable[str], stage: str, troubles: list[str]) -> list[bytes]:
    """Return the digests of one stage, at most MAX_DIGESTS. Never raises; *troubles* is told what could not be used.

    Args:
        folder: the lineage's.
        names: the files in it that are to be looked at.
        stage: `extract/merge`.
        troubles: grows. That the end of a file is torn is none: a kill leaves that, and the items are done again.
    """
    found: list[bytes] = []
    beginning = name_of(stage)
    for name in sorted(names):
        if not name.startswith(beginning) or len(found) >= MAX_DIGESTS:
            continue
        path = os.path.join(folder, name)
        try:
            said, digests, _ = parse(identity.read_plain(path, MAX_BYTES))
        except (OSError, ValueError, RecursionError) as problem:
            troubles.append("%s %s" % (path, getattr(problem, "strerror", None) or problem))
            continue
        if said == stage:
            found += digests
    return found[:MAX_DIGESTS]


def stages(folder: str) -> dict[str, int]:
    """Return how many items of each stage are finished, by stage, as far as the files in *folder* can be used. Never raises."""
    counts: dict[str, int] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return counts
    for name in names:
        if name.startswith("i-"):
            try:
                stage, digests, _ = parse(identity.read_plain(os.path.join(folder, name), MAX_BYTES))
            except (OSError, ValueError, RecursionError):
                continue
            counts[stage] = counts.get(stage, 0) + len(digests)
    return counts
