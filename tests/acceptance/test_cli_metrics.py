"""`flightlog metrics`: from recorded events, and from a real run, to figures; the account stays right."""

import json
import os
import subprocess
import sys

import pytest
from running import environment

from flightlog import identity
from integration.shipping import fetch, log
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


def looks(run, begin, count, every=5):
    """Memory grows by 1 MiB a look, half a CPU is used, a megabyte is read in the middle."""
    return [
        event(
            run,
            "metrics",
            begin + n * every * SECOND,
            {
                "t": begin + n * every * SECOND,
                "cpu_s": 0.5 * every * n,
                "rss_kb": 1024 * (n + 1),
                "read_b": 10**6 * (n >= count // 2),
                "threads": 3,
                "state": "S",
            },
        )
        for n in range(count)
    ]


@pytest.fixture
def run(recorded):
    begin = ago(minutes=30)
    run = identity.new_ulid(begin)
    payloads = [
        event(run, "run.started", begin, {"pipeline": "orders", "kind": "supervised", "command": ["job"], "pid": 7}),
        *looks(run, begin, 21),
        log(run, "done", begin + 100 * SECOND),
        event(run, "run.ended", begin + 101 * SECOND, {"status": "ok", "exit_code": 0, "by": "shim"}),
    ]
    recorded.write(run, payloads, "orders")
    recorded.ship()
    return run


def test_each_number_is_a_row_and_the_account_stays_right(run, recorded, flightlog, dsn):
    assert fetch(dsn, "SELECT count(*), count(DISTINCT name) FROM pipeline_metrics") == [(84, 4)]
    assert fetch(dsn, "SELECT count(*) FROM pipeline_events WHERE event = 'metrics'") == [(21,)]
    joined = (
        "SELECT count(*) FROM pipeline_metrics m JOIN pipeline_events e USING (run_id, ts, pos, seq, writer_id, node)"
    )
    assert fetch(dsn, joined) == [(84,)]
    audit = json.loads(flightlog("audit", "orders", "-o", "json")[0])
    assert (audit["written"], audit["stored"], audit["missing"], audit["unproven"]) == (24, 24, 0, 0)
    recorded.ship()
    assert fetch(dsn, "SELECT count(*) FROM pipeline_metrics") == [(84,)]
    days = "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass"
    assert fetch(dsn, days, "pipeline_metrics") == fetch(dsn, days, "pipeline_events")


def test_figures(run, flightlog):
    data = json.loads(flightlog("metrics", "orders", "-o", "json")[0])
    assert (data["v"], data["run"], data["pipeline"], data["step_s"]) == (1, run, "orders", 2.0)
    found = {one["name"]: one for one in data["metrics"]}
    assert list(found) == ["cpu_s", "read_b", "rss_kb", "threads"]
    rss = found["rss_kb"]
    assert (rss["kind"], rss["count"], rss["min"], rss["max"], rss["last"]) == ("gauge", 21, 1024, 21504, 21504)
    assert (rss["avg"], rss["p95"], len(rss["points"])) == (11264, 20480, 21)
    cpu = found["cpu_s"]
    assert (cpu["kind"], cpu["count"], cpu["last"]) == ("counter", 20, 50.0)
    assert cpu["min"] == pytest.approx(0.5) and cpu["max"] == pytest.approx(0.5)
    assert found["read_b"]["max"] == pytest.approx(200_000) and found["read_b"]["last"] == 10**6


def test_names_and_steps(run, flightlog):
    data = json.loads(flightlog("metrics", "orders", "--name", "rss", "--step", "50s", "-o", "json")[0])
    ((one,), step) = data["metrics"], data["step_s"]
    assert (one["name"], step) == ("rss_kb", 50.0)
    assert [value for _, value in one["points"]] == [1024 * 5.5, 1024 * 15.5, 1024 * 21]
    assert one["p95"] == 20480  # of the values, not of the steps


def test_what_people_see(run, flightlog):
    out, _ = flightlog("metrics", run[-6:], "--utc", PYTHONIOENCODING="utf-8")
    lines = out.splitlines()
    assert lines[0].startswith(f"orders {run[-6:]} from ") and "1m40s, a step is 2.0s" in lines[0]
    assert lines[1].split() == ["min", "avg", "P95", "max", "total"]
    rss = next(line for line in lines if line.startswith("rss_kb"))
    assert "▁" in rss and "█" in rss and rss.split()[-8:] == ["1.0", "MiB", "11.0", "MiB", "20.0", "MiB", "21.0", "MiB"]
    assert next(line for line in lines if line.startswith("cpu_s/s")).split()[-5:] == [
        "0.50",
        "0.50",
        "0.50",
        "0.50",
        "50",
    ]
    plain, _ = flightlog("metrics", "orders", PYTHONIOENCODING="ascii")
    assert plain.isascii() and "#" in plain


def test_csv(run, flightlog):
    out, _ = flightlog("metrics", "orders", "--name", "threads", "-o", "csv", "--step", "1m")
    head, *rows = out.splitlines()
    assert head == "run,ts,name,value" and len(rows) == 2
    assert all(row.startswith(f"{run},") and row.endswith(",threads,3.0") for row in rows)


def test_a_run_without_metrics(flightlog, recorded):
    recorded.run("fine")
    assert "no metrics are recorded" in flightlog("metrics", "fine")[0]
    assert json.loads(flightlog("metrics", "fine", "-o", "json")[0])["metrics"] == []


def test_wrong_usage(run, flightlog):
    assert "Try: flightlog metrics" in flightlog("metrics", code=2)[1]
    assert "no such step" in flightlog("metrics", "orders", "--step", "soon", code=2)[1]
    assert "no such step" in flightlog("metrics", "orders", "--step", "1ms", code=2)[1]
    flightlog("metrics", "nobody", code=4)


def test_a_refused_metric_costs_nothing_but_itself(recorded, flightlog, dsn, monkeypatch):
    """A row that PostgreSQL refuses: the event and everything else is stored, and shipping goes on."""
    from flightlog.agent import metric_rows

    monkeypatch.setattr(metric_rows, "escape", lambda text: "a\tb")
    begin = ago(minutes=5)
    run = identity.new_ulid(begin)
    recorded.write(run, [*looks(run, begin, 3), log(run, "said", begin)], "odd")
    recorded.ship()
    assert fetch(dsn, "SELECT count(*) FROM pipeline_metrics") == [(0,)]
    assert fetch(dsn, "SELECT count(*) FROM pipeline_events") == [(3,)]
    assert fetch(dsn, "SELECT message FROM pipeline_logs") == [("said",)]


def test_from_a_real_run_to_figures(dsn, home, flightlog):
    """A program that takes 50 MiB and a CPU, with a child that dies: through keeper, agent and database."""
    source = """
import os, time
block = bytearray(50 << 20)
block[::4096] = b"x" * len(block[::4096])
if os.fork() == 0:
    while time.process_time() < 0.5: pass
    os._exit(0)
os.wait()
time.sleep(2)
"""
    config = os.path.join(home, "config.yml")
    with open(config, "w") as file:
        file.write("monitoring:\n  enabled: true\nmetrics:\n  interval: 1s\n")
    env = environment(home, FLIGHTLOG_CONFIG=config, FLIGHTLOG_DSN=dsn, FLIGHTLOG_NODE="testnode")
    command = [sys.executable, "-m", "flightlog", "run", "--", sys.executable, "-c", source]
    subprocess.run(command, env=env, check=True, timeout=60)
    data = json.loads(flightlog("metrics", "python", "-o", "json", FLIGHTLOG_HOME=home)[0])
    found = {one["name"]: one for one in data["metrics"]}
    assert found["rss_kb"]["max"] > 50 << 10 and found["cpu_s"]["last"] >= 0.5 and found["procs"]["last"] == 1
    assert json.loads(flightlog("audit", "python", "-o", "json", FLIGHTLOG_HOME=home)[0])["missing"] == 0
