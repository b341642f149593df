"""A run whose processes were all killed is lost for who looks, also where no agent runs; one that goes on is not."""

import json
import os
import signal

import pytest
import running

from flightlog import identity
from flightlog.agent.door import Door
from unit.query.command import Command
from waiting import wait_until


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, home)


def states(flightlog):
    return {run["pipeline"]: run["state"] for run in json.loads(flightlog("list", "-o", "json")[0])["runs"]}


def test_what_nobody_can_end_is_lost(flightlog, home):
    command = ("sh", "-c", "echo hi; exec sleep 60")
    run = flightlog.start("run", "-n", "killed", "--", *command)
    other = flightlog.start("run", "-n", "alive", "--", *command)
    try:
        shims = [running.shim_and_child(process.pid)[0] for process in (run, other)]
        assert [process.stdout.readline() for process in (run, other)] == [b"hi\n", b"hi\n"]
        wait_until(lambda: states(flightlog) == {"killed": "running", "alive": "running"}, 20, "both to be known")
        for pid in (run.pid, shims[0]):
            os.kill(pid, signal.SIGKILL)
        run.wait(timeout=20)
        wait_until(lambda: identity.process_state(shims[0]) in ("", "Z"), 20, "the shim to be dead")
        assert states(flightlog) == {"killed": "lost", "alive": "running"}
        assert "no end was recorded" in flightlog("status", "killed")[0]
        out, _ = flightlog("audit", "killed", code=1)
        assert "NOT proven complete: " in out and "2 of 3 writers UNPROVEN" in out
        assert out.count("unproven: its run has no end: nobody can say what was left in the pipe") == 2
        assert "unproven" not in flightlog("audit", "alive")[0]
    finally:
        other.terminate()
        other.communicate(timeout=30)
    assert states(flightlog)["alive"] == "failed"


def test_looking_does_not_ship_where_nobody_has_died(flightlog, home):
    """Who lives holds his lock: nothing is done, and nobody is asked."""
    run = flightlog.start("run", "-n", "alive", "--", "sh", "-c", "echo hi; exec sleep 60")
    try:
        assert run.stdout.readline() == b"hi\n"
        wait_until(lambda: states(flightlog) == {"alive": "running"}, 20, "it to be known")
        before = os.stat(os.path.join(home, "agent.lock")).st_mtime_ns
        flightlog("list")
        assert os.stat(os.path.join(home, "agent.lock")).st_mtime_ns == before
        assert Door(home).take()
    finally:
        run.terminate()
        run.communicate(timeout=30)
