"""Shapes made to cost the most: the work on them is counted, and does not grow faster than they do."""

import os
import zlib

import pytest

from flightlog.agent import lines, step
from flightlog.agent.file_rows import FileGathering
from flightlog.agent.journal_tail import JournalTail
from flightlog.agent.sink import Position
from flightlog.agent.spool_scan import look
from flightlog.agent.step import Step
from flightlog.journal import mark, reader
from flightlog.journal.format import frame, segment_name
from fuzz import corpus

GOOD = [frame(b'{"k":"log","m":"%d"}' % n, corpus.SALT, n) for n in range(300)]
LONG = b"\x00\x00\x00\x00\x00\x00\x03\xa7"  # looks like the head of a frame of 196,608 bytes, at every eighth byte


def damaged(number):
    whole = bytearray(GOOD[number])
    whole[-1] ^= 1
    return bytes(whole)


class Counted:
    """crc32 that counts what it goes over."""

    def __init__(self):
        self.bytes = 0

    def __call__(self, data, value=0):
        self.bytes += len(data)
        return zlib.crc32(data, value)


@pytest.fixture
def counted(monkeypatch):
    one = Counted()
    monkeypatch.setattr(reader, "crc32", one)
    monkeypatch.setattr(mark, "crc32", one)
    return one


def read_by_an_agent(tmp_path, data):
    """Let a tail read a segment of a dead writer to its end; return the step."""
    spool = tmp_path / "spool"
    spool.mkdir(exist_ok=True)
    (spool / segment_name(corpus.WRITER, 0)).write_bytes(data)
    tail = JournalTail(look([str(spool)])[corpus.WRITER], Position(), str(tmp_path))
    tail.look_alive(look([str(spool)])[corpus.WRITER])
    files = look([str(spool)])[corpus.WRITER]
    into, taken = FileGathering("node", False, 1 << 20, 1 << 30), Step(corpus.WRITER, Position())
    while not taken.closed:
        assert tail.read(files, into, taken)
    taken.finish()
    return taken


def items(tmp_path, data):
    path = tmp_path / "x.seg"
    path.write_bytes(data)
    return list(reader.read_segment(str(path), corpus.SALT))


@pytest.mark.parametrize("storm", [1_000, 50_000, 400_000])
def test_what_looks_like_long_frames_hides_none_behind_it(tmp_path, counted, storm):
    gap = bytes(reader.LEAST_PASSED_BYTES)
    data = GOOD[1] + LONG * (storm // 8) + gap + GOOD[2] + GOOD[3] + LONG * 1000
    frames = [item[2] for item in items(tmp_path, data) if item[3] is not None]
    assert frames == [1, 2, 3]
    assert counted.bytes <= (3 + len(data) // reader.LEAST_PASSED_BYTES) * 2 * reader.RESYNC_BUDGET_BYTES
    taken = read_by_an_agent(tmp_path, data)
    assert (taken.logs, taken.torn + taken.corrupt > 0) == (3, True)


def test_long_damage_is_one_damage(tmp_path):
    for hole in (bytes(3 << 20), LONG * (1 << 16), b"\xa7" * (600 << 10)):
        taken = read_by_an_agent(tmp_path, GOOD[1] + hole + GOOD[5])
        assert (taken.logs, taken.corrupt) == (2, 3)


def test_every_other_frame_may_be_damaged(tmp_path, monkeypatch):
    looks = []

    class Os:
        def __getattr__(self, name):
            return getattr(os, name)

        def lstat(self, path):
            looks.append(path)
            return os.lstat(path)

    monkeypatch.setattr(step, "os", Os())
    monkeypatch.setattr(step, "MAX_QUARANTINE_FILES", 100)
    count = 300
    taken = read_by_an_agent(tmp_path, b"".join(damaged(n) if n % 2 else GOOD[n] for n in range(count)))
    assert (taken.logs, taken.corrupt) == (count // 2, count // 2)
    assert len(os.listdir(tmp_path / "quarantine")) == 100
    assert len(looks) <= 100**2


@pytest.mark.parametrize("claim", [4_000, 9_999, 1_000_000])
def test_marks_that_lie_cost_a_bounded_number_of_checksums(counted, claim):
    lie = b"\x1b_fl;%s.1;%d;00000000\x1b\\" % (corpus.WRITER.encode(), claim)
    true = mark.make(corpus.WRITER, 2, b"copy\n") + b"copy\n"
    data = lie * ((2 << 20) // len(lie)) + b"\n" + true
    found, used = lines.split(data, True)
    assert used == len(data)
    assert b"".join(line.raw for line in found) == data[: -len(true) - 1]
    most = mark.MAX_TEXT_BYTES + (mark.DOUBT + 1) * len(data) + mark.ALWAYS_BYTES * (len(data) // len(lie))
    assert counted.bytes <= most


@pytest.mark.parametrize("piece", [b"|", b"| ", b" |", b"|a", b"||||a ", b"[1|", b"1 ", b"(", b"<|"])
@pytest.mark.parametrize("first", [b"1", b"1 ", b"[1", b"2026-11-27 10:00:00 "])
def test_a_row_of_columns_is_read_at_once(first, piece):
    assert lines.interpret(first + piece * 20_000)[0] == 20
