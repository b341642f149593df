"""The raw layer under a captured stream: what it lets through, takes out, and says it has written."""

import fcntl
import io
import os

import pytest

from flightlog.journal import mark
from flightlog.sdk import pipes, streams

WRITER = "0123456789abcdef" * 2
OTHER = "f" * 32


@pytest.fixture
def pipe(monkeypatch):
    """(read end, raw layer over the write end, filtering); the pipe is a capture unless `elsewhere` is called."""
    source, sink = os.pipe()
    status = os.fstat(sink)
    monkeypatch.setattr(pipes, "_pipes", frozenset({(status.st_dev, status.st_ino)}))
    monkeypatch.setattr(streams, "_marking", {WRITER.encode()})
    raw = io.FileIO(sink, "wb")
    monkeypatch.setattr(streams, "raws", {raw})
    streams.filtering(raw).add(b"one that stays under way")
    yield source, raw
    raw.close()
    os.close(source)


def elsewhere(raw, monkeypatch):
    """From now on *raw* does not lead to a capture pipe."""
    monkeypatch.setattr(pipes, "_pipes", frozenset())
    monkeypatch.setattr(streams, "_filters", {})
    del raw.write
    streams.filtering(raw).add(b"one that stays under way")


def marked(text, writer=WRITER, claimed=None):
    return mark.make(writer, 7, text if claimed is None else claimed) + text


def test_true_marks_reach_the_capture_and_false_ones_of_ours_do_not(pipe):
    source, raw = pipe
    true, false, foreign = marked(b"one\n"), marked(b"two\r\n", claimed=b"two\n"), marked(b"3\n", OTHER, b"three\n")
    data = b"raw" + true + false + foreign + true
    assert raw.write(data) == len(data)
    assert os.read(source, 4096) == b"raw" + true + b"two\r\n" + foreign + true


def test_mark_whose_text_is_not_whole_is_let_through(pipe):
    source, raw = pipe
    data = marked(b"a long text\n")[:-5]
    assert raw.write(memoryview(data)) == len(data)
    assert os.read(source, 4096) == data


def test_elsewhere_all_of_our_marks_are_taken_out_and_nobody_elses(pipe, monkeypatch):
    source, raw = pipe
    elsewhere(raw, monkeypatch)
    foreign = marked(b"x\n", OTHER)
    data = marked(b"one\n") + foreign + b"rest" + marked(b"")
    assert raw.write(data) == len(data)
    assert os.read(source, 4096) == b"one\n" + foreign + b"rest"


@pytest.mark.parametrize("captured", [True, False])
def test_pipe_that_is_full_loses_and_doubles_nothing(pipe, monkeypatch, captured):
    source, raw = pipe
    if not captured:
        elsewhere(raw, monkeypatch)
    fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(raw.fileno(), False)
    texts = [b"%d " % i * 700 + b"\n" for i in range(20)]
    rest = b"".join([marked(text) if i % 3 else marked(text, claimed=b"other") for i, text in enumerate(texts)])
    received, refused = b"", 0
    while rest:
        count = raw.write(rest)
        if count is None:
            refused += 1
            received += os.read(source, 1000)
        else:
            rest = rest[count:]
    received += os.read(source, 1 << 20)
    assert refused > 10
    expected = b"".join([marked(text) if captured and i % 3 else text for i, text in enumerate(texts)])
    # A mark may come through whose text was cut by the full pipe: then it could not be looked at.
    assert mark_free(received) == mark_free(expected)
    if not captured:
        assert received == expected


def mark_free(data):
    return b"".join([data[start:stop] for start, stop in mark.spans(data, {WRITER.encode()}, False, set())])


def test_only_pythons_own_streams_are_markable(pipe):
    import codecs

    raw = pipe[1]
    buffer = io.BufferedWriter(raw)
    text = io.TextIOWrapper(buffer, write_through=True)
    assert [streams.markable(stream) for stream in (raw, buffer, text)] == [True] * 3

    class Tee:
        def __getattr__(self, name):
            return getattr(text, name)

    class Mine(io.TextIOWrapper):
        pass

    mine = Mine(buffer)
    for stream in (Tee(), codecs.getwriter("latin-1")(buffer), mine, io.StringIO(), None, object()):
        assert not streams.markable(stream)
    mine.detach()
    text.detach()
    buffer.detach()


def test_the_filter_is_there_only_while_a_mark_is_under_way(pipe, monkeypatch):
    source, raw = pipe
    monkeypatch.setattr(streams, "_filters", {})
    del raw.write
    text = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    text.write(streams.marked(text, "one\n", (WRITER, 7)))
    text.write(streams.marked(text, "two\n", (WRITER, 8)))
    assert "write" in raw.__dict__
    text.flush()
    assert "write" not in raw.__dict__
    assert os.read(source, 4096) == marked(b"one\n") + mark.make(WRITER, 8, b"two\n") + b"two\n"
    text.detach().detach()


def test_of_a_text_longer_than_a_record_the_beginning_is_marked(pipe):
    _, raw = pipe
    text = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    long = "\u00e9" * 1_100_000
    parts = mark.Splitter().feed(streams.marked(text, long, (WRITER, 7)).encode())
    assert [(bool(reference), len(data)) for reference, data in parts] == [
        (True, 2 * 65536),
        (False, 2 * (1_100_000 - 65536)),
    ]
    text.detach()
