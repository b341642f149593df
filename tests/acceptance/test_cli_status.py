"""`flightlog status` as people call it."""

import json
import os
import re
import sys

import pytest

from flightlog import identity
from integration.shipping import execute, log
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


def going_on(recorded, pipeline="orders", at=None):
    at = at or ago(minutes=3)
    run = identity.new_ulid(at)
    payloads = [
        event(
            run,
            "run.started",
            at,
            {"pipeline": pipeline, "kind": "attached", "command": ["python", "a b.py"], "pid": 7},
        ),
        event(run, "stage.started", at, {}, s="load"),
        event(run, "progress", at, {"done": 30, "total": 120}, s="load"),
        log(run, "thirty\x1b[31m done", at + SECOND, lv=30, s="load"),
    ]
    recorded.write(run, payloads, pipeline)
    recorded.ship(look_alive=False)
    return run


def test_what_needs_attention_comes_first(flightlog, recorded):
    recorded.run("fine", at=ago(hours=1))
    recorded.run("bad", at=ago(hours=3), end=("failed", 3))
    recorded.run("was-bad", at=ago(hours=2), end=("failed", 3))
    recorded.run("was-bad", at=ago(minutes=50))
    going_on(recorded, "live")
    lines = flightlog("status")[0].splitlines()
    assert lines[0].startswith("1 needs attention, 1 running, 2 fine   node testnode   spool all shipped")
    assert [line.split()[2] for line in lines[2:]] == ["bad", "live", "was-bad", "fine"]
    assert "load 30/120" in lines[3]


def test_a_run_that_goes_on(flightlog, recorded):
    run = going_on(recorded)
    out, err = flightlog("status", "orders")
    lines = out.splitlines()
    assert lines[0] == f"> orders {run[-6:]} running"
    facts = {line[2:11].strip(): line[12:] for line in lines[1:]}
    assert facts["run"] == run
    assert " UTC, for 3m" in facts["began"]
    assert facts["command"] == "python 'a b.py'"
    assert facts["process"] == "7 on testnode, user -, in - (attached)"
    assert re.fullmatch(
        r"\[######\.{18}\] 25 %  30 of 120, for 3m\d\ds, 0\.1\d\d/s, (9|10)m\d\ds left", facts["progress"]
    )
    assert facts["lines"] == "1, 1 warning, 0 errors"
    assert facts["last line"].endswith("WARNING thirty\\x1b[31m done")
    assert "ended" not in facts
    assert err == ""
    assert all(len(line) <= 60 for line in flightlog("status", "orders", COLUMNS="60")[0].splitlines()[1:])


def test_a_run_that_failed(flightlog, recorded):
    run = recorded.run(end=("failed", "SIGSEGV"), at=ago(minutes=1))
    lines = flightlog("status", "orders")[0].splitlines()
    assert lines[0] == f"! orders {run[-6:]} failed: SIGSEGV   verdict native-crash, likely"
    assert lines[3].startswith("  ended ")


def test_json_of_one_run(flightlog, recorded):
    run = going_on(recorded)
    data = json.loads(flightlog("status", "orders", "-o", "json")[0])
    wanted = {
        "v": 1,
        "run": run,
        "short": run[-6:],
        "pipeline": "orders",
        "state": "running",
        "exit_code": None,
        "term_signal": None,
    }
    wanted |= {"verdict": None, "confidence": None, "ended_at": None, "pid": 7, "node": "testnode", "stage": "load"}
    wanted |= {"progress": {"done": 30, "total": 120, "stage": "load"}, "lines": 1, "warnings": 1, "errors": 0}
    assert {name: data[name] for name in wanted} == wanted
    assert data["started_at"].endswith("Z")
    recorded.run(end=("failed", 3))
    data = json.loads(flightlog("status", "orders", "-o", "json")[0])
    assert (data["state"], data["exit_code"], data["verdict"], data["confidence"]) == (
        "failed",
        3,
        "exit-status",
        "proven",
    )
    assert data["progress"] is None
    assert data["ended_at"] > data["started_at"]


def test_the_exception_that_ended_a_supervised_pipeline_is_told(flightlog, tmp_path):
    script = tmp_path / "job.py"
    script.write_text("import flightlog\nwith flightlog.run('orders'):\n    raise ValueError('two columns\\ndiffer')\n")
    run = flightlog.start("run", "--", sys.executable, str(script))
    assert b"ValueError" in run.communicate(timeout=60)[1]
    data = json.loads(flightlog("status", "orders", "-o", "json")[0])
    assert data["error"] == {"type": "ValueError", "module": "builtins", "message": "two columns\ndiffer"}
    assert (data["state"], data["exit_code"]) == ("failed", 1)
    assert "  error     ValueError: two columns\\ndiffer\n" in flightlog("status", "orders")[0]


def test_json_of_several_runs(flightlog, recorded):
    first = recorded.run(at=ago(hours=1))
    second = recorded.run("other")
    assert json.loads(flightlog("status", "-o", "json")[0])["runs"][0]["run"] == second
    data = json.loads(flightlog("status", "orders", "other", "-o", "json")[0])
    assert (data["v"], [run["run"] for run in data["runs"]]) == (1, [second, first])


def test_exit_codes(flightlog, recorded, dsn):
    recorded.run("good", at=ago(hours=1))
    recorded.run("bad", end=("failed", 3))
    flightlog("status", "good", "--exit-code")
    flightlog("status", "bad", "--exit-code", code=1)
    flightlog("status", "bad")
    flightlog("status", "--exit-code", code=1)
    flightlog("status", "good", "bad", "--exit-code", "-o", "json", code=1)
    execute(dsn, "UPDATE pipeline_runs SET state = 'lost' WHERE pipeline = 'good'")
    flightlog("status", "good", "--exit-code", code=1)
    assert "no end was recorded" in flightlog("status", "good")[0]
    flightlog("status", "nobody", code=4)


def test_many_runs_are_a_table(flightlog, recorded):
    for minutes in range(7, 0, -1):
        recorded.run(at=ago(minutes=minutes))
    assert len(flightlog("status", "orders@all")[0].splitlines()) == 8
    assert flightlog("status", "orders", "orders@-1")[0].count("  command ") == 2


def test_nothing_is_recorded(flightlog):
    out, err = flightlog("status")
    assert out == ""
    assert "flightlog run -- COMMAND" in err
    data = json.loads(flightlog("status", "-o", "json")[0])
    assert data.pop("spool")["pressure"] == 0
    assert data == {"v": 1, "runs": []}
    flightlog("status", "--exit-code")


def test_a_name_that_may_still_be_in_the_spool(dsn, home, recorded):
    recorded.run("known")
    run = identity.new_ulid()
    recorded.write(run, [log(run, "x" * 3000)], "fresh")
    flightlog = Command(f"{dsn} options='-c default_transaction_read_only=on'", home)
    for command in ("status", "logs", "list", "audit"):
        out, err = flightlog(command, "frosh", code=4)
        assert (out, "called frosh\nTry: fresh\n" in err) == ("", True)
        assert "KiB are still to be shipped, all of fresh " in err and "; flightlog agent status\nError: " in err


def test_what_waits_in_the_spool_is_said(dsn, home, recorded):
    """The store cannot be written to by this reader: what is recorded on its node is not there yet, and it says so."""
    recorded.run("known")
    run = identity.new_ulid()
    recorded.write(run, [log(run, "x" * 3000)])

    flightlog = Command(f"{dsn} options='-c default_transaction_read_only=on'", home)
    out, err = flightlog("status")
    assert "known" in out
    assert "KiB to ship" in out
    assert err.endswith(f"KiB are still to be shipped, all of orders {run[-6:]} among them; flightlog agent status\n")
