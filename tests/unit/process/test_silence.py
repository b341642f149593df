"""The clock of silence: output, records and stops put it back, heartbeats do not."""

import json
import os

import pytest

from flightlog.journal.format import frame, salt_of
from flightlog.process.silence import Silence, only_heartbeats
from unit.process.test_pump import Bench

WRITER = "a" * 32
SALT = salt_of(WRITER)
HEARTBEAT = b'{"k":"event","t":1,"ev":"heartbeat","r":"x","x":{}}'
METRICS = b'{"k":"event","t":1,"ev":"metrics","r":"x","x":{"rss_kb":1}}'
PROGRESS = b'{"k":"event","t":1,"ev":"progress","r":"x","x":{"done":1}}'


@pytest.fixture
def segment(tmp_path):
    """A segment that this process, as one of a run's, has open."""
    (tmp_path / "spool").mkdir()
    path = tmp_path / "spool" / f"{WRITER}.000001.seg"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, frame(b'{"k":"head"}', SALT, 1))
    yield fd
    os.close(fd)


@pytest.fixture
def stream(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def silence(tmp_path, segment, stream):
    one = Silence(str(tmp_path / "spool"), 100.0)
    one.pumps = [stream.pump]
    assert look(one, 100.0) == 0.0
    return one


def look(silence, now, stopped=False, after=5.0):
    return silence.look(now, silence.pumps, [os.getpid()], stopped, after)


def test_time_passes_while_nothing_is_said(silence):
    assert [look(silence, now) for now in (101.0, 103.0, 107.0)] == [1.0, 3.0, 7.0]


def test_output_ends_it(silence, stream):
    assert look(silence, 103.0) == 3.0
    stream.put(b"x")
    assert look(silence, 104.0) == 0.0
    assert look(silence, 106.0) == 2.0


def test_output_that_is_not_kept_ends_it_as_well(silence, stream):
    stream.pump.shed = True
    assert look(silence, 103.0) == 3.0
    stream.put(b"x")
    assert look(silence, 104.0) == 0.0 and stream.kept() == b""


def test_a_record_ends_it(silence, segment):
    assert look(silence, 106.0) == 6.0
    os.write(segment, frame(PROGRESS, SALT, 2))
    assert look(silence, 107.0) == 0.0


def test_a_heartbeat_does_not(silence, segment):
    os.write(segment, frame(HEARTBEAT, SALT, 2) + frame(METRICS, SALT, 3))
    assert look(silence, 107.0) == 7.0
    os.write(segment, frame(HEARTBEAT, SALT, 4) + frame(PROGRESS, SALT, 5))
    assert look(silence, 108.0) == 0.0


def test_a_record_of_being_asked_does_not(silence, segment):
    silence.deaf_until = 110.0
    os.write(segment, frame(PROGRESS, SALT, 2))
    assert look(silence, 107.0) == 7.0
    assert look(silence, 111.0) == 11.0  # it was seen, and does not count later
    os.write(segment, frame(PROGRESS, SALT, 3))
    assert look(silence, 112.0) == 0.0


def test_a_new_segment_ends_it(silence, segment, tmp_path):
    assert look(silence, 106.0) == 6.0
    with open(tmp_path / "spool" / f"{WRITER}.000002.seg", "wb") as file:
        file.write(frame(b"{}", SALT, 1))
        file.flush()
        assert look(silence, 107.0) == 0.0


def test_other_files_do_not_count(silence, tmp_path):
    with open(tmp_path / "other.seg", "wb") as file:
        file.write(b"x")
        file.flush()
        assert look(silence, 106.0) == 6.0


def test_the_clock_stands_while_the_run_is_stopped(silence):
    assert look(silence, 102.0) == 2.0
    assert [look(silence, now, stopped=True) for now in (103.0, 203.0)] == [2.0, 2.0]
    assert look(silence, 204.0) == 3.0


def test_what_cannot_be_read_counts_as_progress(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(json.dumps({"ev": "heartbeat"}).encode())
    assert not only_heartbeats(str(path), 0, 10)
    assert not only_heartbeats(str(tmp_path / "none"), 0, 10)
    assert not only_heartbeats(str(path), 0, 1 << 20)
