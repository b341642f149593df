"""The frame decoder among a million damaged segments: what is whole is found, what is not is declared, in steps of any size.

The reader it is held against is made from sections 2, 3 and 5 of docs/reference/journal-format.md and knows the whole file at once.
"""

import os
import struct
import zlib

import pytest
from campaign import rounds

from flightlog.journal import reader
from flightlog.journal.format import MAX_PAYLOAD_BYTES
from fuzz import corpus
from fuzz.bounds import bounded, watched
from fuzz.mutation import BLOCK, SEED, blocks, damaged, generator

SMALL = 300  # a limit at which the borders of what is read at once are met all the time


def whole_frame(data, position, largest):
    """Return (end, n, payload) of the valid frame at *position*, None when there is none."""
    if len(data) < position + 16:
        return None
    crc, word, n = struct.unpack_from("<IIQ", data, position)
    length = word & 0xFFFFFF
    payload = data[position + 16 : position + 16 + length]
    if word >> 24 != 0xA7 or length > largest or len(payload) < length:
        return None
    low = n & 0xFFFFFFFF
    return (position + 16 + length, low, payload) if zlib.crc32(payload, corpus.SALT) ^ low == crc else None


def begins_one(tail, largest):
    """Tell whether *tail* is the beginning of a frame, as section 5 says."""
    if len(tail) < 8:
        return True
    if tail[7] != 0xA7 or len(tail) < 16:
        return tail[7] == 0xA7
    length = int.from_bytes(tail[4:7], "little")
    return length <= largest and len(tail) < 16 + length


def as_the_document_says(data, largest):
    """Return what stands in a segment: (begin, end, n, payload) of frames, (begin, end) of damage, (begin, end, whether torn) of the tail."""
    items, position = [], 0
    while position < len(data):
        found = whole_frame(data, position, largest)
        if found is not None:
            items.append((position, *found))
            position = found[0]
            continue
        tag = data.find(b"\xa7", position + 8)
        while tag >= 0 and whole_frame(data, tag - 7, largest) is None:
            tag = data.find(b"\xa7", tag + 1)
        if tag < 0:
            items.append((position, len(data), begins_one(data[position:], largest)))
            break
        items.append((position, tag - 7))
        position = tag - 7
    return items


def as_our_reader_says(fd, size, chance, largest_step):
    """The same, read in steps."""
    items, offset, steps = [], 0, 0
    bad = -1  # where damage began whose end has not been seen
    while True:
        chunk = reader.read_chunk(fd, corpus.SALT, offset, chance.randrange(1, largest_step))
        steps += 1
        assert steps <= 3 * size + 3, "it does not come to an end"
        if chunk.frames and bad >= 0:
            items.append((bad, offset))
            bad = -1
        for end, n, payload in chunk.frames:
            items.append((offset, end, n, payload))
            offset = end
        assert chunk.next == offset
        if chunk.stop == reader.DAMAGE:
            assert chunk.resume > offset
            assert not chunk.frames
            bad, offset = (offset if bad < 0 else bad), chunk.resume
        elif chunk.stop == reader.MORE:
            assert chunk.frames
        else:
            assert chunk.stop == (reader.END if offset == size else reader.PARTIAL)
            if chunk.stop == reader.PARTIAL:
                assert chunk.resume == size
                items.append((bad if bad >= 0 else offset, size, chunk.short if bad < 0 else False))
            elif bad >= 0:
                items.append((bad, size, False))
            return items


def check(data, fd, chance, largest):
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    expected = as_the_document_says(data, largest)
    assert as_our_reader_says(fd, len(data), chance, 40 if largest == SMALL else 4000) == expected


@pytest.mark.parametrize("largest", [SMALL, MAX_PAYLOAD_BYTES])
def test_damaged_segments_are_read_as_the_document_says(tmp_path, monkeypatch, largest):
    monkeypatch.setattr(reader, "MAX_PAYLOAD_BYTES", largest)
    monkeypatch.setattr(reader, "MAX_FRAME_BYTES", largest + 16)
    count = rounds(4 * BLOCK, 25 * BLOCK)
    fd = os.open(tmp_path / "segment", os.O_RDWR | os.O_CREAT)
    with watched():
        for block in blocks(count):
            for index in block:
                chance = generator(index)
                data = corpus.segment(chance, largest)
                if chance.random() < 0.9:
                    data = damaged(chance, data, corpus.SEGMENTS)
                bounded(check, index, data, fd, chance, largest, size=len(data))
    os.close(fd)
    print(f"seed {SEED}: {count} segments")
