"""Who has the lock is named, also in the moment between taking it and saying so."""

import fcntl
import json
import os
import threading

import pytest

from flightlog import identity
from flightlog.journal import lifelock


@pytest.fixture
def taken(tmp_path):
    """A lock that is held, and whose holder has not said yet who it is."""
    path = str(tmp_path / "lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield path, fd
    os.close(fd)


def test_a_holder_that_has_not_said_yet_who_it_is_is_waited_for(taken, monkeypatch):
    path, fd = taken
    me = {"pid": os.getpid(), "start": identity.process_start_time(os.getpid())}
    os.pwrite(fd, json.dumps({"pid": 2**30, "start": 1}).encode(), 0)  # of who had it before
    looked = threading.Event()
    alive = identity.process_alive

    def seen(pid, start):
        looked.set()
        return alive(pid, start)

    monkeypatch.setattr(identity, "process_alive", seen)

    def say():
        assert looked.wait(30)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(me).encode(), 0)

    thread = threading.Thread(target=say)
    thread.start()
    assert lifelock.holder(path, 30) == me
    thread.join()


def test_one_that_never_says_it_is_somebody_all_the_same(taken):
    path, _ = taken
    assert lifelock.holder(path) == {} and lifelock.holder(path, 0.01) == {}
    assert lifelock.take(path) == -1


def test_nobody(tmp_path):
    path = str(tmp_path / "lock")
    assert lifelock.holder(path) is None
    os.close(lifelock.take(path, more="x"))
    assert lifelock.holder(path) is None
    with open(path) as file:
        assert json.load(file)["more"] == "x"
