"""`@flightlog.stage` and `@flightlog.run` around every kind of function, in every interpreter found: the program asserts that they are what they were."""

import os
import sys
from collections import Counter

import interpreters
import pytest
import running

import flightlog

SRC = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runs", "decorated.py")
LOGGED = {
    ("plain", "plain"): 1,
    ("named", "named"): 1,
    ("method", "method"): 1,
    ("method", "partial/method"): 1,
    ("static", "static"): 2,
    ("of", "of"): 1,
    ("callable", "object"): 1,
    ("depth", "depth/depth/depth"): 1,
    ("inner", "generator/inner"): 4,
    ("got", "generator/inner"): 2,
    ("thrown in", "generator"): 1,
    ("between", None): 4,
    ("coroutine", "coroutine"): 2,
    ("awaited", "awaited"): 1,
    ("stream", "stream"): 3,
    ("async with", "awaited-stage"): 1,
}
ENDED = {
    **{
        (name, "ok"): 1
        for name in (
            "plain",
            "named",
            "partial",
            "partial/method",
            "method",
            "of",
            "object",
            "awaited",
            "awaited-stage",
        )
    },
    **{(name, "ok"): 2 for name in ("static", "coroutine", "stream")},
    ("depth", "ok"): 1,
    ("depth/depth", "ok"): 1,
    ("depth/depth/depth", "ok"): 1,
    ("generator", "ok"): 3,
    ("generator/inner", "ok"): 3,
    ("generator/inner", "failed"): 1,
    ("fails", "failed"): 1,
    ("leaves", "failed"): 1,
    ("cancelled", "failed"): 1,
}


@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13", "pypy3"])
def test_functions_are_what_they_were_and_have_their_stage(home, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    assert running.run([python, PROGRAM], home, env=running.environment(home, PYTHONPATH=SRC)) == (0, b"well\n", b"")
    found = running.records(home)
    assert Counter((r["m"], r.get("s")) for r in found if r["k"] == "log") == LOGGED
    ends = [r for r in found if r.get("ev") == "stage.ended"]
    assert Counter((r["s"], r["x"]["status"]) for r in ends) == ENDED
    begun = [(r["s"], r["x"]["id"]) for r in found if r.get("ev") == "stage.started"]
    assert sorted(begun) == sorted((r["s"], r["x"]["id"]) for r in ends) and len(set(begun)) == len(begun)
    (failed,) = [r["x"]["error"] for r in ends if r["s"] == "fails"]
    assert (failed["type"], failed["message"], failed["cause"]["type"]) == ("ValueError", "second", "KeyError")
    assert failed["frames"][-1]["func"] == "fails" and all("locals" not in frame for frame in failed["frames"])
    runs = {r["r"]: r["x"] for r in found if r.get("ev") == "run.started"}
    outer = next(iter(runs.values()))
    assert (outer["pipeline"], outer["params"], outer["attempt"], outer["parent"]) == (
        "whole",
        {"kind": "test"},
        1,
        None,
    )
    assert [x["attempt"] for x in runs.values() if x["pipeline"] == "first"] == [1, 2, 3]
    assert {x["parent"] for x in runs.values() if x is not outer} == {next(iter(runs))}
    assert outer["python"].split()[1] and outer["host"] == os.uname().nodename
    states = [r["x"]["status"] for r in found if r.get("ev") == "run.ended"]
    assert states == ["ok"] * len(runs)


def test_forked_workers_count_for_themselves(home):
    code = (
        "import flightlog, multiprocessing\n"
        "def work(n):\n"
        "    for _ in range(n): stage.advance()\n"
        "with flightlog.run('r') as run, run.stage('s', total=20) as stage:\n"
        "    stage.advance(4)\n"
        "    for n in (3, 5):\n"
        "        one = multiprocessing.get_context('fork').Process(target=work, args=(n,)); one.start(); one.join()\n"
    )
    assert running.run([sys.executable, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC))[0] == 0
    told = [r["x"] for r in running.records(home) if r.get("ev") == "progress"]
    assert sorted((one["done"], one["total"]) for one in told) == [(3, 0), (4, 20), (5, 0)]
    assert len({one["id"] for one in told}) == 1


def test_a_forked_child_that_goes_home_through_the_block_ends_nothing(home):
    code = (
        "import flightlog, os, sys\n"
        "with flightlog.run('r') as run, flightlog.stage('s'):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        run.metric('n', 1, 'counter'); run.metric('n', 1, 'counter'); sys.exit(3)\n"
        "    os.waitpid(child, 0)\n"
        "    flightlog.get_logger('x').info('after the child')\n"
    )
    assert running.run([sys.executable, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC))[0] == 0
    found = [record.get("ev") or record.get("m") for record in running.records(home)]
    assert found.count("run.ended") == found.count("stage.ended") == 1
    assert found.index("after the child") < found.index("stage.ended")
    counted = [one for r in running.records(home) if r.get("ev") == "figures" for one in r["x"]["figures"]]
    assert max(one["value"] for one in counted) == 2
