"""A caretaker is killed between the fork of an attempt and the word that lets it go: what nobody gave the word executes nothing."""

import os
import signal

import pytest

import flightlog
from conformance.kept import alive
from flightlog.errors import FlightlogError
from flightlog.process import care
from waiting import wait_until

# A real caretaker but for this: it is killed at one moment of a start.
KILLED = """
import os, signal, sys, time
sys.path.append({source!r})
from flightlog.process import attempt, beginning, caretaker
moment = {moment!r}

def end():
    os.kill(os.getpid(), signal.SIGKILL)

class Killed(caretaker.Caretaker):
    def _known(self, one):
        super()._known(one)
        if moment == "stopped":
            os.kill(one.pid, signal.SIGSTOP)
        if moment in ("known", "stopped"):
            end()

class Starter(attempt.Starter):
    def find_command(self, one):
        while moment == "ended" and not self.record(one):
            time.sleep(0.01)
        end()

beginning.Caretaker = Killed
attempt.Starter = Starter
beginning.main(sys.argv[1:])
"""
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))


def born(kept, monkeypatch, moment, body="time.sleep(1000)", **options):
    """Start `job` by a caretaker that is killed; return the pid on disk.

    *moment*: the pid is `known`; the same, and who waits for the word is `stopped`; the word is `given`; the command has `ended`.
    """
    path = os.path.join(kept.home, "killed.py")
    with open(path, "w") as file:
        file.write(KILLED.format(source=SOURCE, moment=moment))
    with monkeypatch.context() as patch:
        patch.setattr(care, "CARETAKER", path)
        with pytest.raises(FlightlogError):
            kept.keep.start_process("job", kept.counting(body), **options)
    state = kept.folder("job").read("state.json")
    assert state["phase"] == "starting"
    # The answer's pipe ends before the lock is let go of: who looks in between takes it for kept, and has nothing to do.
    wait_until(lambda: not alive(state["caretaker"]["pid"]), what="the caretaker to be dead")
    return state["process"]["pid"]


def test_without_the_word_nothing_is_executed(kept, monkeypatch):
    waits = born(kept, monkeypatch, "known", daemon_mode=True)
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
    waits = born(kept, monkeypatch, "stopped")
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
    born(kept, monkeypatch, "ended", body="sys.exit(0)")
    kept.keep.list_processes()
    found = kept.await_state("job", "succeeded", "running", "backoff")
    assert (found["state"], found["verdict"]) == ("succeeded", "ok") and len(kept.starts()) == 1


def test_the_command_s_own_pid_is_found_after_a_start_that_nobody_has_seen_through(kept, monkeypatch):
    born(kept, monkeypatch, "given", daemon_mode=True)
    (pid,) = wait_until(kept.starts)
    found = kept.status("job")
    assert (found["state"], found["pid"]) == ("running", pid)
    assert kept.keep.stop_process("job") and kept.starts() == [pid] and not alive(pid)
