"""Records that could not be accepted are counted exactly, and the count outlives a writer that can write nothing more."""

import errno
import fcntl
import os
import signal
import sys
import threading

import pytest

from flightlog.journal import birth, last_words, reader
from flightlog.journal.drops import Drops
from flightlog.journal.format import salt_of
from flightlog.journal.writer import Writer


def test_no_count_is_lost_among_threads_and_a_signal_handler():
    drops = Drops()
    handled = []

    def on_alarm(*_):
        handled.append(drops.count(20, "pressure"))

    before, interval = signal.signal(signal.SIGALRM, on_alarm), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        threads = [
            threading.Thread(target=lambda: [drops.count(20, "pressure") for _ in range(20000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for _ in range(20000):
            drops.count(20, "pressure")
        for thread in threads:
            thread.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.setswitchinterval(interval)
    assert drops.totals == {"20/pressure": 100_000 + len(handled)}


def test_the_lock_file_is_as_long_as_there_are_drops(tmp_path, monkeypatch):
    writer = Writer(str(tmp_path))
    assert writer.append(b"{}") == 1
    lock = tmp_path / (writer.writer_id + ".lock")
    assert lock.stat().st_size == 0
    monkeypatch.setattr(birth, "make_segment", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    state = writer._state
    state.write = state.write_alone = lambda *_: -1
    for _ in range(3):
        assert writer.append(b"{}") == 0
    assert lock.stat().st_size == 3
    monkeypatch.setattr(last_words, "write", lambda *_: False)  # nor is there anything in reserve
    writer.drop(10, "pressure")
    writer.close()
    assert lock.stat().st_size == 4


def test_what_the_program_opened_in_place_of_the_lock_is_left_alone(tmp_path):
    writer = Writer(str(tmp_path / "spool"))
    writer.append(b"{}")
    mine = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT)
    os.write(mine, b"precious")
    os.dup2(mine, writer._state.lock_fd)
    writer.drop(20, "unwritable")
    assert (tmp_path / "mine").read_bytes() == b"precious"
    os.close(writer._state.lock_fd)
    os.close(mine)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_reason_not_to_write(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    writer = Writer(str(tmp_path))
    assert writer.append(b"{}") == 1
    writer.close()


def test_what_is_dropped_during_a_birth_is_declared(tmp_path, monkeypatch):
    writer = Writer(str(tmp_path))
    made = birth.make_segment

    def slow(*arguments):
        done = made(*arguments)  # the header is written: it cannot know of what comes now
        writer.drop(20, "pressure")
        return done

    monkeypatch.setattr(birth, "make_segment", slow)
    writer.append(b"{}")
    name = writer.writer_id
    frames = list(reader.read_segment(str(tmp_path / (name + ".000000.seg")), salt_of(name)))
    assert [b'"20/pressure":1' in payload for *_, payload in frames] == [False, True, False]
