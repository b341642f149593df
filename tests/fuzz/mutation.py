"""Bytes that were damaged at random, each reproducible by its seed and index alone.

Owns: how bytes are damaged, and the numbering. Leaves what is damaged to `corpus`, what has to hold to the tests.
"""

import os
import random

from campaign import SEED as CAMPAIGN_SEED

# `make test` plays the same inputs every time, `make faults` new ones; FLIGHTLOG_FAULT_SEED repeats those of a failure.
LONG = bool(os.environ.get("FLIGHTLOG_FAULT_ROUNDS") or os.environ.get("FLIGHTLOG_FAULT_SEED"))
SEED = CAMPAIGN_SEED if LONG else 1
FIRST = int(os.environ.get("FLIGHTLOG_FUZZ_FIRST", "0"))  # the number of the first input: to come to a failure at once
BLOCK = 1000  # inputs that share what a decoder remembers of those before

_NUMBERS = [
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    17,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x3FFFF,
    0x40000,
    0x40001,
    0xFFFFFF,
    0x7FFFFFFF,
    0x80000000,
]
_NUMBERS += [0xFFFFFFFF, 0xA7000000, 0xA7000010, 0xA7040000, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
_BYTES = b"\x00\x01\x0a\x0d\x09\x1b\x20\x22\x2c\x3a\x5b\x5c\x5d\x7b\x7d\x7f\x80\xa7\xc0\xed\xf4\xff"
_RUNS = b' |1a\t-=\\"[{.:\x1b;,e'
_TAG_STORMS = [
    b"\xa7",
    b"\x00\x00\x00\xa7",
    b"\x10\x00\x00\xa7",
    b"\x00\x00\x00\x00\x40\x00\x00\xa7",
    b"\xff\xff\x03\xa7",
]


def generator(index):
    """Return the source of chance of input *index*."""
    return random.Random(SEED << 32 | index)


def blocks(count):
    """Yield the inputs' numbers, `BLOCK` at a time."""
    begin = FIRST - FIRST % BLOCK
    for first in range(begin, begin + count, BLOCK):
        yield range(first, min(first + BLOCK, begin + count))


def _span(chance, data, longest=64):
    begin = chance.randrange(len(data) + 1)
    return begin, min(len(data), begin + 1 + int(longest * chance.random() ** 2))


def _flip(chance, data, _):
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(chance, data, _):
    if data:
        data[chance.randrange(len(data))] = chance.choice(_BYTES)


def _number(chance, data, _):
    size = chance.choice((1, 2, 3, 4, 8))
    if len(data) >= size:
        at = chance.randrange(len(data) - size + 1)
        data[at : at + size] = (chance.choice(_NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _insert(chance, data, _):
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.randrange(1, 24))


def _delete(chance, data, _):
    begin, end = _span(chance, data)
    del data[begin:end]


def _zero(chance, data, _):
    begin, end = _span(chance, data, 4096)
    data[begin:end] = bytes(end - begin)


def _double(chance, data, _):
    begin, end = _span(chance, data, 600)
    data[end:end] = data[begin:end]


def _move(chance, data, _):
    begin, end = _span(chance, data, 600)
    part = data[begin:end]
    del data[begin:end]
    at = chance.randrange(len(data) + 1)
    data[at:at] = part


def _splice(chance, data, others):
    other = chance.choice(others)
    begin, end = _span(chance, other, 600)
    at, until = _span(chance, data, 200)
    data[at:until] = other[begin:end]


def _cut(chance, data, _):
    del data[chance.randrange(len(data) + 1) :]


def _behead(chance, data, _):
    del data[: chance.randrange(len(data) + 1)]


def _run(chance, data, _):
    at = chance.randrange(len(data) + 1)
    data[at:at] = bytes(chance.choices(_RUNS, k=chance.randrange(1, 3))) * chance.randrange(2, 60)


def _storm(chance, data, _):
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.choice(_TAG_STORMS) * chance.randrange(1, 60)


_WAYS = [_flip, _flip, _flip, _set, _set, _number, _number, _insert, _delete, _zero, _double, _move, _splice, _cut]
_WAYS += [_behead, _storm, _run]
_TIMES = (1, 1, 1, 1, 2, 2, 3, 6)


def damaged(chance, data, others):
    """Return *data* damaged in one to six ways; *others* is what parts are taken from."""
    result = bytearray(data)
    for _ in range(chance.choice(_TIMES)):
        chance.choice(_WAYS)(chance, result, others)
    return bytes(result)
