"""Reading segments: valid frames from an offset on, and what stands where none is valid.

Owns: the walk over frames, resynchronisation behind damage, and opening files that may be hostile.
Invariants: pread only (a mapped file that is truncated under us would kill us); bounded memory and, per call, bounded time;
a length is compared with the bytes at hand before anything is done with it. Nothing is ever modified.
Leaves to the caller whether a bad tail is torn (its writer is dead), still being written (it lives), or both unknown.
"""

from __future__ import annotations

import stat
from zlib import crc32

from ..errors import SegmentError
from ..system import os
from .format import CRC_PIECE_BYTES, FRAME_HEAD, FRAME_HEAD_BYTES, MAX_PAYLOAD_BYTES, TAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

BLOCK_BYTES = 1 << 20
MAX_FRAME_BYTES = FRAME_HEAD_BYTES + MAX_PAYLOAD_BYTES
RESYNC_BUDGET_BYTES = 64 << 20  # checksummed while looking for the next valid frame, per call
_unpack = FRAME_HEAD.unpack_from
_TAG_BYTE = bytes((TAG,))

END, MORE, PARTIAL, DAMAGE = "end", "more", "partial", "damage"


class Chunk:
    """What one read brought.

    Attributes:
        frames: list of (end offset, n, payload), in order.
        stop: `end` (everything read), `more` (call again from `next`), `partial` (what stands at `next` is no valid frame
            and none follows: torn, or being written), `damage` (bad bytes from `next` up to `resume`, a valid frame behind).
        next: offset from which to read on.
        resume: where the damage ends.
        short: of a `partial`: whether it is the beginning of a frame, as a call that never returned leaves it.
    """

    __slots__ = ("frames", "next", "resume", "short", "stop")

    def __init__(
        self, frames: list[tuple[int, int, bytes]], stop: str, next_: int, resume: int = 0, short: bool = False
    ) -> None:
        self.frames, self.stop, self.next, self.resume, self.short = frames, stop, next_, resume, short


def open_segment(path: str, owner: int | None = None) -> int:
    """Open a file of the spool for reading, without following links or waiting for a fifo.

    Args:
        path: where it lies.
        owner: the uid whose file it has to be; None: anybody's.

    Raises:
        SegmentError: it is not a regular file with one name, or not the owner's.
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(fd)
        raise SegmentError("%s is not a regular file of its own" % path, "remove it from the spool")
    if owner is not None and status.st_uid != owner:
        os.close(fd)
        raise SegmentError("%s belongs to another user than its directory" % path, "remove it from the spool")
    return fd


def read_chunk(fd: int, salt: int, offset: int, limit: int = BLOCK_BYTES) -> Chunk:
    """Read valid frames from *offset* on: about *limit* bytes of them.

    Blocks on the disk only. Raises OSError.
    """
    data = os.pread(fd, limit + MAX_FRAME_BYTES, offset)
    whole = len(data) < limit + MAX_FRAME_BYTES
    frames, position = walk(data, salt, offset, limit)
    if position >= len(data):
        return Chunk(frames, END if whole else MORE, offset + position)
    if position >= limit and not whole:
        return Chunk(frames, MORE, offset + position)
    if _valid(data, position, salt):
        return Chunk(frames, MORE, offset + position)
    if frames:  # give what is good first; the next call begins at the trouble
        return Chunk(frames, MORE, offset + position)
    resume = _resync(data, position, salt)
    if resume >= 0:
        return Chunk(frames, DAMAGE, offset + position, offset + resume)
    if not whole:  # a long stretch of damage: leave one frame's length unjudged
        return Chunk(frames, DAMAGE, offset + position, offset + len(data) - MAX_FRAME_BYTES)
    return Chunk(frames, PARTIAL, offset + position, offset + len(data), _is_beginning(data, position))


def walk(data: bytes, salt: int, base: int, limit: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """Return the valid frames at the beginning of *data* and where they end. The hot loop of the agent."""
    frames: list[tuple[int, int, bytes]] = []
    add = frames.append
    position, size = 0, len(data)
    last = min(limit, size - FRAME_HEAD_BYTES)
    while position <= last:
        crc, tagged, n = _unpack(data, position)
        if tagged >> 24 != TAG:
            break
        begin = position + FRAME_HEAD_BYTES
        end = begin + (tagged & 0xFFFFFF)
        if end > size:
            break
        payload = data[begin:end]
        n &= 0xFFFFFFFF  # the checksum covers no more, and no writer counts further
        if crc32(payload, salt) ^ n != crc:
            break
        position = end
        add((base + end, n, payload))
    return frames, position


def _valid(data: bytes, position: int, salt: int) -> int:
    """Return the end of the valid frame at *position*, or 0."""
    if position < 0 or position + FRAME_HEAD_BYTES > len(data):
        return 0
    crc, tagged, n = _unpack(data, position)
    end = position + FRAME_HEAD_BYTES + (tagged & 0xFFFFFF)
    if tagged >> 24 != TAG or end > len(data) or end - position > MAX_FRAME_BYTES:
        return 0
    value = salt
    view = memoryview(data)
    for start in range(position + FRAME_HEAD_BYTES, end, CRC_PIECE_BYTES):
        value = crc32(view[start : min(end, start + CRC_PIECE_BYTES)], value)
    return end if value ^ (n & 0xFFFFFFFF) == crc else 0


def _is_beginning(data: bytes, position: int) -> bool:
    """Tell whether *data* from *position* on can be the first bytes of a frame, and not all of them."""
    there = len(data) - position
    if there < FRAME_HEAD_BYTES:
        return there < 8 or data[position + 7] == TAG
    length = _unpack(data, position)[1] & 0xFFFFFF
    return data[position + 7] == TAG and length <= MAX_PAYLOAD_BYTES and there < FRAME_HEAD_BYTES + length


def _resync(data: bytes, position: int, salt: int) -> int:
    """Return where the next valid frame behind *position* begins, or -1."""
    budget = RESYNC_BUDGET_BYTES
    tag = position + 7  # the tag is the eighth byte of a frame
    while budget > 0:
        tag = data.find(_TAG_BYTE, tag + 1)
        if tag < 0:
            return -1
        if tag - 7 + FRAME_HEAD_BYTES > len(data):
            return -1
        length = _unpack(data, tag - 7)[1] & 0xFFFFFF
        if length <= MAX_PAYLOAD_BYTES and tag - 7 + FRAME_HEAD_BYTES + length <= len(data):
            budget -= length + 64
            if _valid(data, tag - 7, salt):
                return tag - 7
    return -1


def read_segment(path: str, salt: int) -> Iterator[tuple[int, int, int, bytes | None]]:
    """Yield (offset, end, n, payload) for each frame of a file, and (offset, end, -1, None) for bytes that are none.

    A bad tail comes as the last item; bounded memory. Raises SegmentError and OSError.
    """
    fd = open_segment(path)
    try:
        offset = 0
        while True:
            chunk = read_chunk(fd, salt, offset)
            for end, n, payload in chunk.frames:
                yield offset, end, n, payload
                offset = end
            if chunk.stop == MORE:
                continue
            if chunk.stop == END:
                return
            yield chunk.next, chunk.resume, -1, None
            if chunk.stop == PARTIAL:
                return
            offset = chunk.resume
    finally:
        os.close(fd)
