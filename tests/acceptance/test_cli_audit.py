"""`flightlog audit` as people and scripts call it."""

import json

import pytest

from flightlog import identity
from integration.shipping import execute, log
from unit.query.command import Command
from unit.query.recorded import Recorded, ago


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, home)


def test_all_is_well(flightlog, recorded):
    recorded.run(messages=["a", "b"], at=ago(minutes=1))
    recorded.run("other")
    out, err = flightlog("audit")
    lines = out.splitlines()
    heads = "PIPELINE RUN WRITERS WRITTEN STORED DEAD DROPPED CORRUPT MISSING TWICE UNPROVEN LOST"
    assert lines[0].split() == heads.split()
    assert [line.split()[0] for line in lines[1:4]] == ["orders", "other", "total"]
    assert lines[3].split() == ["total", "2", "8", "8", "0", "0", "0", "0", "0", "0", "0"]
    assert lines[4:] == ["nothing is lost: all 8 records written are stored, each once"]
    assert err == ""
    assert "TOTAL" not in flightlog("audit", "orders")[0]


def test_json(flightlog, recorded):
    run = recorded.run(messages=["a", "b"], at=ago(minutes=1))
    data = json.loads(flightlog("audit", "-o", "json")[0])
    (writer,) = data.pop("writers")
    counts = {
        "written": 4,
        "stored": 4,
        "dead": 0,
        "dropped": 0,
        "corrupt": 0,
        "missing": 0,
        "duplicates": 0,
        "unproven": 0,
    }
    rest = {"drops": {}, "lost_bytes": 0, "torn_bytes": 0, "pending_bytes": 0}
    assert data == {"v": 1, "good": True, **counts, **rest}
    assert {name: writer[name] for name in counts} == counts
    assert (writer["run"], writer["pipeline"], writer["node"], writer["kind"]) == (run, "orders", "testnode", "journal")
    assert (writer["good"], writer["reason"], writer["closed"], len(writer["writer"])) == (True, None, True, 32)


def test_one_deleted_row_is_missing(flightlog, recorded, dsn):
    recorded.run(messages=["a", "b"], at=ago(minutes=1))
    recorded.run("other")
    execute(dsn, "DELETE FROM pipeline_logs WHERE message = 'a'")
    out, _ = flightlog("audit", code=1)
    assert "NOT complete: of 8 records written, 1 missing" in out
    assert "1 missing" in out.splitlines()[-1]
    data = json.loads(flightlog("audit", "orders", "-o", "json", code=1)[0])
    assert (data["good"], data["missing"], data["writers"][0]["missing"]) == (False, 1, 1)
    flightlog("audit", "other")


def test_a_row_stored_twice(flightlog, recorded, dsn):
    recorded.run(messages=["a", "b"], at=ago(minutes=1))
    execute(dsn, "INSERT INTO pipeline_logs SELECT * FROM pipeline_logs WHERE message = 'a'")
    assert "1 stored twice" in flightlog("audit", code=1)[0]


def test_a_broken_ledger_is_unproven_and_says_why(flightlog, recorded, dsn):
    recorded.run(at=ago(minutes=1))
    execute(dsn, "UPDATE pipeline_ship_ledger SET from_offset = 10")
    out, _ = flightlog("audit", "--writers", code=1)
    assert "1 of 1 writers UNPROVEN" in out
    assert "unproven: its ledger has a seam" in out.splitlines()[-1]
    data = json.loads(flightlog("audit", "-o", "json", code=1)[0])
    assert (data["unproven"], data["writers"][0]["unproven"]) == (1, 1)
    assert "seam" in data["writers"][0]["reason"]


def test_a_silent_node(flightlog, dsn, home):
    other = Recorded(dsn, home, node="other")
    run = identity.new_ulid()
    other.write(run, [log(run, "a")])
    other.ship(look_alive=False)
    flightlog("audit")
    execute(dsn, "UPDATE pipeline_agents SET heartbeat_at = now() - interval '2 minutes' WHERE node = 'other'")
    assert "the agent of its node other is silent" in flightlog("audit", code=1)[0]


def test_dead_letters_are_told(flightlog, recorded):
    run = identity.new_ulid()
    recorded.write(run, [log(run, "a"), b"[]"])
    assert "all 2 records written are stored, each once, 1 of them as dead letters" in flightlog("audit")[0]


def test_what_lies_in_the_spool_is_shipped_or_told(dsn, home, recorded):
    run = identity.new_ulid()
    recorded.write(run, [log(run, "x" * 3000)])
    onlooker = Command(f"{dsn} options='-c default_transaction_read_only=on'", home)
    out, err = onlooker("audit")
    assert "nothing is lost so far: " in out and "KiB more wait in the spool" in out
    assert "still to be shipped" in err
    assert "all 1 records written are stored, each once\n" in Command(dsn, home)("audit")[0]


def test_nothing_is_recorded(flightlog):
    assert flightlog("audit") == ("", "nothing was recorded\n")
    assert json.loads(flightlog("audit", "-o", "json")[0])["written"] == 0
    flightlog("audit", "orders", code=4)


def test_a_real_run_by_name(flightlog):
    flightlog("run", "-n", "real", "--", "sh", "-c", "echo one; echo two; exit 3", code=3)
    data = json.loads(flightlog("audit", "real", "-o", "json")[0])
    assert (data["good"], data["missing"], data["pending_bytes"]) == (True, 0, 0)
    assert data["stored"] == data["written"] > 2
    assert sorted(item["kind"] for item in data["writers"]) == ["capture", "capture", "journal"]
