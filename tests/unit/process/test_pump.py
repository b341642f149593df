"""Pump and echo in one process: marks, rotation, taking over, detours, without splice or sendfile."""

import errno
import os
import random

import pytest

from flightlog.journal import mark
from flightlog.journal.capture import CaptureWriter
from flightlog.process import descriptors, linux
from flightlog.process import pump as pumps
from flightlog.process.descriptors import Console
from flightlog.process.loop import Loop
from flightlog.process.page import BROKEN, ENDED, make_page


class FakeStream:
    """What `setup.Stream` is, on a console of the test's choice."""

    def __init__(self, folder, console_fd):
        self.name = "stdout"
        self.source, self.sink = linux.capture_pipe()
        self.console = Console([console_fd], os.fstat(self.source).st_dev)
        self.capture = CaptureWriter(str(folder), {"stream": "stdout"})
        self.capture.open()


class Bench:
    """A pump whose console is a file, and what came through."""

    def __init__(self, folder, console=None):
        self.path = folder / "console"
        self.folder = folder
        fd = console if console is not None else os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.stream = FakeStream(folder, fd)
        self.page = make_page()
        self.slot = self.page.slots[0]
        self.pump = pumps.Pump(self.stream, self.slot)

    def put(self, data):
        view = memoryview(data)
        while view:
            count = os.write(self.stream.sink, view[: 1 << 19])
            view = view[count:]
            self.pump.take()
            self.pump.give()

    def finish(self):
        os.close(self.stream.sink)
        for _ in range(100):
            if self.pump.ended:
                return
            self.pump.take()
            self.pump.give()
        raise AssertionError("the pump does not end")

    def shown(self):
        return self.path.read_bytes()

    def kept(self):
        return b"".join(p.read_bytes() for p in sorted(self.folder.glob("*.cap")))


def lines(seed, count=400):
    """A stream of lines, some marked, some broken: (as written by the command, as shown)."""
    rnd = random.Random(seed)
    raw, shown = [], []
    for n in range(count):
        text = b"line %d %s\n" % (n, bytes(rnd.randrange(32, 126) for _ in range(rnd.randrange(0, 200))))
        kind = rnd.randrange(4)
        if kind == 0:
            raw.append(mark.make("ab" * 16, n, text))
            raw.append(text)
        elif kind == 1:
            raw.append(b"\x1b[1m" + text)
            shown.append(b"\x1b[1m")
        else:
            raw.append(text)
        shown.append(text)
    return b"".join(raw), b"".join(shown)


def without_sendfile(monkeypatch):
    monkeypatch.setattr(linux, "sendfile", lambda *a: -errno.ENOSYS)


def without_splice(monkeypatch):
    monkeypatch.setattr(pumps, "_splice", None)


def as_it_is(monkeypatch):
    pass


@pytest.mark.parametrize("lacks", [as_it_is, without_sendfile, without_splice])
def test_whatever_the_pieces_the_console_gets_the_stream_less_its_marks(tmp_path, monkeypatch, lacks):
    lacks(monkeypatch)
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        raw, shown = lines(seed)
        bench = Bench(folder)
        bench.pump._rotate_at = bench.stream.capture.rotate_bytes = 5000
        rnd = random.Random(seed)
        position = 0
        while position < len(raw):
            step = rnd.choice((1, 7, 100, 5000))
            bench.put(raw[position : position + step])
            position += step
        bench.finish()
        assert bench.shown() == shown
        assert bench.kept() == raw
        assert bench.slot.state == ENDED
        assert bench.stream.capture.number > 3


@pytest.mark.parametrize("lacks", [as_it_is, without_sendfile])
def test_another_process_goes_on_from_page_and_files(tmp_path, monkeypatch, lacks):
    """A new pump takes over at many points, also inside marks and just after a segment began."""
    lacks(monkeypatch)
    raw, shown = lines(3, 300)
    bench = Bench(tmp_path)
    rnd = random.Random(5)
    position = 0
    while position < len(raw):
        bench.pump._rotate_at = bench.stream.capture.rotate_bytes = 3000
        bench.put(raw[position : position + 137])
        position += 137
        if rnd.random() < 0.5:
            bench.pump = pumps.Pump(bench.stream, bench.slot)  # the old one is dead: nothing of it is used
    bench.finish()
    assert bench.shown() == shown
    assert bench.kept() == raw


def test_a_take_over_right_after_a_segment_began(tmp_path):
    bench = Bench(tmp_path)
    bench.put(b"one\n")
    bench.stream.capture.rotate()  # and killed before it was noted
    bench.pump = pumps.Pump(bench.stream, bench.slot)
    assert bench.slot.number == 1 and bench.slot.offset == 0
    bench.put(b"two\n")
    bench.finish()
    assert (bench.shown(), bench.kept()) == (b"one\ntwo\n", b"one\ntwo\n")


def test_an_incomplete_mark_is_held_for_20_ms_and_then_shown(tmp_path):
    bench = Bench(tmp_path)
    bench.put(b"a\n\x1b_fl;00")
    assert bench.shown() == b"a\n"
    until = bench.pump.wake_at()
    assert until > 0.0
    bench.pump.tick(until - 0.001)
    assert bench.shown() == b"a\n"
    bench.pump.tick(until)
    bench.pump.give()
    assert bench.shown() == b"a\n\x1b_fl;00"
    assert bench.pump.wake_at() == 0.0


def failing(code):
    def splice(*args, **more):
        raise OSError(code, "no")

    return splice


def test_a_full_disk_takes_the_detour_and_comes_back(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    bench.put(b"kept 1\n")
    whole = pumps._splice
    monkeypatch.setattr(pumps, "_splice", failing(errno.ENOSPC))
    raw = mark.make("ab" * 16, 1, b"lost\n") + b"lost\n"
    bench.put(raw[:20])
    bench.put(raw[20:])
    assert bench.pump.lost == len(raw)
    monkeypatch.setattr(pumps, "_splice", whole)
    bench.pump._retry_at = 0.0
    bench.put(b"kept 2\n")
    bench.pump.set_goal()
    assert bench.pump.reached()
    bench.finish()
    assert bench.kept() == b"kept 1\nkept 2\n"
    assert bench.shown() == b"kept 1\nlost\nkept 2\n"


@pytest.mark.parametrize("lacks", [as_it_is, without_sendfile])
def test_no_mark_is_shown_where_the_capture_comes_and_goes(tmp_path, monkeypatch, lacks):
    """Marks across the beginnings and ends of detours, and order, also while the console takes nothing."""
    lacks(monkeypatch)
    whole = pumps._splice
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        raw, shown = lines(seed)
        bench = Bench(folder)
        rnd = random.Random(seed)
        position = 0
        give = bench.pump.give
        while position < len(raw):
            step = rnd.choice((1, 7, 100, 5000))
            full = rnd.random() < 0.5
            monkeypatch.setattr(pumps, "_splice", failing(errno.ENOSPC) if full else whole)
            monkeypatch.setattr(bench.pump, "give", give if rnd.random() < 0.7 else lambda: None)
            bench.pump._retry_at = 0.0
            bench.put(raw[position : position + step])
            position += step
        monkeypatch.setattr(bench.pump, "give", give)
        bench.finish()
        assert bench.shown() == shown
        assert 0 < bench.pump.lost < len(raw)


def test_a_limit_on_file_sizes_begins_new_segments(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    whole = pumps._splice

    def limited(source, fd, count, offset_dst, flags):
        if offset_dst >= 100_000:
            raise OSError(errno.EFBIG, "too big")
        return whole(source, fd, min(count, 100_000 - offset_dst), offset_dst=offset_dst, flags=flags)

    monkeypatch.setattr(pumps, "_splice", limited)
    data = os.urandom(450_000)
    bench.put(data)
    bench.finish()
    assert bench.shown() == bench.kept() == data
    assert bench.pump.lost == 0 and bench.stream.capture.number == 4


def test_no_mark_is_shown_where_a_limit_ends_a_segment(tmp_path, monkeypatch):
    raw, shown = lines(7, 3000)
    for limit in range(70_000, 70_400, 13):
        folder = tmp_path / str(limit)
        folder.mkdir()
        bench = Bench(folder)
        whole = pumps._splice

        def limited(source, fd, count, offset_dst, flags, limit=limit, whole=whole):
            if offset_dst >= limit:
                raise OSError(errno.EFBIG, "too big")
            return whole(source, fd, min(count, limit - offset_dst), offset_dst=offset_dst, flags=flags)

        monkeypatch.setattr(pumps, "_splice", limited)
        bench.put(raw)
        bench.finish()
        monkeypatch.setattr(pumps, "_splice", whole)
        assert bench.shown() == shown
        assert bench.kept() == raw


def test_a_vanished_reader_breaks_the_stream(tmp_path):
    source, sink = os.pipe()
    bench = Bench(tmp_path, sink)
    os.close(source)
    bench.put(b"x")
    assert bench.pump.ended and bench.slot.state == BROKEN
    with pytest.raises(BrokenPipeError):
        os.write(bench.stream.sink, b"y")


def test_a_console_that_refuses_costs_nobody_else(tmp_path):
    bench = Bench(tmp_path, os.open("/dev/full", os.O_WRONLY))
    bench.put(b"x" * 1000)
    bench.finish()
    assert bench.pump.echo.refused == 1000
    assert bench.kept() == b"x" * 1000


def test_a_console_that_may_block_is_given_little_at_a_time(tmp_path, monkeypatch):
    """Another user's pipe cannot be opened again: then we write only after poll(2), and what surely fits."""
    monkeypatch.setattr(descriptors, "_open_again", lambda number: number)
    source, sink = os.pipe()
    bench = Bench(tmp_path, sink)
    assert bench.stream.console.careful
    data = os.urandom(300_000)
    os.write(bench.stream.sink, data)
    os.close(bench.stream.sink)
    loop = Loop([bench.pump], [])
    os.set_blocking(source, False)
    got = b""
    while not bench.pump.ended:
        loop.turn(0.0)  # would hang here if it ever wrote more than the pipe takes
        try:
            got += os.read(source, 5000)
        except BlockingIOError:
            continue
    os.close(sink)
    os.set_blocking(source, True)
    while True:
        more = os.read(source, 65536)
        if not more:
            break
        got += more
    assert got == data
    os.close(source)


def test_a_full_console_stops_the_pump_before_the_capture_grows(tmp_path):
    source, sink = os.pipe()
    bench = Bench(tmp_path, sink)
    os.set_blocking(bench.stream.sink, False)
    written = 0
    try:
        while True:
            written += os.write(bench.stream.sink, b"x" * 65536)
            bench.pump.take()
    except BlockingIOError:
        pass
    assert not bench.pump.wants_input()
    assert bench.pump.end <= pumps.LAG_BYTES + pumps.BUDGET_BYTES + pumps.TAKE_BYTES + 65536
    os.close(source)


def test_segments_that_become_shorter_than_the_current_one_keep_nothing_waiting(tmp_path):
    """Seen: a command that had written half a megabyte before the quota was heard of waited for ever."""
    bench = Bench(tmp_path)
    bench.put(b"x" * 500_000)
    bench.pump.limit_segment(65536)
    assert bench.pump.wants_input()
    bench.put(b"the end\n")
    bench.finish()
    assert bench.kept() == bench.shown() == b"x" * 500_000 + b"the end\n"
    assert len(list(tmp_path.glob("*.cap"))) == 2
