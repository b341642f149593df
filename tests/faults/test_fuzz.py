"""Mutated bytes for everything that decodes what lies in the spool: no crash, nothing raised but what is promised, bounded time and memory."""

import json
import os
import random
import time

import pytest
from campaign import LONG, SEED
from oracle import peak_bytes
from spoiled import Spoiled

from flightlog.agent import decode, lines
from flightlog.agent.copytext import escape_json
from flightlog.errors import PoisonRecord
from flightlog.journal import reader
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of
from flightlog.journal.mark import find_copies

INPUTS = 1_000_000 if LONG else 20_000
WRITER = "00112233445566778899aabbccddeeff"
SALT = salt_of(WRITER)
TOKENS = [
    *[
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"\\udc00",
        b"\xa7",
        b"\x00",
        b"\xff",
        b"\n",
        b"\r\n",
        b"\t",
        b"\x1b[",
        b"\x1b_fl;",
    ],
    *[
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"-1",
        b"18446744073709551616",
        b"null",
        b"true",
        b'"k"',
        b'"log"',
        b'"event"',
        b'"head"',
        b"[" * 200,
        b'{"a":' * 200,
    ],
    *[
        b"Traceback (most recent call last):",
        b"  File",
        b"ERROR",
        b"2026-11-25 10:00:00",
        b'{"message":',
        b'"level":',
        b"\xe2\x80\xa8",
        b"\xc2",
        b"\xed\xa0\x80",
    ],
]
SECONDS = 20.0  # for one input: a hang, not a speed
MEMORY = 64 << 20


def records():
    """Payloads as our writers make them."""
    yield from (
        encode(record)
        for record in (
            {
                "k": "log",
                "t": 1,
                "lv": 20,
                "lg": "a.b",
                "m": "text é \0 \ud800",
                "r": "0" * 26,
                "x": {"n": 1, "deep": [[{"a": None}]]},
                "th": "MainThread",
                "f": "f",
                "ln": 3,
                "fn": "g",
            },
            {
                "k": "log",
                "t": 2,
                "lv": 40,
                "m": "x" * 300,
                "r": "0" * 26,
                "e": {
                    "type": "E",
                    "module": "m",
                    "message": "w",
                    "frames": [{"file": "f", "line": 1, "func": "g", "code": "c"}],
                    "cause": None,
                    "context": None,
                },
            },
            {
                "k": "event",
                "t": 3,
                "ev": "run.started",
                "r": "0" * 26,
                "x": {"pipeline": "p", "command": ["a"], "pid": 1},
            },
            {"k": "drops", "t": 4, "dropped": {"20/pressure": 3}},
        )
    )


CAPTURED = [
    b"plain\n2026-11-25 10:00:00,123 - root - ERROR - it broke\n[WARNING] careful\n",
    b'{"message":"m","level":"error","n":1}\nTraceback (most recent call last):\n  File "x", line 1, in f\n    g()\nValueError: w\nafter\n',
    b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07\xff\xfe\n\x1b_fl;" + WRITER.encode() + b".7;5;00000000\x1b\\hello\n",
    b"x" * 70000 + b"\n" + b"\n" * 50,
]


def mutated(choose, seeds):
    """Change one of *seeds* a few times: bits, pieces moved, cut, doubled, taken from another one, tokens put in."""
    data = bytearray(choose.choice(seeds))
    for _ in range(choose.choice((1, 1, 2, 3, 8))):
        at = choose.randrange(len(data) + 1)
        what = choose.randrange(7)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << choose.randrange(8)
        elif what == 1:
            data[at:at] = choose.choice(TOKENS)
        elif what == 2:
            del data[at : at + choose.choice((1, 4, 16, 100))]
        elif what == 3:
            data[at:at] = data[at : at + choose.choice((1, 16, 100))]
        elif what == 4:
            other = choose.choice(seeds)
            begin = choose.randrange(len(other) + 1)
            data[at : at + choose.choice((0, 16, 100))] = other[begin : begin + choose.choice((16, 100, 1000))]
        elif what == 5:
            data[at : at + 4] = choose.randbytes(4)
        else:
            data[at : at + choose.choice((1, 8))] = choose.choice(TOKENS)
    return bytes(data)


def decode_payload(data):
    """A payload becomes a record, or is said to be none; what became of it can go into COPY lines."""
    try:
        record = decode.decode(data)
    except PoisonRecord:
        return
    for text in (
        record.k,
        record.lg,
        record.m,
        record.r,
        record.s,
        record.th,
        record.f,
        record.fn,
        record.src,
        record.ev,
    ):
        if text is not None:
            assert type(text) is str and "\0" not in text
            text.encode()
    assert all(number is None or type(number) is int for number in (record.t, record.lv, record.ln))
    for raw in (record.x, record.e):
        try:
            text = escape_json(raw)
        except PoisonRecord:
            continue
        assert "\n" not in text and "\t" not in text and "\\u0000" not in text.replace("\\\\", "")


def split_lines(data):
    """Each byte is in one line at most, lines are bounded, and what they say can be stored."""
    for final in (True, False):
        found, used = lines.split(data, final)
        assert 0 <= used <= len(data)
        assert sum(len(line.raw) for line in found) <= len(data)
        assert all(a.end <= b.end for a, b in zip(found, found[1:]))
        if final:
            assert used == len(data)
    for line in found:
        level, message, fields = lines.interpret(line.raw)
        assert type(level) is int and "\0" not in message
        message.encode()
        if fields is not None:
            decode.json_text(fields)


def find_marks(data):
    """Copies lie in a row, within the bytes."""
    copies, certain = find_copies(data, True)
    at = 0
    for begin, _, end, _ in copies:
        assert at <= begin <= end <= len(data)
        at = end
    assert certain <= len(data)


class Segment:
    """Reads mutated bytes as a file of frames: everything is passed over once, what is valid is one of the original frames."""

    def __init__(self, folder):
        self.path = os.path.join(str(folder), "mutated.seg")
        whole = Spoiled("z", 4)
        self.payloads = {*records(), b"{}", b""}
        self.seeds = [b"".join(frame(payload, SALT, n) for n, payload in enumerate(self.payloads))]
        self.seeds += [bytes(whole.segments[0]), self.seeds[0] * 3]

    def __call__(self, data):
        with open(self.path, "wb") as file:
            file.write(data)
        position = 0
        for offset, end, n, payload in reader.read_segment(self.path, SALT):
            assert offset == position and end > offset, "bytes were left out or read twice"
            position = end
            if payload is not None:
                assert payload in self.payloads, "bytes that nobody wrote were taken for a record"
                assert 0 <= n < 1 << 32
        assert position == len(data)


def shares(folder):
    """(what decodes, from what, how large a part of the inputs)."""
    segment = Segment(folder)
    return [
        (decode_payload, list(records()), 0.5),
        (split_lines, CAPTURED[:3], 0.2),
        (find_marks, CAPTURED[:3], 0.15),
        (segment, segment.seeds, 0.1495),
        (split_lines, CAPTURED, 0.0005),
    ]


def test_47_fuzz_decoder(tally, tmp_path):
    """Mutated payloads, captures, marks and segments."""
    slowest = 0.0
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    usual = peak_bytes("self")
    for number, (target, seeds, share) in enumerate(shares(tmp_path)):
        choose = random.Random(SEED + number)
        for _ in range(max(5, int(INPUTS * share))):
            data = mutated(choose, seeds)
            before = time.monotonic()
            try:
                target(data)
            except Exception as problem:
                kept = os.path.join(str(tmp_path), "failing")
                with open(kept, "wb") as file:
                    file.write(data)
                raise AssertionError(
                    f"seed {SEED}: {target}: {type(problem).__name__}: {problem}; input kept in {kept}: {data[:300]!r}"
                ) from problem
            slowest = max(slowest, time.monotonic() - before)
            tally.add(rounds=1)
    more = peak_bytes("self") - usual
    assert slowest < SECONDS, f"seed {SEED}: one input took {slowest:.1f} s"
    assert more < MEMORY, f"seed {SEED}: {more >> 20} MiB"
    tally.notes.append(f"slowest input {slowest * 1000:.0f} ms, {more >> 20} MiB more memory")


# What is made to take long: an input as large as its reader ever gets it.
SCALE = 16 if LONG else 2
HOSTILE = {
    "brackets": (decode_payload, b"[" * 262144),
    "objects": (decode_payload, b'{"a":' * 52428),
    "escapes": (decode_payload, b'{"k":"log","m":"' + b"\\ud800" * 43000 + b'"}'),
    "digits": (decode_payload, b'{"k":"log","x":{"a":' + b"9" * 262000 + b"}}"),
    "keys": (decode_payload, b"{" + b",".join(b'"%d":"\\u0000"' % n for n in range(12000)) + b"}"),
    "newlines": (split_lines, b"\n" * (SCALE << 16)),
    "tracebacks": (split_lines, b"Traceback (most recent call last):\n" * 30000),
    "indented": (split_lines, b"Traceback (most recent call last):\n" + b"  x\n" * (SCALE * 16000)),
    "one_line": (split_lines, b"x" * (1 << 20)),
    "sequences": (split_lines, b"\x1b[" * (SCALE << 15)),
    "strings": (split_lines, b"\x1b]" * (SCALE << 15)),
    "levels": (split_lines, b"[1 2 3 4 5 6 7 8 9 " * 50000),
    "marks": (find_marks, b"\x1b_fl;" * 200000),
    "believed_marks": (find_marks, (b"\x1b_fl;" + WRITER.encode() + b".1;1048576;00000000\x1b\\") * 15000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_input_that_is_made_to_take_long_does_not(name):
    target, data = HOSTILE[name]
    before = time.process_time()
    target(data)
    assert time.process_time() - before < SECONDS, name


@pytest.mark.parametrize("piece", [b"\xa7", b"\x00\x00\x00\xa7", b"\x10\x00\x00\xa7" * 2, frame(b"{}", SALT ^ 1, 7)])
def test_a_segment_of_false_tags_is_passed_in_bounded_time(tmp_path, piece):
    path = tmp_path / "tags.seg"
    path.write_bytes(frame(b"{}", SALT, 0) + piece * ((SCALE << 19) // len(piece)) + frame(b"{}", SALT, 1))
    before = time.process_time()
    found = [payload for *_, payload in reader.read_segment(str(path), SALT)]
    assert time.process_time() - before < SECONDS
    assert found.count(b"{}") == 2


def test_the_fuzzer_would_notice(tmp_path, monkeypatch):
    """Take a check away from the reader, and the first thousands of inputs find it."""
    segment = Segment(tmp_path)
    monkeypatch.setattr(reader, "crc32", lambda *_: 0)
    monkeypatch.setattr(reader, "_valid", lambda data, position, salt: 0)
    choose = random.Random(1)
    walk = reader.walk

    def trusting(data, salt, base, limit):
        frames, position = walk(data, salt, base, limit)
        return frames or ([(base + 20, 1, bytes(data[16:20]))] if len(data) >= 20 else []), position or min(
            len(data), 20
        )

    monkeypatch.setattr(reader, "walk", trusting)
    with pytest.raises(AssertionError):
        for _ in range(5000):
            segment(mutated(choose, segment.seeds))
    assert json.loads(next(records()))["k"] == "log"
