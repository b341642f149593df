"""Keeper and shim are both killed with -9 while the command lives: it is kept all the same, no second copy runs beside it, and that is said."""

import os
import signal
import subprocess
import sys

import pytest

from acceptance.test_kept_runs import recorders
from conformance.kept import Kept, alive
from flightlog import identity
from waiting import wait_until

# Adopts orphans and reaps none, as many a container's first process does.
SLOPPY = """
import sys
from flightlog.process import linux
from flightlog.process.enhanced import EnhancedProcessController
linux.become_subreaper()
print(EnhancedProcessController(home={home!r}).start_process("api", {command!r}, daemon_mode=True), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def kept(home, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    monkeypatch.setenv("FLIGHTLOG_AGENT", "never")
    monkeypatch.chdir(home)
    return Kept("enhanced", home)


def kill_recorders(kept):
    """Kill both; the keeper stands still first, so that it does not take over from the shim."""
    keeper = kept.folder("api").read("state.json")["process"]["keeper"]
    (shim,) = [pid for pid in recorders(kept, "api") if pid != keeper]
    os.kill(keeper, signal.SIGSTOP)
    wait_until(lambda: identity.process_state(keeper) == "T")
    for pid in (shim, keeper):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(shim) and not alive(keeper))
    return keeper


def said(kept):
    return "unrecorded" in (kept.status("api")["problem"] or "")


@pytest.mark.parametrize("then", ["stop", "restart", "start", "killed"])
def test_what_lost_its_recorders_is_kept_as_one_copy(kept, then):
    # Who restarts notes whether the copy before it lives.
    body = "before = int(os.pread(fd, 65536, 0).split()[-2]) if count > 1 else 0\nif before and os.path.exists('/proc/%d' % before): os.write(fd, b'0\\n')\ntime.sleep(1000)"
    first = kept.keep.start_process("api", kept.counting(body), daemon_mode=True)
    wait_until(kept.starts)
    kill_recorders(kept)
    wait_until(lambda: said(kept), what="it to be said")
    found = kept.status("api")
    assert (found["state"], found["pid"]) == ("running", first) and alive(first)
    assert kept.starts() == [first]
    if then == "restart":
        assert kept.keep.restart_process("api") != first
    elif then == "start":
        with pytest.raises(Exception, match=str(first)):
            kept.keep.start_process("api", ["sleep", "1000"])
    elif then == "killed":
        os.kill(first, signal.SIGKILL)
    if then in ("restart", "killed"):
        wait_until(lambda: len(kept.starts()) == 2)
        kept.await_state("api", "running")
        assert not alive(first) and 0 not in kept.starts() and not said(kept)
    assert kept.keep.stop_process("api") and not any(map(alive, kept.starts()))


def test_a_keeper_that_nobody_reaps_does_not_pass_for_a_living_one(kept):
    """Caretaker, keeper and shim are killed below a parent that reaps nobody: the next caretaker finds the command."""
    command = kept.counting("time.sleep(1000)")
    parent = subprocess.Popen(
        [sys.executable, "-c", SLOPPY.format(home=kept.home, command=command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        first = int(parent.stdout.readline())
        wait_until(kept.starts)
        kept.kill_caretaker("api")
        keeper = kill_recorders(kept)
        assert identity.process_state(keeper) == "Z" and alive(first)
        found = kept.status("api")
        assert (found["state"], found["pid"]) == ("running", first) and said(kept)
        assert kept.starts() == [first] and kept.folder("api").read("state.json")["process"]["keeper"] == 0
        assert kept.keep.stop_process("api") and not alive(first)
    finally:
        parent.kill()
        parent.communicate()


def test_what_a_dead_command_has_left_is_not_taken_for_it(kept):
    """Caretaker and keeper are killed; the shim ends the command, but a child goes on, and with it the shim that reads its output."""
    body = "if os.fork() == 0: os.setsid(); time.sleep(1000)\nprint('ready', flush=True)\ntime.sleep(1000)"
    first = kept.keep.start_process("api", kept.counting(body), daemon_mode=True)
    wait_until(lambda: kept.output("api"))
    keeper = kept.folder("api").read("state.json")["process"]["keeper"]
    (shim,) = [pid for pid in recorders(kept, "api") if pid != keeper]
    kept.kill_caretaker("api")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not alive(first) and kept.folder("api").read("record.json"), what="the shim to end the command")
    assert alive(shim)
    end = kept.status("api")
    assert end["verdict"] not in (None, "unknown"), end  # as the shim has put it on record
    wait_until(lambda: len(kept.starts()) == 2, what="it to be started again")
    found = kept.await_state("api", "running")
    assert found["pid"] == kept.starts()[1] and not alive(shim)
    assert kept.keep.stop_process("api") and not any(map(alive, kept.starts()))
