"""Whoever is killed whenever, whoever asks for whatever: one copy of a kept process at most, and nothing left at the end."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from conformance.kept import Kept, alive
from flightlog.errors import FlightlogError
from flightlog.process import family
from waiting import wait_until

ROUNDS = int(os.environ.get("FLIGHTLOG_FAULT_ROUNDS", "0")) or 12
# It holds a lock for life: a second copy sees that, and says so. A child in a session of its own holds one, too.
PROGRAM = """
for name in ("one", "two"):
    if name == "two":
        if os.fork():
            break
        os.setsid()
    lock = os.open({home!r} + "/" + name, os.O_RDWR | os.O_CREAT)
    import fcntl
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.write(os.open({home!r} + "/double", os.O_WRONLY | os.O_CREAT | os.O_APPEND), b"%d %s\\n" % (os.getpid(), name.encode()))
time.sleep(1000)
"""
CALL = """
import sys, time
from flightlog.process.enhanced import EnhancedProcessController
from flightlog.process.controller import ProcessController
from flightlog.process.restart import Policy
keep = {made}(home={home!r}, policy=Policy(base_s=0.02, cap_s=0.1, window_restarts=100000))
for line in sys.stdin:
    word = line.strip()
    try:
        if word == "start": keep.start_process("x", {command!r}, daemon_mode=True)
        elif word == "stop": keep.stop_process("x", timeout=0.3)
        elif word == "restart": keep.restart_process("x", timeout=0.3)
        else: keep.list_processes()
    except Exception as problem:
        print("problem", type(problem).__name__, problem, flush=True)
    print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "enhanced"])
def test_one_copy_whoever_dies(kind, home, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    monkeypatch.setenv("FLIGHTLOG_AGENT", "never")
    monkeypatch.chdir(home)
    seed = int(os.environ.get("FLIGHTLOG_FAULT_SEED", "0")) or random.randrange(1 << 30)
    chance = random.Random(f"{seed} {kind}")
    kept = Kept(kind, home)
    command = kept.counting(PROGRAM.format(home=home))
    code = CALL.format(made=kept.made.__name__, home=home, command=command)
    callers = []

    def caller():
        one = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        callers.append(one)
        return one

    keep = kept.controller(window_restarts=100000)
    keep.start_process("x", command, daemon_mode=True)
    try:
        for _ in range(ROUNDS):
            while len([one for one in callers if one.poll() is None]) < 2:
                caller()
            for one in callers:
                if one.poll() is None and chance.random() < 0.7:
                    one.stdin.write(chance.choice(["start", "stop", "restart", "restart", "list"]).encode() + b"\n")
                    one.stdin.flush()
            for _ in range(chance.randrange(3)):
                time.sleep(chance.random() * 0.15)  # so that the kill finds any moment of what was asked for
                _kill(kept, chance.choice(["caretaker", "caretaker", "process", "keeper", "shim", "caller"]), callers)
            assert not os.path.exists(os.path.join(home, "double")), (seed, open(os.path.join(home, "double")).read())
    finally:
        for one in callers:
            one.kill()
            one.wait()
    # A caretaker that a killed caller has just started may be on its way still, and what it was told to start is asked for later than our stop.
    wait_until(lambda: _stopped(keep) and kept.folder("x").holder() is None, 60, f"the end of it, seed {seed}")
    assert not os.path.exists(os.path.join(home, "double")), (seed, open(os.path.join(home, "double")).read())
    mark = f"x:{kept.folder('x').read('spec.json')['token']}".encode()
    left = [pid for pid in family.snapshot() if family.variable(pid, family.MARK) == mark and alive(pid)]
    assert not left, (seed, left)
    assert not [pid for pid in kept.starts() if alive(pid)], seed


def _kill(kept, what, callers):
    state = kept.folder("x").read("state.json")
    process = state.get("process") or {}
    keeper = process.get("keeper")
    if what == "caller":
        callers[-1].kill()
        return
    pid = {"caretaker": (state.get("caretaker") or {}).get("pid"), "process": process.get("pid"), "keeper": keeper}.get(
        what
    )
    if what == "shim" and keeper:
        words = process.get("recorder")
        pid = next((one for one in family.snapshot() if one != keeper and family.is_recorder(one, words)), None)
    if pid and alive(pid) and _ours(pid, kept.home):
        os.kill(pid, signal.SIGKILL)


def _ours(pid, home):
    """The state may be old: a pid of somebody else gets no signal of ours."""
    return family.variable(pid, b"FLIGHTLOG_HOME") == home.encode()


def _stopped(keep):
    try:
        return keep.stop_process("x", timeout=0.5)
    except FlightlogError:
        return False
