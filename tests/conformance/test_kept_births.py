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
import os, signal, sys, time
sys.path.append({source!r})
from flightlog.process import beginning, caretaker

class Killed(caretaker.Caretaker):
    def _known(self, one):
        super()._known(one)
        if {after!r}:
            return
        if {stopped!r}:
            os.kill(one.pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

    def _spawn(self):
        start = self._starter.start
        def killed(*given):
            one = start(*given)
            while {after!r} and not self._starter.record(one):
                time.sleep(0.01)
            if {after!r}:
                os.kill(os.getpid(), signal.SIGKILL)
            return one
        self._starter.start = killed
        super()._spawn()

beginning.Caretaker = Killed
beginning.main(sys.argv[1:])
"""
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))


def born(kept, monkeypatch, stopped=False, after=False, body="time.sleep(1000)", **options):
    """Start `job` by a caretaker that is killed before the word, or *after* the end that it has not seen; return the pid on disk."""
    path = os.path.join(kept.home, "killed.py")
    with open(path, "w") as file:
        file.write(KILLED.format(source=SOURCE, stopped=stopped, after=after))
    with monkeypatch.context() as patch:
        patch.setattr(care, "CARETAKER", path)
        with pytest.raises(FlightlogError):
            kept.keep.start_process("job", kept.counting(body), **options)
    state = kept.folder("job").read("state.json")
    assert state["phase"] == "starting"
    return state["process"]["pid"]


def test_without_the_word_nothing_is_executed(kept, monkeypatch):
    waits = born(kept, monkeypatch, daemon_mode=True)
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
    waits = born(kept, monkeypatch, stopped=True)
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


def test_a_job_that_ended_within_its_start_is_not_run_again(kept, monkeypatch):
    """The state still says that it starts, but its end is on record."""
    if kept.kind == "plain":
        pytest.skip("who keeps no record cannot know")
    born(kept, monkeypatch, after=True, body="sys.exit(0)")
    kept.keep.list_processes()
    found = kept.await_state("job", "succeeded", "running", "backoff")
    assert (found["state"], found["verdict"]) == ("succeeded", "ok") and len(kept.starts()) == 1
