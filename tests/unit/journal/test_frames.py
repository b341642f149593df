"""Segments as files: what a reader finds after a crash at every byte, after damage, and among hostile files."""

import glob
import os
import threading

import pytest

from flightlog.errors import SegmentError
from flightlog.journal import birth, reader
from flightlog.journal import writer as writer_module
from flightlog.journal.format import frame, parse_name, salt_of
from flightlog.journal.writer import Writer

WRITER = "00112233445566778899aabbccddeeff"
SALT = salt_of(WRITER)


def build(payloads):
    return b"".join(frame(payload, SALT, n) for n, payload in enumerate(payloads))


def found(path):
    items = list(reader.read_segment(str(path), SALT))
    return [i[3] for i in items if i[3] is not None], [(i[0], i[1]) for i in items if i[3] is None]


def test_reader_finds_exactly_the_whole_frames_when_cut_at_every_byte(tmp_path):
    payloads = [b'{"n":%d,"x":"%s"}' % (i, b"y" * i) for i in range(20)]
    ends, data = [], b""
    for n, payload in enumerate(payloads):
        data += frame(payload, SALT, n)
        ends.append(len(data))
    path = tmp_path / (WRITER + ".000000.seg")
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(1 for end in ends if end <= cut)
        records, damage = found(path)
        assert records == payloads[:whole]
        assert bool(damage) == (cut not in [0, *ends])


def test_one_flipped_byte_costs_one_record_and_is_declared(tmp_path):
    payloads = [b'{"n":%d}' % i for i in range(10)]
    data = build(payloads)
    ends = [len(build(payloads[: i + 1])) for i in range(10)]
    path = tmp_path / "x.seg"
    for position in range(len(data) - len(frame(payloads[-1], SALT, 9))):
        in_frame = position - max(e for e in [0, *ends] if e <= position)
        if 12 <= in_frame < 16:
            continue  # the upper half of n is not covered by the checksum: it changes no record
        broken = bytearray(data)
        broken[position] ^= 0x10
        path.write_bytes(bytes(broken))
        records, damage = found(path)
        assert len(damage) == 1
        assert len(records) == 9
        assert all(record in payloads for record in records)


def test_frame_of_another_writer_inside_a_message_is_not_believed(tmp_path):
    foreign = frame(b'{"forged":1}', salt_of("ff" * 16), 3)
    path = tmp_path / "x.seg"
    path.write_bytes(frame(b"a", SALT, 0) + foreign + frame(b"b", SALT, 1))
    records, damage = found(path)
    assert records == [b"a", b"b"]
    assert len(damage) == 1


def test_reader_refuses_what_is_not_a_file_of_its_own(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "target").write_bytes(b"x")
    os.symlink(tmp_path / "target", tmp_path / "link")
    os.link(tmp_path / "target", tmp_path / "hard")
    for name, error in (("fifo", SegmentError), ("link", OSError), ("hard", SegmentError)):
        with pytest.raises(error):
            reader.open_segment(str(tmp_path / name))


@pytest.mark.parametrize(
    "name", ["", "x", WRITER, WRITER + ".seg", WRITER + ".1.seg", WRITER.upper() + ".000001.seg", "../x.seg"]
)
def test_foreign_names_are_not_ours(name):
    assert parse_name(name) is None


@pytest.fixture(params=["alone", "with another thread"])
def company(request):
    """The writer calls os.write while its thread is alone, and write(2) by ctypes while it is not (ADR 0009)."""
    if request.param == "alone":
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.parametrize("which", ["os.write", "ctypes"])
def test_the_faster_call_is_made_while_it_may_be(tmp_path, monkeypatch, which):
    calls = []
    monkeypatch.setattr(writer_module, "_companions", lambda: int(which == "ctypes"))
    writer = Writer(str(tmp_path))
    real = writer._state.write_alone
    writer._state.write_alone = lambda fd, data: calls.append("os.write") or real(fd, data)
    writer._state.write = lambda fd, data, size: calls.append("ctypes") or birth.plain_write(fd, data, size)
    assert [writer.append(b"{}"), writer.append(b"{}")] == [1, 2]
    assert calls[-1] == which
    writer.close()


def test_writer_rotates_and_nothing_is_between_segments(tmp_path, company):
    writer = Writer(str(tmp_path), rotate_bytes=20_000)
    numbers = [writer.append(b'{"i":%d}' % i) for i in range(5000)]
    assert numbers == list(range(1, 5001))
    files = sorted(glob.glob(str(tmp_path / "*.seg")))
    assert len(files) > 1
    read = [item[3] for name in files for item in list(reader.read_segment(name, salt_of(writer.writer_id)))[1:]]
    assert read == [b'{"i":%d}' % i for i in range(5000)]
    writer.close()


def test_nothing_exists_before_the_first_record_and_drops_are_counted(tmp_path, company):
    spool = tmp_path / "spool" / "1"
    writer = Writer(str(spool))
    assert not spool.exists()
    (tmp_path / "spool").write_text("a file where the directory should be")
    assert writer.append(b"{}", 30) == 0
    assert writer.dropped == {"30/unwritable": 1}


def test_forked_child_has_a_writer_of_its_own(tmp_path, company):
    writer = Writer(str(tmp_path))
    assert writer.append(b'{"from":"parent"}')
    parent = writer.writer_id
    pid = os.fork()
    if pid == 0:
        ok = writer.append(b'{"from":"child"}') and writer.writer_id != parent
        os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert writer.append(b'{"from":"parent"}') == 2
    assert writer.writer_id == parent
    assert len(glob.glob(str(tmp_path / "*.seg"))) == 2
    writer.close()


def test_writer_takes_a_fresh_id_long_before_its_numbers_outgrow_the_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr("flightlog.journal.writer.LAST_NUMBER", 256)
    writer = Writer(str(tmp_path))
    before = writer.writer_id
    assert all(writer.append(b'{"i":%d}' % i) for i in range(700))
    assert writer.writer_id != before
    seen = []
    for path in sorted(glob.glob(str(tmp_path / "*.seg")), key=os.path.getmtime):
        seen += [item[3] for item in reader.read_segment(path, salt_of(os.path.basename(path)[:32]))][1:]
    assert sorted(seen) == sorted(b'{"i":%d}' % i for i in range(700))


def test_large_records_end_a_segment_at_once(tmp_path, company):
    writer = Writer(str(tmp_path), rotate_bytes=100_000)
    for _ in range(8):
        assert writer.append(b'{"x":"%s"}' % (b"y" * 60_000))
    sizes = [os.path.getsize(path) for path in glob.glob(str(tmp_path / "*.seg"))]
    assert len(sizes) >= 4
    assert max(sizes) < 200_000
