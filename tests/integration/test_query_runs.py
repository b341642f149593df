"""Runs as rows, and their lists."""

import pytest

from flightlog import identity
from flightlog.errors import NotFound, SinkError
from flightlog.query.runs import get, last_line, latest_of_each, list_runs
from flightlog.store.db import connect
from integration.shipping import log
from unit.query.recorded import SECOND, Recorded, ago, event, moment


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def connection(dsn):
    with connect(dsn, "test") as one:
        yield one


def test_every_fact_of_a_run(connection, recorded):
    at = ago(minutes=5) // 1000 * 1000
    parent = identity.new_ulid(at)
    run = identity.new_ulid(at)
    data = {
        "pipeline": "orders",
        "kind": "supervised",
        "command": ["python", "a b.py"],
        "pid": 7,
        "cwd": "/w",
        "user": "eve",
    }
    payloads = [
        event(run, "run.started", at, {**data, "parent": parent, "origin": parent, "attempt": 2}),
        event(run, "stage.started", at, {}, s="load/merge"),
        event(run, "progress", at, {"done": 3, "total": 9}, s="load/merge"),
        log(run, "odd", at + SECOND, lv=30),
        log(run, "worse", at + 2 * SECOND, lv=40),
        event(run, "run.ended", at + 3 * SECOND, {"status": "failed", "term_signal": "SIGSEGV", "wait_status": 139}),
    ]
    recorded.write(run, payloads)
    recorded.ship()
    found = get(connection, run)
    assert (found.pipeline, found.node, found.kind, found.state) == ("orders", "testnode", "supervised", "failed")
    assert (found.parent, found.origin, found.attempt) == (parent, parent, 2)
    assert (found.command, found.pid, found.cwd, found.os_user) == (["python", "a b.py"], 7, "/w", "eve")
    assert (found.exit_code, found.term_signal, found.wait_status) == (None, "SIGSEGV", 139)
    assert (found.verdict, found.confidence) == ("native-crash", "likely")
    assert (found.started_at, found.ended_at) == (moment(at), moment(at + 3 * SECOND))
    assert found.started_at.utcoffset().total_seconds() == 0
    assert (found.lines, found.warnings, found.errors) == (2, 1, 1)
    assert (found.stage, found.progress) == ("load/merge", {"done": 3, "total": 9, "stage": "load/merge"})
    assert (found.short, found.seconds, found.final, found.end) == (run[-6:], 3.0, True, "SIGSEGV")
    assert found.ending == "SIGSEGV (native-crash)"
    assert last_line(connection, run) == ("ERROR", "worse", moment(at + 2 * SECOND))


def test_a_run_that_goes_on(connection, recorded, dsn):
    run = recorded.run(at=ago(minutes=2), end=None)
    with connect(dsn, "test") as other:
        other.execute("UPDATE pipeline_runs SET state = 'running', ended_at = NULL")
    found = get(connection, run)
    assert (found.final, found.ending) == (False, "")
    assert 119 < found.seconds < 200


def test_a_run_without_lines_has_no_last_one(connection, recorded):
    assert last_line(connection, recorded.run(messages=())) is None


def test_filters_and_order(connection, recorded):
    times = {"a": 50, "b": 40, "c": 30, "d": 20}
    names = {
        name: recorded.run(
            "x" if name in "ab" else "y",
            at=ago(minutes=minutes),
            messages=["m"] * (minutes % 7 + 1),
            end=("failed", 1) if name in "bd" else ("ok", 0),
        )
        for name, minutes in times.items()
    }
    back = {run: name for name, run in names.items()}

    def listed(**filters):
        return "".join(back[run.run] for run in list_runs(connection, **filters))

    assert listed() == "dcba"
    assert listed(pipelines=["x"]) == "ba"
    assert listed(pipelines=["x", "y"], limit=3) == "dcb"
    assert listed(states=["failed"]) == "db"
    assert listed(states=["failed", "succeeded"], pipelines=["y"]) == "dc"
    assert listed(since=moment(ago(minutes=35))) == "dc"
    assert listed(runs=[names["a"], names["c"]]) == "ca"
    assert listed(runs=[]) == ""
    by_lines = sorted(times, key=lambda name: (times[name] % 7, -times[name]))
    assert listed(sort="lines", smallest_first=False) == "".join(reversed(by_lines))
    assert listed(sort="lines", limit=1) == by_lines[-1]
    assert listed(sort="started", smallest_first=True) == "abcd"
    assert listed(sort="ended", smallest_first=True) == "abcd"
    for sort in ("duration", "warnings", "errors", "ended"):
        assert sorted(listed(sort=sort)) == list("abcd")


def test_the_latest_of_each_pipeline(connection, recorded):
    for minutes in (30, 20, 10):
        for name in ("b", "a", "C", "é"):
            recorded.run(name, at=ago(minutes=minutes), messages=())
    latest = {name: recorded.run(name, messages=()) for name in ("b", "a")}
    found = latest_of_each(connection)
    assert sorted(run.pipeline for run in found) == sorted(["b", "a", "C", "é"])
    assert {run.pipeline: run.run for run in found if run.pipeline in latest} == latest


def test_nothing_is_recorded(connection):
    assert latest_of_each(connection) == list_runs(connection) == []
    with pytest.raises(NotFound):
        get(connection, "01M86ZYTH9FGWWWGERS15X8FFQ")


def test_a_store_that_is_gone_says_so(connection):
    connection.close()
    with pytest.raises(SinkError):
        list_runs(connection)
