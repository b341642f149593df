"""Figures add up whoever counts them, are written now and then, and lose nothing that the docstring does not say."""

import math
import os
import random
import sys

import pytest

from acceptance import running
from flightlog.sdk.figures import COUNTER, HISTOGRAM, Figure

SRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "src")


def figures(home):
    """The last word about each figure, by (process, stage, name)."""
    found = {}
    for record in running.records(home):
        if record.get("ev") == "figures":
            for one in record["x"]["figures"]:
                found.setdefault((record.get("s", ""), one["name"]), []).append(one)
    return found


def program(home, code, **more):
    done = running.run([sys.executable, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC, **more))
    assert done[2] == b"", done
    return done


def test_a_histogram_knows_its_percentiles():
    chance = random.Random(7)
    values = [chance.lognormvariate(0, 2) for _ in range(3000)]
    parts = [Figure() for _ in range(3)]
    for index, value in enumerate(values):
        parts[index % 3].add(value, index, HISTOGRAM)
    whole = Figure()
    for part in parts:
        whole.merge(part)
    values.sort()
    for share in (0.01, 0.5, 0.9, 0.99):
        assert whole.percentile(share) == pytest.approx(values[math.ceil(share * len(values)) - 1], rel=0.05)
    assert (whole.count, whole.least, whole.most) == (3000, values[0], values[-1])
    assert whole.last == parts[2].last and whole.total == pytest.approx(sum(values))


def test_what_is_not_above_zero_has_a_place_as_well():
    figure = Figure()
    for value in (-5.0, 0.0, 0.0, 8.0):
        figure.add(value, 1, HISTOGRAM)
    assert figure.percentile(0.5) == 0 and figure.percentile(1) == 8
    figure = Figure()
    figure.add(-5.0, 1, HISTOGRAM)
    assert figure.said(HISTOGRAM)["p50"] == -5 and figure.said(COUNTER) == {"value": -5, "count": 1}


def test_threads_and_stages_and_rows(home):
    program(
        home,
        """
import flightlog, threading
with flightlog.run("r") as run:
    with run.stage("load") as stage:
        def work():
            for n in range(1000):
                run.metric("n", 1, "counter"); stage.rows(read=2, written=1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
    for n in (5, 9, 7): run.metric("depth", n, unit="jobs")
    run.rows(read=3)
""",
    )
    found = figures(home)
    assert found["load", "n"][-1]["value"] == 4000 and found["load", "rows_read"][-1]["value"] == 8000
    depth = found["", "depth"][-1]
    assert (depth["value"], depth["min"], depth["max"], depth["unit"]) == (7, 5, 9, "jobs")
    assert len(found["load", "n"]) < 100
    ends = {r["ev"]: r["x"] for r in running.records(home) if r.get("ev") in ("stage.ended", "run.ended")}
    assert ends["stage.ended"]["rows"] == {"read": 8000, "written": 4000}
    assert ends["run.ended"]["rows"] == {"read": 8003, "written": 4000}


def test_strange_values_and_names_raise_nothing_and_are_left_out(home):
    program(
        home,
        """
import flightlog
class Odd:
    def __float__(self): raise KeyError
    def __str__(self): raise KeyError
with flightlog.run("r") as run:
    for value in (float("nan"), float("inf"), "x", None, Odd(), [], 10**400): run.metric("bad", value)
    run.metric("bad", 1, "no such kind"); run.metric([], 1); run.metric(Odd(), 1); run.metric("good", True)
    run.metric("x" * 500, 2); run.metric("api_key=abcdefghijklmnop1234", 3)
    for n in range(1200): run.metric("m%d" % n, n)
    with run.stage("s") as stage:
        stage.rows(read="x"); stage.progress("x", total=[]); stage.progress(1, 2, note=Odd()); stage.advance("y")
    run.event("run.ended", status="no"); run.event("metrics", a=1); run.event("done", name=1, self=2); run.event(Odd())
run.metric("after", 1); run.event("after")
""",
    )
    names = {name for _, name in figures(home)}
    assert {"good", "x" * 100} <= names and "bad" not in names
    assert not any("abcdefghijklmnop1234" in name for name in names)
    assert sum(name.startswith("m") for name in names) < 1000
    refused = [r["x"].get("refused") for r in running.records(home) if r.get("ev") == "figures"]
    assert refused[-1] > 200
    events = [(r["ev"], r["x"]) for r in running.records(home) if r["k"] == "event"]
    assert ("user.run.ended", {"status": "no"}) in events and ("user.metrics", {"a": 1}) in events
    assert ("done", {"name": 1, "self": 2}) in events
    assert [name for name, _ in events].count("run.ended") >= 1


@pytest.mark.parametrize(
    ("end", "wanted"),
    [
        ("sys.exit(3)", 100),
        ("raise KeyError", 100),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1),  # the first was written at once; a second had not passed
        ("log.info('x'); os.kill(os.getpid(), signal.SIGKILL)", 1),
        (
            "flightlog.sdk.figures._due = 0; recorder.check_at = 0; log.info('x'); os.kill(os.getpid(), signal.SIGKILL)",
            100,
        ),
    ],
)
def test_what_is_lost_when_a_process_ends(home, end, wanted):
    code = (
        "import flightlog, os, signal, sys\n"
        "from flightlog.sdk.recorder import recorder\n"
        "log = flightlog.get_logger('x')\n"
        "with flightlog.run('r') as run:\n"
        "    for n in range(100): run.metric('n', 1, 'counter')\n"
        f"    {end}\n"
    )
    running.run([sys.executable, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC))
    assert figures(home)["", "n"][-1]["value"] == wanted


def test_a_forked_worker_counts_for_itself(home):
    program(
        home,
        """
import flightlog, multiprocessing
def work():
    for _ in range(10): run.metric("n", 1, "counter")
if __name__ == "__main__":
    with flightlog.run("r") as run:
        for _ in range(100): run.metric("n", 1, "counter")
        process = multiprocessing.get_context("fork").Process(target=work); process.start(); process.join()
""",
    )
    values = [one["value"] for one in figures(home)["", "n"]]
    assert 10 in values and values[-1] == 100
