"""Who has the door of a home ships; also where nothing can be written any more, because only shipping makes room."""

import fcntl
import subprocess
import sys
import threading

import pytest

from flightlog.agent.door import LOCK_NAME, Door, holder

NOTHING_MAY_BE_WRITTEN = """
import resource, sys
from flightlog.agent.door import Door, holder
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
first, second = Door(sys.argv[1]), Door(sys.argv[1])
assert first.take() and not second.take()
assert holder(sys.argv[1]) == {}
"""


def test_one_has_it_and_is_known(tmp_path):
    door = Door(str(tmp_path))
    assert holder(str(tmp_path)) is None
    assert door.take() and not Door(str(tmp_path)).take()
    assert holder(str(tmp_path))["pid"] > 0
    door.leave()
    assert holder(str(tmp_path)) is None


@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_keeps_nobody_from_shipping(tmp_path, before):
    if before:  # what stands in the file is somebody else's then
        door = Door(str(tmp_path))
        door.take()
        door.leave()
    subprocess.run([sys.executable, "-c", NOTHING_MAY_BE_WRITTEN, str(tmp_path)], check=True, timeout=60)


def test_who_only_looks_turns_no_agent_away(tmp_path, monkeypatch):
    """`flightlog status` at the moment at which an agent starts: seen once in a fault campaign, the agent refused."""
    door = Door(str(tmp_path))
    door.take()
    door.leave()
    looker = open(tmp_path / LOCK_NAME)
    fcntl.flock(looker, fcntl.LOCK_SH)
    turned_away = threading.Event()
    flock = fcntl.flock

    def seen(fd, what):
        try:
            flock(fd, what)
        except OSError:
            turned_away.set()
            raise

    monkeypatch.setattr(fcntl, "flock", seen)

    def look_away():
        assert turned_away.wait(30)
        looker.close()

    thread = threading.Thread(target=look_away)
    thread.start()
    assert door.take()
    thread.join()
    door.leave()
