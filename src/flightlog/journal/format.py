"""The byte format of a segment: frames, the header, file names.

    frame    u32 crc | u32 0xA7 << 24 | length | u64 n | payload        little endian; length < 2**24; payload is JSON
    crc      crc32(payload, salt) ^ (n & 0xffffffff), salt = crc32(the 16 bytes of the writer id)
    segment  <writer id, 32 hex>.<segment number, 6 digits>.seg: frames one behind the other, the first one is the header

Invariants: a frame is written by one write(2), so a prefix of it is torn, never half believed; the salt keeps a frame
of another writer, or one quoted inside a message, from being taken for ours. Owns no file and no state.
"""

from __future__ import annotations

import struct
from zlib import crc32

from ..errors import NewerFormat

FORMAT_VERSION = 1
LEAST_NONSENSE = 1 << 16  # a version that no program will have: somebody else made that header
TAG = 0xA7
FRAME_HEAD = struct.Struct("<IIQ")  # crc, tag and length, n
FRAME_HEAD_BYTES = FRAME_HEAD.size
MAX_PAYLOAD_BYTES = 256 * 1024
ROTATE_BYTES = 8 << 20
# zlib gives up the interpreter lock for more than this in one call; a busy thread would then hold us up.
CRC_PIECE_BYTES = 5120

SEGMENT_SUFFIX, LOCK_SUFFIX = ".seg", ".lock"
CAPTURE_SUFFIX, INDEX_SUFFIX, META_SUFFIX, END_SUFFIX = ".cap", ".idx", ".meta", ".end"
SPARE_SUFFIX = ".spare"


def salt_of(writer: str) -> int:
    """Return the checksum salt of a writer id (32 hexadecimal digits)."""
    return crc32(bytes.fromhex(writer))


def checksum(payload: bytes, salt: int, n: int) -> int:
    """Return the checksum of one frame."""
    if len(payload) <= CRC_PIECE_BYTES:
        return crc32(payload, salt) ^ (n & 0xFFFFFFFF)
    view = memoryview(payload)
    for start in range(0, len(view), CRC_PIECE_BYTES):
        salt = crc32(view[start : start + CRC_PIECE_BYTES], salt)
    return salt ^ (n & 0xFFFFFFFF)


def frame(payload: bytes, salt: int, n: int) -> bytes:
    """Return one whole frame. *payload* must be shorter than 16 MiB."""
    return FRAME_HEAD.pack(checksum(payload, salt, n), TAG << 24 | len(payload), n & 0xFFFFFFFFFFFFFFFF) + payload


def segment_name(writer: str, number: int, suffix: str = SEGMENT_SUFFIX) -> str:
    """Return the file name of a writer's segment."""
    return "%s.%06d%s" % (writer, number, suffix)


def must_know(version: object, thing: str) -> None:
    """Refuse what a newer program wrote in another form: an older reader would read something wrong. Raises NewerFormat.

    New keys, kinds and events come without a new version: they are read by who does not know them.

    Args:
        version: `v` of the header or of `.meta`; what is no number above ours, or no believable one, is not looked at.
        thing: what has it, for the message.
    """
    if type(version) is int and FORMAT_VERSION < version < LEAST_NONSENSE:
        raise NewerFormat(
            f"{thing} has version {version} of the journal's format, this flightlog reads {FORMAT_VERSION}",
            "update flightlog here; the files stay where they are till then",
        )


def is_writer_id(text: str) -> bool:
    """Tell whether *text* is 32 lower-case hexadecimal digits."""
    return len(text) == 32 and not text.strip("0123456789abcdef")


def parse_name(name: str) -> tuple[str, int, str] | None:
    """Split a spool file's name into (writer, segment number or -1, suffix); None when it is none of ours."""
    parts = name.split(".")
    if not is_writer_id(parts[0]):
        return None
    if len(parts) == 2 and "." + parts[1] in (LOCK_SUFFIX, META_SUFFIX, END_SUFFIX, SPARE_SUFFIX):
        return parts[0], -1, "." + parts[1]
    if len(parts) != 3 or "." + parts[2] not in (SEGMENT_SUFFIX, CAPTURE_SUFFIX, INDEX_SUFFIX):
        return None
    if 6 <= len(parts[1]) <= 18 and parts[1].isdigit() and parts[1].isascii():
        return parts[0], int(parts[1]), "." + parts[2]
    return None
