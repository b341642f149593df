"""A run that waits behind a backlog is not denied: it is named, with the bytes that wait, and shown from its journal."""

import json
import os
import re

import pytest

from flightlog import identity
from flightlog.agent.door import Door
from integration.shipping import log
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    """Who may not ship: what waits goes on waiting."""
    return Command(f"{dsn} options='-c default_transaction_read_only=on'", home)


@pytest.fixture
def waits(recorded):
    """Write a run that nobody ships; return its id."""

    def write(pipeline="orders", at=None, messages=("one", "two"), header=None):
        at = at or ago(minutes=1)
        run = identity.new_ulid(at)
        told = [event(run, "run.started", at, {"pipeline": pipeline, "kind": "attached"})]
        told += [log(run, message, at + n * SECOND) for n, message in enumerate(messages)]
        told += [event(run, "run.ended", at + 9 * SECOND, {"status": "failed", "by": "sdk"})]
        recorded.write(run, told, header or pipeline)
        return run

    return write


def messages(out):
    return [line.split()[-1] for line in out.splitlines()]


def test_its_lines_are_shown_and_where_they_are_from(flightlog, recorded, waits):
    recorded.run("other")
    run = waits()
    for selector in ("orders", "ord*", "orders@all", run, run[:20], run[-6:].lower()):
        out, err = flightlog("logs", selector)
        assert messages(out) == ["one", "two"], selector
        assert f"-- orders {run[-6:]}: the store has nothing of it yet, its lines are from the spool --\n" in err
        assert re.search(rf"\d B are still to be shipped, all of orders {run[-6:]} among them; ", err)
    lines = [json.loads(line) for line in flightlog("logs", "orders", "-o", "jsonl")[0].splitlines()]
    assert [(line["run"], line["pipeline"], line["pos"]) for line in lines] == [(run, "orders", None)] * 2
    assert flightlog("logs", "orders", "-g", "ON", "-q") == ("", f"{flightlog('logs', 'orders', '-q')[1]}")


def test_what_nobody_has_recorded_is_denied_as_before(flightlog, waits):
    waits()
    assert "no run or pipeline is called nope" in flightlog("logs", "nope", code=4)[1]
    flightlog("logs", "orders@-1", code=4)


def test_the_latest_run_is_the_latest_of_store_and_spool(flightlog, recorded, waits):
    old = recorded.run("orders", at=ago(hours=3), messages=["old"])
    new = waits()
    assert messages(flightlog("logs", "orders")[0]) == ["one", "two"]
    assert messages(flightlog("logs", "orders@-1")[0]) == ["old"]
    for more, wanted in (
        ([], ["old", "one", "two"]),
        (["-n", "2"], ["one", "two"]),
        (["-n", "all"], ["old", "one", "two"]),
        (["-n", "all", "-r"], ["two", "one", "old"]),
        (["-n", "2", "-r"], ["two", "one"]),
        (["-S", "30m"], ["one", "two"]),
        (["-n", "0"], []),
    ):
        assert messages(flightlog("logs", "orders@all", *more)[0]) == wanted, more
    assert [run["run"] for run in json.loads(flightlog("list", "orders", "-o", "json")[0])["runs"]] == [new, old]
    data = flightlog("list", "orders", "--pipelines", "-o", "json")[0]
    assert [run["run"] for run in json.loads(data)["runs"]] == [new]
    assert flightlog("list", "orders", "--pipelines", "--state", "succeeded")[0] == ""
    assert [run["run"] for run in json.loads(flightlog("status", "orders@all", "-o", "json")[0])["runs"]] == [new, old]


def test_status_says_that_it_waits(flightlog, waits):
    run = waits()
    out, _ = flightlog("status", "orders")
    assert f"! orders {run[-6:]} failed" in out
    assert re.search(r"\n  waits     \d+ B in the spool: the store has nothing of it yet\n", out)
    data = json.loads(flightlog("status", "orders", "-o", "json")[0])
    assert (data["run"], data["state"], data["lines"]) == (run, "failed", 2)


def test_the_audit_counts_what_waits(flightlog, recorded, waits):
    recorded.run("orders", at=ago(hours=3))
    run = waits()
    out, _ = flightlog("audit", "orders")
    assert re.search(rf"\norders +{run[-6:]} +1 +0 +0 ", out)
    assert re.search(r"\nnothing is lost so far: all 0 .*; \d+ B more wait in the spool\n$", out)
    (writer,) = json.loads(flightlog("audit", "orders", "-o", "json")[0])["writers"]
    assert (writer["run"], writer["pipeline"], writer["stored"]) == (run, "orders", 0)
    assert writer["pending_bytes"] > 0
    assert {item["pipeline"] for item in json.loads(flightlog("audit", "-o", "json")[0])["writers"]} == {"orders"}


def test_it_has_each_name_that_one_of_its_writers_gave_it(flightlog, recorded):
    run = identity.new_ulid()
    recorded.write(run, [event(run, "run.started", ago(minutes=1), {"pipeline": "etl", "kind": "supervised"})], "etl")
    recorded.write(run, [event(run, "run.adopted", ago(minutes=1), {"pipeline": "orders"}), log(run, "hi")], "orders")
    for name in ("etl", "orders"):
        assert messages(flightlog("logs", name)[0]) == ["hi"]
        assert json.loads(flightlog("status", name, "-o", "json")[0])["pipeline"] == "orders"


def test_what_the_store_has_only_in_parts_is_said_to_be_so(flightlog, recorded, waits):
    run = recorded.run("orders", at=ago(minutes=1), messages=["shipped"], end=None, close=False)
    other = recorded.run("well", messages=["all"])
    recorded.write(run, [log(run, "late")], "orders")
    out, err = flightlog("logs", "orders")
    assert messages(out) == ["shipped"]
    assert re.search(rf"-- orders {run[-6:]}: \d+ B of it wait in the spool, lines may be missing --\n", err)
    assert re.search(r"\n  waits     \d+ B of it in the spool: what is shown may be old\n", flightlog("status", run)[0])
    assert re.search(r"\nnothing is lost so far: all 2 .*; \d+ B more wait in the spool\n$", flightlog("audit", run)[0])
    assert "of it wait" not in flightlog("logs", other)[1]
    assert "waits" not in flightlog("status", other)[0]


def test_follow_waits_until_it_is_shipped(flightlog, recorded, waits, home):
    run = waits()
    ours = Door(str(home))
    assert ours.take()  # nobody else ships
    process = flightlog.start("logs", "orders", "-f")
    told = b""
    while b"following as soon as" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    assert f"-- orders {run[-6:]}: ".encode() in told and b" wait in the spool; following" in told
    recorded.ship()
    out, err = process.communicate(timeout=30)
    assert messages(out.decode()) == ["one", "two"]
    assert f"-- orders {run[-6:]} failed".encode() in err and process.returncode == 0
    ours.leave()


def test_follow_does_not_wait_for_what_has_gone(flightlog, recorded, waits):
    waits()
    process = flightlog.start("logs", "orders", "-f")
    while b"following as soon as" not in process.stderr.readline():
        pass
    for name in os.listdir(recorded.spool):
        os.unlink(os.path.join(recorded.spool, name))
    _, err = process.communicate(timeout=30)
    assert b"has left the spool, and is not in the store" in err and process.returncode == 4


def test_many_runs_are_counted_not_named(flightlog, waits):
    runs = [waits(f"p{n}", ago(minutes=n + 1)) for n in range(5)]
    _, err = flightlog("status")
    named = ", ".join(f"p{n} {run[-6:]}" for n, run in enumerate(runs[:3]))
    assert f"all of {named} and 2 more runs among them" in err


def test_nothing_is_said_when_nothing_waits(flightlog, recorded):
    run = recorded.run("orders", messages=["a"])
    assert flightlog("logs", "orders")[1] == ""
    assert "waits" not in flightlog("status", run)[0]
