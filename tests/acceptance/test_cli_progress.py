"""From what an SDK records to what `flightlog status` and `flightlog metrics` say: stages that go on, what is left, figures, what a run was made of."""

import json
import os
import subprocess
import sys

import pytest

import flightlog as package
from flightlog import identity
from integration.shipping import fetch
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event

SRC = os.path.dirname(os.path.dirname(os.path.abspath(package.__file__)))
STAGE = {"s": "load", "id": 1}


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


def started(run, begin):
    return [
        event(run, "run.started", begin, {"pipeline": "orders", "kind": "attached", "command": ["job"], "pid": 7}),
        event(run, "stage.started", begin, {"total": 100, "id": 1}, s="load"),
    ]


def told(run, at, begin, done, **more):
    return event(run, "progress", at, {"done": done, "total": 100, "elapsed_ns": at - begin, "id": 1, **more}, s="load")


def earlier(recorded, number, seconds, **more):
    """A run whose second half takes three times as long as its first."""
    begin = ago(days=1) - number * 3600 * SECOND
    run = identity.new_ulid(begin)
    points = [told(run, int(begin + seconds * SECOND * (n / 20) ** 2), begin, 5 * n) for n in range(1, 20)]
    end = begin + seconds * SECOND
    done = {"status": "ok", "duration_ns": seconds * SECOND, "done": 100, "total": 100, "id": 1, **more}
    ends = [
        event(run, "stage.ended", end, done, s="load"),
        event(run, "run.ended", end, {"status": "ok", "exit_code": 0}),
    ]
    recorded.write(run, [*started(run, begin), *points, *ends])


def test_stages_that_go_on(recorded, flightlog, dsn):
    for number in range(8):
        earlier(recorded, number, 400 + 10 * number)
    for number in range(8, 12):
        earlier(recorded, number, 4, passed=90)  # did the rest only: says nothing of the whole
    begin = ago(seconds=100)
    run = identity.new_ulid(begin)
    odd = [{"done": "x", "total": [], "id": {}}, {"done": None}, {}]
    recorded.write(
        run,
        [
            *started(run, begin),
            told(run, begin + 50 * SECOND, begin, 40),
            told(run, begin + 90 * SECOND, begin, 50, rows={"read": 70, "written": 60}, figures={"batch": 3}),
            event(
                run, "progress", begin, {"bar": "download", "id": "b1", "done": 3, "total": 4, "unit": "B"}, s="load"
            ),
            event(run, "progress", begin, {"bar": "over", "id": "b2", "done": 4, "total": 4, "closed": True}, s="load"),
            event(run, "stage.started", begin, {"id": 2}, s="load/done"),
            event(run, "stage.ended", begin, {"id": 2, "status": "ok"}, s="load/done"),
        ],
    )
    recorded.write(run, [event(run, "stage.started", begin, {"total": 10, "id": 9}, s="part")])
    recorded.write(run, [event(run, "progress", begin, {"total": 30, "done": 4, "id": 9}, s="part")])
    recorded.write(run, [event(run, "progress", begin, data, s="odd") for data in odd])
    recorded.write(
        run, [event(run, "progress", begin, {"total": 0, "done": 4, "id": 2}, s="load/done")]
    )  # forked in it
    recorded.write(
        run,
        [
            event(run, "stage.started", begin, {"total": 100, "id": 3}, s="rest"),
            event(run, "progress", begin, {"total": 100, "done": 50, "passed": 50, "id": 3}, s="rest"),
            event(run, "progress", begin + 50 * SECOND, {"total": 100, "done": 60, "passed": 50, "id": 3}, s="rest"),
        ],
    )
    recorded.ship(look_alive=False)
    data = json.loads(flightlog("status", "orders", "-o", "json")[0])
    found = {(one["stage"], one["bar"]): one for one in data["stages"]}
    assert set(found) == {("load", None), ("load", "download"), ("part", None), ("odd", None), ("rest", None)}
    rest = found["rest", None]  # ten of fifty are done, beside those that were done before
    assert rest["rate"] == pytest.approx(10 / 50) and rest["eta_s"] == pytest.approx(4 * rest["elapsed_s"], rel=0.01)
    load = found["load", None]
    assert (load["done"], load["total"], load["percent"], load["processes"]) == (50, 100, 50, 1)
    assert load["rate"] == pytest.approx(10 / 40)
    # As fast as so far it would be 100 s; in all earlier runs the second half took three times as long.
    assert load["eta_s"] == pytest.approx(3 * load["elapsed_s"], rel=0.01) == load["eta_p90_s"]
    assert (load["p90_held"], load["p90_judged"]) == (24, 24)
    assert (load["rows"], load["figures"]) == ({"read": 70, "written": 60}, {"batch": 3})
    part = found["part", None]
    assert (part["done"], part["total"], part["processes"]) == (4, 40, 2)  # of two processes
    assert found["load", "download"]["unit"] == "B" and found["load", "download"]["eta_p90_s"] is None
    lines = [line.strip() for line in flightlog("status", "orders")[0].splitlines() if line.startswith("  progress")]
    assert len(lines) == 5
    (line,) = [line for line in lines if "50 of 100" in line]
    assert "0.250/s" in line and "which held 24 of 24 times)" in line and "70 rows read, 60 written" in line
    assert any("3 of 4" in line and "in the bar download" in line for line in lines)
    # Who has died goes on with nothing.
    fetch_count = "SELECT count(*) FROM pipeline_writers WHERE closed_at IS NULL"
    assert fetch(dsn, fetch_count) != [(0,)]
    recorded.ship()
    assert json.loads(flightlog("status", run, "-o", "json")[0])["stages"] == []


PROGRAM = """
import flightlog
with flightlog.run("orders", day="2026-11-22") as run:
    with run.stage("load", total=2) as stage:
        for n in stage.track([1, 2]): stage.rows(read=10, written=9)
    run.metric("depth", 7, unit="jobs")
    for n in range(100): run.metric("took", n / 10, "histogram", "s")
    run.rows(read=5)
    run.event("published", table="orders")
with run.retry(): pass
"""


def test_what_a_pipeline_says_of_itself(flightlog, home, tmp_path, dsn):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tmp_path / ".git" / "HEAD").write_text(commit)
    (tmp_path / "job.py").write_text(PROGRAM)
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    environment = {**flightlog.environment, "PYTHONPATH": SRC, "TRACEPARENT": header}
    subprocess.run([sys.executable, str(tmp_path / "job.py")], env=environment, check=True, timeout=60)
    again, first = (json.loads(flightlog("status", name, "-o", "json")[0]) for name in ("orders", "orders@-1"))
    assert (first["git"], first["params"], first["rows"]) == (
        commit,
        {"day": "2026-11-22"},
        {"read": 25, "written": 18},
    )
    assert (again["attempt"], again["origin"], again["params"]) == (2, first["run"], first["params"])
    ((data,),) = fetch(dsn, "SELECT data FROM pipeline_runs WHERE run_id = %s", first["run"])
    assert data["traceparent"] == header and data["deps"] and data["host"] == os.uname().nodename
    text = flightlog("status", "orders@-1")[0]
    assert (
        "  params    day=2026-11-22\n" in text and "25 rows read, 18 written" in text and "commit 0123456789ab" in text
    )
    assert f"2, the first was {first['run']}" in flightlog("status", "orders")[0]
    metrics = {one["name"]: one for one in json.loads(flightlog("metrics", "orders@-1", "-o", "json")[0])["metrics"]}
    assert (metrics["rows_read"]["last"], metrics["rows_read"]["kind"]) == (
        25,
        "counter",
    )  # of the stage and of the run
    assert (metrics["depth"]["last"], metrics["depth"]["unit"]) == (7, "jobs")
    assert metrics["took.count"]["last"] == 100 and metrics["took.p90"]["last"] == pytest.approx(8.9, rel=0.05)
    assert "depth jobs" in flightlog("metrics", "orders@-1")[0]
    assert fetch(dsn, "SELECT data FROM pipeline_events WHERE event = 'published'") == [({"table": "orders"},)]
    audit = json.loads(flightlog("audit", "orders@-1", "-o", "json")[0])
    assert (audit["missing"], audit["unproven"]) == (0, 0)
