"""Stacks from outside: whom SIGUSR1 is sent, what py-spy says, what is said of missing powers."""

import json
import os
import subprocess
import sys

import pytest

from flightlog.journal import evidence
from flightlog.process import proctree, stacks
from waiting import wait_until

OFFERED = """
import faulthandler, os, signal, sys, time
from flightlog import identity
from flightlog.journal import evidence
path = sys.argv[1]
if "register" in sys.argv:
    file = open(path, "ab")
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
if "note" in sys.argv:
    evidence.note(path, "stacks", signal="SIGUSR1", start=identity.process_start_time(os.getpid()))
if "back" in sys.argv:
    evidence.note(path, "stacks", signal="")
def at_rest():
    print("ready", flush=True)
    time.sleep(100)
at_rest()
"""


@pytest.fixture
def program(tmp_path):
    processes = []

    def start(*words):
        fd = evidence.create(str(tmp_path), "RUN%d" % len(processes))
        path = evidence.path_of(str(tmp_path), "RUN%d" % len(processes))
        process = subprocess.Popen(
            [sys.executable, "-c", OFFERED, path, *words], stdout=subprocess.PIPE, start_new_session=True
        )
        processes.append(process)
        assert process.stdout.readline() == b"ready\n"
        return proctree.look(process.pid), fd

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_who_offers_it_is_asked_and_answers_into_the_evidence(program):
    process, fd = program("register", "note")
    begin = stacks.size_of(fd)
    assert stacks.ask(process, stacks.offers(fd))
    text = wait_until(lambda: "at_rest" in stacks.dumped(fd, begin) and stacks.dumped(fd, begin))
    assert "most recent call first" in text and '{"' not in text
    assert proctree.look(process.pid).start == process.start


@pytest.mark.parametrize("words", [(), ("register",), ("note",), ("register", "note", "back")])
def test_nobody_else_is_sent_anything(program, words):
    """Without a handler SIGUSR1 is death, and with one of the program's own it may mean anything."""
    process, fd = program(*words)
    assert not stacks.ask(process, stacks.offers(fd))
    assert not proctree.look(process.pid).dead


def test_what_is_taken_back_late_is_heeded(tmp_path):
    """Also behind more notes than are kept with a run's end, and when there is no room to take it back."""
    fd, path = evidence.create(str(tmp_path), "R"), evidence.path_of(str(tmp_path), "R")
    assert evidence.note(path, "stacks", signal="SIGUSR1", start=100)
    assert stacks.offers(fd) == {os.getpid(): 100}
    for _ in range(2 * evidence.MAX_KEPT):
        evidence.note(path, "stacks", signal="SIGUSR1", start=100)
    evidence.note(path, "stacks", signal="")
    assert stacks.offers(fd) == {}
    evidence.note(path, "stacks", signal="SIGUSR1", start=100)
    assert stacks.offers(fd) == {os.getpid(): 100}
    while evidence.note(path, "signal", signal="x" * 3000):
        pass
    assert stacks.offers(fd) == {}


def test_an_offer_is_of_one_process_not_of_a_number():
    me = proctree.look(os.getpid())
    assert not stacks.ask(me, {me.pid: me.start + 1})
    assert stacks.send(me, 0) and not stacks.send(_with_start(me, me.start + 1), 0)


def _with_start(process, start):
    process.start = start
    return process


@pytest.mark.skipif(not stacks.find_spy(), reason="py-spy is not installed")
def test_py_spy_says_where_a_python_is(program):
    process, _ = program()
    if stacks.refusal(process.pid):
        pytest.skip(stacks.refusal(process.pid))
    assert stacks.is_python(process.pid)
    spy = stacks.Spy(stacks.find_spy(), process.pid)
    wait_until(spy.poll, 30)
    assert "at_rest" in spy.text and not spy.failed, spy.failed


def test_what_py_spy_cannot_do_is_said(tmp_path):
    broken = tmp_path / "py-spy"
    broken.write_text("#!/bin/sh\necho 'Error: Permission Denied' >&2; exit 1\n")
    broken.chmod(0o755)
    spy = stacks.Spy(str(broken), os.getpid())
    wait_until(spy.poll)
    assert spy.failed == "py-spy: Error: Permission Denied" and not spy.text
    gone = stacks.Spy(str(tmp_path / "none"), os.getpid())
    assert gone.poll() and "cannot be started" in gone.failed


def test_a_py_spy_that_hangs_is_ended(tmp_path, monkeypatch):
    hung = tmp_path / "py-spy"
    hung.write_text("#!/bin/sh\nexec sleep 1000\n")
    hung.chmod(0o755)
    monkeypatch.setattr(stacks, "SPY_SECONDS", 0.2)
    spy = stacks.Spy(str(hung), os.getpid())
    child = spy._child
    wait_until(spy.poll)
    assert spy.failed and not os.path.exists(f"/proc/{child}")


def test_who_may_not_trace_is_told_why_and_what_to_do(program):
    process, _ = program()
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    source = f"import os\nfrom flightlog.process import stacks\nos.setgid(65534); os.setuid(65534)\nprint(stacks.refusal({process.pid}))"
    said = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
    assert "belongs to another user" in said and "try:" in said


def test_threads_are_told_as_json():
    from flightlog.process.threads import threads

    told = json.loads(json.dumps([thread.as_json() for thread in threads(os.getpid())]))
    (main,) = [thread for thread in told if thread["tid"] == os.getpid()]
    assert main["state"] == "R", told
