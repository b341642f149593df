"""From the spool into text logs: exactly once, each run's lines in its pipeline's file, beside a database or without one."""

import errno
import json
import os
import time

import pytest

from flightlog import identity, records
from flightlog.agent.destinations import Together
from flightlog.agent.file_shipper import FileShipper
from flightlog.agent.file_sink import FileSink, FileWish
from flightlog.agent.retire import retire
from flightlog.agent.spool_scan import look
from flightlog.errors import SinkError
from flightlog.journal import reader
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of
from integration.shipping import NODE, log, messages, segment, ship_all, shipper_for, spool_of, write

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
OTHER = "01M86ZYTH9FGWWWGERS15X8FFR"


@pytest.fixture
def directory(home):
    return os.path.join(home, "logs")


def files_for(home, directory, batch_rows=20_000, **wish):
    wish.setdefault("format", "jsonl")
    sink = FileSink(FileWish(directory, **wish))
    sink.open()
    shipper = FileShipper(sink, NODE, home, batch_rows)
    shipper.sink = sink
    return shipper


def closed(shipper):
    shipper.close()
    shipper.sink.close()


def read(directory, pipeline="orders"):
    """The parsed lines of a pipeline's log."""
    with open(os.path.join(directory, f"{pipeline}.jsonl"), encoding="ascii") as file:
        return [json.loads(line) for line in file]


def said(directory, pipeline="orders"):
    return [line["message"] for line in read(directory, pipeline)]


def event(run, name, **data):
    return encode(records.event(name, run, data))


def test_rows_arrive_once_and_in_order(home, directory):
    spool = spool_of(home)
    told = [f"line {n}\twith\nodd \\ characters é 😀" for n in range(1200)]
    writer = write(spool, RUN, told)
    shipper = files_for(home, directory, batch_rows=500)
    ship_all(shipper, spool)
    assert ship_all(shipper, spool) == 0
    lines = read(directory)
    assert [line["message"] for line in lines] == told
    assert [line["seq"] for line in lines] == list(range(1, 1201))
    assert {line["pipeline"] for line in lines} == {"orders"} and {line["writer"] for line in lines} == {writer}
    assert shipper.is_closed(writer) and shipper.backlog(look([spool])) == 0


def test_a_second_one_goes_on_where_the_first_one_ended(home, directory):
    spool = spool_of(home)
    for n in range(20):
        write(spool, RUN if n % 2 else OTHER, [f"{n}/{i}" for i in range(50)])
    first = files_for(home, directory, batch_rows=130)
    first.ship(look([spool]), True)
    closed(first)
    assert 0 < len(said(directory)) < 1000
    ship_all(files_for(home, directory, batch_rows=170), spool)
    assert sorted(said(directory)) == sorted(f"{n}/{i}" for n in range(20) for i in range(50))


def test_several_writers_are_merged_by_time_without_changing_a_writers_own_order(home, directory):
    spool = spool_of(home)
    base = time.time_ns() // 1000 * 1000
    for name, moments in (("a", [0, 30, 20, 50]), ("b", [10, 25, 40])):
        writer = identity.new_writer_id()
        told = [log(RUN, f"{name}{at}", t=base + at * 1000) for at in moments]
        segment(spool, writer, 0, told, run=RUN)
    ship_all(files_for(home, directory), spool)
    found = said(directory)
    assert [m for m in found if m[0] == "a"] == ["a0", "a30", "a20", "a50"]
    assert [m for m in found if m[0] == "b"] == ["b10", "b25", "b40"]
    assert found.index("b10") == 1 and found[-1] == "a50"


def test_a_run_that_is_named_later_is_in_the_file_of_that_name(home, directory):
    spool = spool_of(home)
    shim, child = identity.new_writer_id(), identity.new_writer_id()
    segment(
        spool,
        shim,
        0,
        [event(RUN, "run.started", pipeline="job", named=False, command=["job.py"])],
        run=RUN,
        pipeline="job",
    )
    segment(
        spool,
        child,
        0,
        [log(RUN, "one"), event(RUN, "run.adopted", pipeline="orders"), log(RUN, "two")],
        run=RUN,
        pipeline="job",
    )
    shipper = files_for(home, directory)
    ship_all(shipper, spool)
    assert sorted(said(directory)) == ["one", "run started: job.py", "two"]
    assert not os.path.exists(os.path.join(directory, "job.jsonl"))
    closed(shipper)
    third = identity.new_writer_id()
    segment(spool, third, 0, [log(RUN, "three")], run=RUN, pipeline="job")  # a later writer does not know
    ship_all(files_for(home, directory), spool)
    assert "three" in said(directory)


def test_a_name_given_on_the_command_line_stands(home, directory):
    spool = spool_of(home)
    shim, child = identity.new_writer_id(), identity.new_writer_id()
    segment(
        spool, child, 0, [event(RUN, "run.adopted", pipeline="orders"), log(RUN, "two")], run=RUN, pipeline="nightly"
    )
    segment(spool, shim, 0, [event(RUN, "run.started", pipeline="nightly", named=True)], run=RUN, pipeline="nightly")
    ship_all(files_for(home, directory), spool)
    assert sorted(said(directory, "nightly")) == ["run started", "two"]


@pytest.mark.parametrize("named", [False, True])
def test_a_batch_that_is_full_before_the_keeper_is_read_has_the_name_of_the_run(home, directory, named):
    """A command's own journal knows its program's name only; what the keeper wrote beside the captures is there before it."""
    spool = spool_of(home)
    child, shim, capture = identity.new_writer_id(), identity.new_writer_id(), "f" * 32
    told = [log(RUN, str(n)) for n in range(100)]
    adopted = [event(RUN, "run.adopted", pipeline="orders")] if named else []
    segment(spool, child, 0, [*adopted, *told], run=RUN, pipeline="job")
    meta = {"v": 1, "stream": "stdout", "run": RUN, "pipeline": "nightly", "keeper": [1, 1], "boot": "0" * 32, "t": 1}
    with open(os.path.join(spool, capture + ".meta"), "w", encoding="ascii") as file:
        json.dump(dict(meta, named=True) if named else meta, file)
    open(os.path.join(spool, capture + ".end"), "w").close()
    shipper = files_for(home, directory, batch_rows=30)
    shipper.ship(look([spool]), True)
    segment(spool, shim, 0, [event(RUN, "run.started", pipeline="nightly", named=named)], run=RUN, pipeline="nightly")
    ship_all(shipper, spool)
    assert os.listdir(directory).count("job.jsonl") == os.listdir(directory).count("orders.jsonl") == 0
    assert len(said(directory, "nightly")) == 101


def test_ends_gaps_and_losses_are_in_the_log(home, directory):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    drops = encode({"k": "drops", "t": time.time_ns(), "dropped": {"20": 3, "30": 2}})
    told = [
        event(RUN, "run.ended", status="failed", exit_code=3),
        event(OTHER, "run.ended", status="failed", term_signal="SIGKILL"),
        event(RUN, "capture.gap", lost=777, stream="stderr"),
        log(RUN, "5 bytes of stderr were not kept", src="flightlog"),
        event(RUN, "progress", done=1, total=2),
        b"this is no JSON \x1b[31m",
        drops,
        log(RUN, "after"),
    ]
    path = segment(spool, writer, 0, told, run=RUN)
    with open(path, "ab") as file:
        file.write(b"\xff" * 40 + frame(log(RUN, "behind damage"), salt_of(writer), 10))
    ship_all(files_for(home, directory), spool)
    found = "\n".join(said(directory))
    for words in (
        "exit code 3",
        "killed by SIGKILL",
        "5 bytes of stderr",
        "this is no JSON",
        "5 records were dropped",
        "behind damage",
        "are damaged",
        "after",
    ):
        assert words in found, words
    assert "progress" not in found
    assert "777" not in found  # who writes such an event says it in a line as well: nothing is told twice
    shown = read(directory)
    assert all(line["source"] == "flightlog" for line in shown if line["message"].startswith("run ended"))


def test_both_destinations_hold_the_same_lines(home, directory, dsn):
    spool = spool_of(home)
    told = [f"{n}" for n in range(500)]
    write(spool, RUN, told)
    ship_all(shipper_for(dsn, home), spool)
    ship_all(files_for(home, directory), spool)
    assert messages(dsn) == told == said(directory)


def segments(spool):
    return sorted(name for name in os.listdir(spool) if name.endswith(".seg"))


def test_a_segment_goes_only_when_both_have_it(home, directory, dsn):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    for number in range(4):
        segment(spool, writer, number, [log(RUN, f"{number}/{i}") for i in range(10)], 1 + 10 * number, run=RUN)
    database, files = shipper_for(dsn, home), files_for(home, directory, batch_rows=15)

    def clean(*parts):
        retire(look([spool]), Together(parts), spare=True, kept_seconds=0.0)
        return segments(spool)

    everything = segments(spool)
    assert clean() == everything  # with no destination nothing is ever acknowledged
    ship_all(database, spool)
    assert database.is_closed(writer)
    assert clean(database, files) == everything
    files.ship(look([spool]), True)  # about two segments
    assert not files.is_closed(writer) and files.position(writer).segno >= 1
    left = clean(database, files)
    assert 0 < len(left) < 4 and left == everything[-len(left) :]
    assert clean(files, database) == left
    ship_all(files, spool)
    assert clean(database, files) == []
    assert said(directory) == messages(dsn) == [f"{number}/{i}" for number in range(4) for i in range(10)]


def test_one_that_fails_has_acknowledged_nothing_new(home, directory, monkeypatch):
    spool = spool_of(home)
    writer = write(spool, RUN, ["a"])
    files = files_for(home, directory)

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(SinkError):
        files.ship(look([spool]), True)
    assert files.position(writer) is None and not files.is_closed(writer)


def test_one_that_comes_later_has_what_was_retained(home, directory, dsn):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    for number in range(3):
        segment(spool, writer, number, [log(RUN, f"{number}/{i}") for i in range(10)], 1 + 10 * number, run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    os.unlink(os.path.join(spool, segments(spool)[0]))
    files = files_for(home, directory)
    ship_all(files, spool)
    assert said(directory) == [f"{number}/{i}" for number in (1, 2) for i in range(10)]
    first = min(line["ts"] for line in read(directory))
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(files.sink.positions.first_ns / 1e9)) == first[:19]


def test_writers_whose_files_are_gone_are_forgotten_later_not_at_once(home, directory, monkeypatch):
    from flightlog.agent import file_shipper

    spool = spool_of(home)
    write(spool, RUN, ["a"])
    files = files_for(home, directory)
    ship_all(files, spool)
    saved = {}
    for name in os.listdir(spool):
        with open(os.path.join(spool, name), "rb") as file:
            saved[name] = file.read()
        os.unlink(os.path.join(spool, name))
    write(spool, RUN, ["b"])
    ship_all(files, spool)
    for (
        name,
        data,
    ) in saved.items():  # an unlink that was not durable, or a directory that could not be read for a moment
        with open(os.path.join(spool, name), "wb") as file:
            file.write(data)
    ship_all(files, spool)
    assert said(directory) == ["a", "b"]
    for name in saved:
        os.unlink(os.path.join(spool, name))
    monkeypatch.setattr(file_shipper, "GONE_SECONDS", 0.0)
    ship_all(files, spool)
    assert len(files.sink.positions.writers) == 1


def test_more_pipelines_than_there_may_be_open_files(home, directory):
    import resource

    spool = spool_of(home)
    writer = identity.new_writer_id()
    payloads = []
    for number in range(400):
        run = identity.new_ulid()
        payloads += [event(run, "run.started", pipeline=f"p{number}", named=True), log(run, "x" * 2000)]
    segment(spool, writer, 0, payloads, run=RUN)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 300, before[1]))
    try:
        ship_all(files_for(home, directory), spool)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(said(directory, f"p{number}") == ["run started", "x" * 2000] for number in range(400))


def test_a_hundred_runs_do_not_stay_in_the_positions(home, directory):
    spool = spool_of(home)
    for number in range(300):
        write(spool, identity.new_ulid(), ["a"], pipeline=f"p{number % 3}")
    files = files_for(home, directory, batch_rows=50)
    ship_all(files, spool)
    write(spool, RUN, ["last"], pipeline="p0")
    ship_all(files, spool)
    assert len(files.sink.positions.runs) <= 110
    assert sum(len(said(directory, f"p{n}")) for n in range(3)) == 301


def test_a_record_that_is_no_json_is_shown_with_its_secrets_masked(home, directory):
    spool = spool_of(home)
    segment(
        spool, identity.new_writer_id(), 0, [log(RUN, "a"), b"no JSON, password=hunter2secret", log(RUN, "b")], run=RUN
    )
    ship_all(files_for(home, directory), spool)
    found = said(directory)
    assert (found[0], found[2]) == ("a", "b")
    assert "no JSON, password=" in found[1] and "hunter2secret" not in found[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")
def test_a_strangers_file_under_a_name_in_use_is_not_written_to_the_logs(home, directory):
    writer = identity.new_writer_id()
    folders = [os.path.join(home, "spool", str(uid)) for uid in (1, 2)]
    for uid, folder in zip((1, 2), folders):
        os.makedirs(folder)
        os.chown(folder, uid, uid)
    segment(folders[1], writer, 0, [log(RUN, "mine")], run=RUN)
    for name in os.listdir(folders[1]):
        os.chown(os.path.join(folders[1], name), 2, 2)
    shipper = files_for(home, directory)
    while shipper.ship(look(folders, shipper.owners), False).more:
        pass
    segment(folders[0], writer, 0, [log(RUN, f"not mine {n}") for n in range(9)], run=RUN)
    for name in os.listdir(folders[0]):
        os.chown(os.path.join(folders[0], name), 1, 1)
    closed(shipper)
    shipper = files_for(home, directory)
    assert shipper.owners == {writer: 2}
    for owners in ({}, shipper.owners):
        while shipper.ship(look(folders, owners), False).more:
            pass
    assert said(directory) == ["mine"]


@pytest.mark.parametrize("met", [False, True])
def test_a_bad_sector_holds_up_one_writer_only(home, directory, monkeypatch, met):
    """The reading call fails as on a dying disk, for one writer's segments."""
    spool = spool_of(home)
    sick = write(spool, RUN, ["of the sick one"])
    shipper = files_for(home, directory)
    if met:
        ship_all(shipper, spool, look_alive=False)
        segment(spool, sick, 1, [log(RUN, "more")], 2, run=RUN)
    real = reader.read_chunk

    def read_chunk(fd, *arguments):
        if sick in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, *arguments)

    monkeypatch.setattr(reader, "read_chunk", read_chunk)
    write(spool, OTHER, ["of the sound one"])
    ship_all(shipper, spool)
    assert "of the sound one" in said(directory)
    assert list(shipper.unreadable) == [sick] and not shipper.is_closed(sick)
    monkeypatch.setattr(reader, "read_chunk", real)
    ship_all(shipper, spool)
    assert sorted(said(directory)) == sorted(["of the sick one", "of the sound one", *(["more"] if met else [])])
    assert shipper.unreadable == {} and shipper.is_closed(sick)
    closed(shipper)
