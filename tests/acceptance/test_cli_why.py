"""`flightlog why`: from recorded ends, and from a real death to the page."""

import json
import os
import sys

import pytest

from flightlog import identity
from integration.shipping import log, sink_for
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


def explained(flightlog, *selectors):
    return json.loads(flightlog("why", *selectors, "-o", "json")[0])


def ended(recorded, data, pipeline="orders", at=None, lines=("began",), **header):
    at = at or ago(minutes=1)
    run = identity.new_ulid(at)
    payloads = [
        event(run, "run.started", at, {"pipeline": pipeline, "kind": "supervised", "command": ["job", "b"], "pid": 7}),
        *[log(run, text, at + n + 1) for n, text in enumerate(lines)],
        event(run, "run.ended", at + SECOND, {"status": "failed", "by": "shim", **data}),
    ]
    recorded.write(run, payloads, pipeline, **header)
    recorded.ship()
    return run


def test_without_a_run_it_is_the_latest_that_failed(flightlog, recorded):
    recorded.run("orders", at=ago(hours=2))
    ended(recorded, {"term_signal": "SIGKILL", "oom_kills": 1, "cgroup": {"limit": 1 << 30, "peak": 1 << 30}})
    recorded.run("fine")
    out, _ = flightlog("why")
    assert "SIGKILL" in out.splitlines()[0] and "verdict   oom-cgroup, likely" in out
    assert "peak 1024 MiB, limit 1024 MiB" in out and "raise the memory limit" in out
    assert "command: job -> job b" in out and "since the last good run" in out


def test_what_is_ruled_out_and_what_the_kernel_said(flightlog, recorded):
    ended(
        recorded, {"term_signal": "SIGKILL", "kernel": ["Out of memory: Killed process 7 (job)"], "kernel_read": True}
    )
    found = explained(flightlog, "orders")
    assert (found["verdict"], found["confidence"]) == ("oom-host", "proven")
    assert any("Killed process 7" in sentence for sentence in found["evidence"])
    assert any("nobody asked" in sentence for sentence in found["ruled_out"])


def test_nothing_that_a_program_said_steers_the_terminal(flightlog, recorded):
    ended(recorded, {"exit_code": 3, "tail": "\x1b]0;owned\x07 last"}, lines=("\x1b[31mred",))
    out, _ = flightlog("why", "orders")
    assert "\x1b" not in out and "\\x1b[31mred" in out


def test_a_program_that_nobody_supervised_is_explained_by_its_records(flightlog, recorded):
    at = ago(minutes=1)
    run = identity.new_ulid(at)
    trace = {"type": "KeyError", "module": "builtins", "message": "'a'", "frames": [], "cause": None, "context": None}
    payloads = [
        event(run, "run.started", at, {"pipeline": "own", "kind": "attached", "pid": 7}),
        event(run, "run.ended", at + SECOND, {"status": "failed", "by": "sdk", "error": trace, "exit_code": 1}),
    ]
    recorded.write(run, payloads, "own")
    recorded.ship()
    found = explained(flightlog, "own")
    assert (found["verdict"], found["confidence"]) == ("python-exception", "proven")


def test_a_success_unlike_those_before_it_is_odd(flightlog, recorded):
    for hours in range(9, 2, -1):
        recorded.run("orders", at=ago(hours=hours), messages=["row"] * 40)
    recorded.run("orders", at=ago(minutes=1), messages=["nothing to do"])
    found = explained(flightlog, "orders")
    assert (found["verdict"], found["confidence"]) == ("ok-odd", "likely")
    assert "7 good runs had 40 to 40" in found["evidence"][0]
    assert explained(flightlog, "orders@-1")["verdict"] == "ok"


def test_a_run_that_nobody_saw_the_end_of(flightlog, recorded):
    runs = {}
    for boot, verdict in ((identity.boot_id(), "unknown"), ("0" * 31 + "1", "host-restart")):
        at = ago(hours=1)
        runs[verdict] = run = identity.new_ulid(at)
        told = event(run, "run.started", at, {"pipeline": verdict, "kind": "attached", "pid": 7})
        recorded.write(run, [told], verdict, boot=boot)
    recorded.ship()
    assert set(sink_for(recorded.dsn).lost([])) == set(runs.values())
    for verdict in runs:
        found = explained(flightlog, verdict)
        assert (found["state"], found["verdict"]) == ("lost", verdict)


def test_none_failed(flightlog, recorded):
    recorded.run("fine")
    _, err = flightlog("why", code=4)
    assert "Error:" in err


DIES = "import os, logging; logging.warning('last word'); os.kill(os.getpid(), 11)"


def test_from_a_real_death_to_the_page(home, dsn):
    command = Command(dsn, home)
    command("run", "-n", "crash", "--", sys.executable, "-c", DIES, code=-11)
    command("run", "-n", "fails", "--", "sh", "-c", "echo no input >&2; exit 3", code=3)
    found = explained(command, "crash")
    assert (found["verdict"], found["confidence"], found["term_signal"]) == ("native-crash", "likely", "SIGSEGV")
    assert found["last_lines"][-1]["message"] == "last word"
    found = explained(command, "fails")
    assert (found["verdict"], found["exit_code"]) == ("exit-status", 3)
    assert any("no input" in sentence for sentence in found["evidence"])
    assert not [
        name for name in os.listdir(os.path.join(home, "spool", str(os.geteuid()))) if name.endswith(".evidence")
    ]
