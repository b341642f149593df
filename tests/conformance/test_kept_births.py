"""A caretaker is killed between the fork of an attempt and the word that lets it go: what nobody gave the word executes nothing."""

import os
import signal

import pytest

import flightlog
from conformance.kept import alive
from flightlog.errors import FlightlogError
from flightlog.process import care
from waiting import wait_until

# A real caretaker but for this: it is killed as soon as the attempt's pid is on disk.
KILLED = """
import os, signal, sys
sys.path.append({source!r})
from flightlog.process import beginning, caretaker

class Killed(caretaker.Caretaker):
    def _known(self, one):
        super()._known(one)
        if {stopped!r}:
            os.kill(one.pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

beginning.Caretaker = Killed
beginning.main(sys.argv[1:])
"""
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))


def born(kept, monkeypatch, stopped, **options):
    """Start `job` by a caretaker that is killed before the word; return the pid of who waits for it."""
    path = os.path.join(kept.home, "killed.py")
    with open(path, "w") as file:
        file.write(KILLED.format(source=SOURCE, stopped=stopped))
    with monkeypatch.context() as patch:
        patch.setattr(care, "CARETAKER", path)
        with pytest.raises(FlightlogError):
            kept.keep.start_process("job", kept.counting("time.sleep(1000)"), **options)
    state = kept.folder("job").read("state.json")
    assert state["phase"] == "starting"
    return state["process"]["pid"]


def test_without_the_word_nothing_is_executed(kept, monkeypatch):
    waits = born(kept, monkeypatch, False, daemon_mode=True)
    wait_until(lambda: not alive(waits), what="the child to end by itself")
    assert kept.starts() == []
    kept.keep.list_processes()
    kept.await_state("job", "running")
    wait_until(kept.starts)
    assert len(kept.starts()) == 1
    assert kept.keep.stop_process("job")


def test_who_waits_for_the_word_holds_the_lock(kept, monkeypatch):
    """Nobody else begins, or takes it for the command, before it has ended: that it ends is no success of a job, which has not run yet."""
    monkeypatch.setattr(care, "ANSWER_SECONDS", 0.5)  # what stands still keeps the answer's pipe open
    waits = born(kept, monkeypatch, True)
    try:
        assert kept.folder("job").holder() is not None and kept.folder("job").take() == -1
        assert kept.keep.list_processes()[0]["state"] == "starting"
        assert alive(waits) and kept.starts() == []
    finally:
        os.kill(waits, signal.SIGCONT)
    wait_until(lambda: kept.folder("job").holder() is None, what="the child to end by itself")
    kept.keep.list_processes()
    wait_until(kept.starts, what="the job to be run, late")
    assert kept.status("job")["state"] == "running" and len(kept.starts()) == 1
    assert kept.keep.stop_process("job")
