"""The directory of text logs: rotation, backups, budget, what other people do to the files, and what a crash leaves behind."""

import gzip
import os
import shutil
import stat
import time

import pytest

from flightlog.agent import file_backups, file_sink
from flightlog.agent.file_positions import NAME, UNFINISHED, load
from flightlog.agent.file_sink import FileSink, FileWish
from flightlog.agent.sink import Position
from flightlog.errors import SinkMisconfigured

W = "ab" * 16


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "logs")


def opened(directory, **wish):
    sink = FileSink(FileWish(directory, **wish))
    sink.open()
    return sink


def visible(directory):
    return sorted(name for name in os.listdir(directory) if not name.startswith("."))


def content(directory, name="orders.log"):
    with open(os.path.join(directory, name), "rb") as file:
        return file.read()


def everything(directory):
    """All lines of `orders`, the oldest first, whatever they are in."""
    text = b""
    for name in [*(n for n in visible(directory) if n != "orders.log"), "orders.log"]:
        data = content(directory, name)
        text += gzip.decompress(data) if name.endswith(".gz") else data
    return text.decode().splitlines()


def mode(directory, name):
    return stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)


def put(sink, *lines, pipeline="orders", offset=1):
    sink.write({pipeline: [line + "\n" for line in lines]}, {W: Position(0, offset)})


def test_lines_and_positions_are_there_together_with_their_modes(directory):
    old = os.umask(0)
    try:
        sink = opened(directory)
        put(sink, "a", "b", offset=10)
    finally:
        os.umask(old)
    assert content(directory) == b"a\nb\n"
    assert load(directory).writers == {W: Position(0, 10)}
    assert [mode(directory, name) for name in (".", "orders.log", NAME)] == [0o750, 0o640, 0o600]
    sink.close()
    sink = opened(directory)
    assert not sink.fresh and sink.positions.writers == {W: Position(0, 10)}
    put(sink, "c", offset=20)
    assert content(directory) == b"a\nb\nc\n"


def test_a_restrictive_umask_changes_nothing(directory):
    old = os.umask(0o777)
    try:
        put(opened(directory), "a")
    finally:
        os.umask(old)
    assert [mode(directory, name) for name in (".", "orders.log")] == [0o750, 0o640]


def test_what_was_not_acknowledged_is_cut_off(directory):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    with open(os.path.join(directory, "orders.log"), "ab") as file:
        file.write(b"half a bat")
    opened(directory)
    assert content(directory) == b"a\n"


def test_it_is_cut_off_under_another_name_as_well(directory):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    with open(os.path.join(directory, "orders.log"), "ab") as file:
        file.write(b"half a bat")
    os.rename(os.path.join(directory, "orders.log"), os.path.join(directory, "orders.log.1"))
    sink = opened(directory)
    put(sink, "b")
    assert content(directory, "orders.log.1") == b"a\n" and content(directory) == b"b\n"


def test_a_foreign_file_with_the_same_inode_is_not_cut(directory):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    with open(os.path.join(directory, "orders.log"), "r+b") as file:  # as after removal, and reuse of the inode
        file.write(b"somebody else's text\n")
    sink = opened(directory)
    put(sink, "b")
    assert content(directory) == b"somebody else's text\nb\n"


def test_two_agents_never_write_to_one_directory(directory):
    first = opened(directory)
    with pytest.raises(SinkMisconfigured) as caught:
        opened(directory)
    assert directory in caught.value.message and caught.value.hint
    first.close()
    opened(directory)


@pytest.mark.parametrize("damage", [b"", b"{}\n00000000\n", b"\0" * 100, b"x"])
def test_positions_that_cannot_be_believed_stop_it_with_a_remedy(directory, damage):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    with open(os.path.join(directory, NAME), "wb") as file:
        file.write(damage)
    with pytest.raises(SinkMisconfigured) as caught:
        opened(directory)
    assert NAME in caught.value.message and f"mv {os.path.join(directory, NAME)}" in caught.value.hint


def test_one_flipped_bit_in_the_positions_is_found(directory):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    data = bytearray(content(directory, NAME))
    for index in range(0, len(data) - 1, 7):
        damaged = bytearray(data)
        damaged[index] ^= 4
        with open(os.path.join(directory, NAME), "wb") as file:
            file.write(damaged)
        with pytest.raises(SinkMisconfigured):
            load(directory)


def test_a_newer_versions_positions_are_left_alone(directory):
    import zlib

    os.mkdir(directory)
    body = b'{"v":2}'
    with open(os.path.join(directory, NAME), "wb") as file:
        file.write(b"%s\n%08x\n" % (body, zlib.crc32(body)))
    with pytest.raises(SinkMisconfigured) as caught:
        opened(directory)
    assert "newer" in caught.value.message


def test_rotation_by_size_keeps_the_newest_backups_and_every_line_once(directory):
    sink = opened(directory, max_bytes=100, backups=3)
    for number in range(40):
        put(sink, f"line {number:04d} " + "x" * 15)
    names = visible(directory)
    assert len(names) == 4 and names[0] == "orders.log"
    assert all(len(content(directory, name)) <= 100 for name in names)
    lines = everything(directory)
    first = int(lines[0].split()[1])
    assert lines == [f"line {number:04d} " + "x" * 15 for number in range(first, 40)]
    assert mode(directory, names[1]) == 0o640


def test_rotated_files_of_an_earlier_time_are_never_written_over(directory):
    sink = opened(directory, max_bytes=60, backups=100)
    for number in range(6):
        put(sink, f"line {number:04d} " + "x" * 15)
    sink.close()
    os.rename(os.path.join(directory, NAME), os.path.join(directory, NAME + ".bad"))  # as the hint says
    sink = opened(directory, max_bytes=60, backups=100)
    for number in range(6, 12):
        put(sink, f"line {number:04d} " + "x" * 15)
    assert everything(directory) == [f"line {number:04d} " + "x" * 15 for number in range(12)]
    with open(os.path.join(directory, f"orders.log.{sink.positions.logs['orders.log'].next:06d}"), "wb") as file:
        file.write(b"somebody's\n")  # appears while we run
    for number in range(12, 18):
        put(sink, f"line {number:04d} " + "x" * 15)
    lines = everything(directory)
    assert lines.count("somebody's") == 1 and len(lines) == 19


def test_logs_of_an_earlier_time_count_in_the_budget(directory):
    os.mkdir(directory)
    for number in range(3):
        with open(os.path.join(directory, f"p{number}.log"), "wb") as file:
            file.write(b"x" * (5 << 20))
    sink = opened(directory, total=16 << 20, max_bytes=1 << 30)
    for number in range(3):
        put(sink, *["y" * 999] * 2000, pipeline=f"p{number}")
    assert total(directory) <= 16 << 20


def test_no_backups_means_none(directory):
    sink = opened(directory, max_bytes=50, backups=0)
    for number in range(20):
        put(sink, f"line {number:04d} " + "x" * 15)
    assert visible(directory) == ["orders.log"]


def test_one_batch_longer_than_a_file_goes_into_one_file(directory):
    sink = opened(directory, max_bytes=50)
    put(sink, *["x" * 30] * 5)
    put(sink, "y")
    assert everything(directory) == ["x" * 30] * 5 + ["y"]


def test_rotation_by_day(directory, monkeypatch):
    sink = opened(directory, when="day")
    put(sink, "a")
    put(sink, "b")
    monkeypatch.setattr(file_sink.time, "time", lambda now=time.time: now() + 86400)
    put(sink, "c")
    assert content(directory, "orders.log.000001") == b"a\nb\n" and content(directory) == b"c\n"
    put(sink, "d")
    assert content(directory) == b"c\nd\n"


def test_by_size_a_day_is_no_reason(directory, monkeypatch):
    sink = opened(directory)
    put(sink, "a")
    monkeypatch.setattr(file_sink.time, "time", lambda now=time.time: now() + 86400)
    put(sink, "c")
    assert visible(directory) == ["orders.log"]


def test_rotated_files_are_compressed_bit_by_bit_and_whole(directory, monkeypatch):
    monkeypatch.setattr(file_backups, "SLICE_BYTES", 1000)
    sink = opened(directory, max_bytes=5000, compress=True, backups=100)
    for number in range(300):
        put(sink, f"line {number:06d} " + "x" * 90)
    steps = 0
    while sink.tidy():
        steps += 1
    names = visible(directory)
    assert steps > len(names) and all(name.endswith(".gz") for name in names[1:]) and len(names) > 5
    assert {mode(directory, name) for name in names} == {0o640}
    assert everything(directory) == [f"line {number:06d} " + "x" * 90 for number in range(300)]


def test_a_crash_while_compressing_leaves_no_trace(directory, monkeypatch):
    monkeypatch.setattr(file_backups, "SLICE_BYTES", 1000)
    sink = opened(directory, max_bytes=5000, compress=True)
    for number in range(100):
        put(sink, f"line {number:06d} " + "x" * 90)
    wanted = everything(directory)
    assert sink.tidy()
    unfinished = [name for name in visible(directory) if name.endswith(".gz.tmp")]
    saved = content(directory, unfinished[0])
    sink.close()
    assert [name for name in visible(directory) if name.endswith(".tmp")] == []
    path = os.path.join(directory, unfinished[0])
    with open(path, "wb") as file:  # as `kill -9` leaves it
        file.write(saved)
    plain = visible(directory)[1]
    shutil.copy(os.path.join(directory, plain), os.path.join(directory, "copy"))
    with gzip.open(os.path.join(directory, plain + ".gz"), "wb") as file:  # renamed, the original not yet removed
        file.write(content(directory, plain))
    os.unlink(os.path.join(directory, "copy"))
    opened(directory, max_bytes=5000, compress=True)
    assert not os.path.exists(path) and not os.path.exists(os.path.join(directory, plain))
    assert everything(directory) == wanted


def total(directory):
    return sum(os.path.getsize(os.path.join(directory, name)) for name in visible(directory))


def test_the_budget_is_never_exceeded_and_the_oldest_goes_first(directory):
    budget = 16 << 20
    sink = opened(directory, total=budget, max_bytes=1 << 30, backups=1000)
    line = "x" * 999
    for number in range(60):
        put(sink, *[f"{number:04d}{line}"] * 1000, pipeline=f"p{number % 7}")
        assert total(directory) <= budget
    assert sink.removed > 0
    numbers = {line[:4] for name in visible(directory) for line in content(directory, name).splitlines()}
    assert max(numbers) == b"0059" and len(numbers) >= 10


def test_the_budget_makes_room_even_where_nothing_was_rotated_yet(directory):
    budget = 16 << 20
    sink = opened(directory, total=budget, max_bytes=1 << 30)
    for number in range(30):
        put(sink, *["x" * 1023] * 1024, pipeline=f"p{number}")
        assert total(directory) <= budget
    assert content(directory, "p29.log")[-2:] == b"x\n"


def test_the_budget_counts_what_compressing_takes(directory, monkeypatch):
    monkeypatch.setattr(file_backups, "SLICE_BYTES", 500_000)
    budget = 16 << 20
    sink = opened(directory, total=budget, max_bytes=2 << 20, backups=1000, compress=True)
    for number in range(80):
        put(sink, *[os.urandom(500).hex()] * 800)
        sink.tidy()
        assert total(directory) <= budget
    assert any(name.endswith(".gz") for name in visible(directory))


def test_other_peoples_files_in_the_directory_are_left_alone(directory):
    os.mkdir(directory)
    others = {"syslog.log": b"x", "mail.log.000001": b"y", "orders.txt": b"z", "orders.log.1": b"w"}
    for name, data in others.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data * (17 << 20))
    sink = opened(directory, total=16 << 20, max_bytes=100, backups=0)
    for _ in range(20):
        put(sink, "x" * 60)
    for name, data in others.items():
        assert content(directory, name) == data * (17 << 20)


def test_a_log_that_somebody_moves_goes_on_in_a_new_file(directory):
    sink = opened(directory)
    put(sink, "a")
    os.rename(os.path.join(directory, "orders.log"), os.path.join(directory, "orders.log.old"))
    put(sink, "b")
    assert (content(directory, "orders.log.old"), content(directory)) == (b"a\n", b"b\n")
    sink.close()
    put(opened(directory), "c")
    assert content(directory) == b"b\nc\n"


def test_a_log_that_somebody_removes_goes_on_in_a_new_file(directory):
    sink = opened(directory)
    put(sink, "a")
    os.unlink(os.path.join(directory, "orders.log"))
    put(sink, "b")
    assert content(directory) == b"b\n"
    sink.close()
    os.unlink(os.path.join(directory, "orders.log"))
    put(opened(directory), "c")
    assert content(directory) == b"c\n"


def test_a_log_that_somebody_empties_goes_on(directory):
    sink = opened(directory)
    put(sink, "a" * 1000)
    os.truncate(os.path.join(directory, "orders.log"), 0)
    put(sink, "b")
    assert content(directory) == b"b\n"
    sink.close()
    os.truncate(os.path.join(directory, "orders.log"), 0)
    put(opened(directory), "c")
    assert content(directory) == b"c\n"


def test_somebody_elses_open_line_is_not_gone_on_in(directory):
    os.mkdir(directory)
    with open(os.path.join(directory, "orders.log"), "wb") as file:
        file.write(b"not ours, no end")
    put(opened(directory), "a")
    assert content(directory) == b"not ours, no end\na\n"


@pytest.mark.parametrize("make", ["symlink", "directory", "fifo"])
def test_what_is_no_plain_file_is_not_written_to(directory, tmp_path, make):
    os.mkdir(directory)
    path = os.path.join(directory, "orders.log")
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    {"symlink": lambda: os.symlink(victim, path), "directory": lambda: os.mkdir(path), "fifo": lambda: os.mkfifo(path)}[
        make
    ]()
    sink = opened(directory)
    with pytest.raises(SinkMisconfigured) as caught:
        put(sink, "a")
    assert caught.value.hint
    assert victim.read_text() == "precious\n"


def test_a_symlink_that_replaces_a_known_log_is_not_cut(directory, tmp_path):
    sink = opened(directory)
    put(sink, "a")
    sink.close()
    victim = tmp_path / "victim"
    victim.write_text("precious\n" * 100)
    os.unlink(os.path.join(directory, "orders.log"))
    os.symlink(victim, os.path.join(directory, "orders.log"))
    opened(directory).close()
    assert victim.read_text() == "precious\n" * 100


def test_many_pipelines_do_not_keep_as_many_descriptors(directory):
    sink = opened(directory)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        put(sink, "a", pipeline=f"p{number}")
    for number in range(300):
        put(sink, "b", pipeline=f"p{number}")
    assert len(os.listdir("/proc/self/fd")) < before + 80
    assert {content(directory, f"p{number}.log") for number in range(300)} == {b"a\nb\n"}


def test_a_failed_batch_leaves_nothing_behind(directory, monkeypatch):
    sink = opened(directory)
    put(sink, "a", offset=1)

    def broken(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Exception, match="no space left"):
        put(sink, "b", offset=2)
    monkeypatch.undo()
    sink.close()
    assert content(directory) == b"a\n"
    sink = opened(directory)
    assert sink.positions.writers == {W: Position(0, 1)}
    assert not os.path.exists(os.path.join(directory, UNFINISHED))


def test_an_advance_that_was_not_stored_is_not_acknowledged(directory, monkeypatch):
    sink = opened(directory)
    put(sink, "a", offset=1)

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(SinkMisconfigured):
        put(sink, "b", offset=2)
    assert sink.positions.writers == {W: Position(0, 1)}  # segments are removed by it
