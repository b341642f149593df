"""A run that was killed is resumed by the command line: on its node, and on another one that shares the database only."""

import json
import os
import signal
import subprocess
import sys

import pytest

from unit.query.command import Command

PROGRAM = """
import os, signal, sys
import flightlog

witness, die = sys.argv[1], os.environ.get("DIE", "")
with flightlog.run("orders", source=sys.argv[2]) as run:
    seen = run.checkpoint("cursor")
    with run.stage("load") as stage:
        for item in stage.track(range(12), key=str, every=1):
            with open(witness, "a") as file:
                file.write("%d %d %s\\n" % (run.attempt, item, seen))
            if str(item) == die:
                os.kill(os.getpid(), signal.SIGKILL)
            if item == 4:
                run.checkpoint("cursor", {"row": item, "text": "\\u00e9\\0"})
    with run.stage("report"):
        pass
"""
CURSOR = {"row": 4, "text": "é\0"}


class Scene:
    def __init__(self, dsn, folder):
        self.folder, self.dsn = folder, dsn
        self.program, self.source = folder / "orders.py", folder / "orders.csv"
        self.witness = folder / "witness"
        self.program.write_text(PROGRAM)
        self.source.write_text("rows\n")
        self.command = [sys.executable, str(self.program), str(self.witness), str(self.source)]

    def node(self, home, name):
        return Command(self.dsn, home, FLIGHTLOG_NODE=name)

    def lines(self):
        return [line.split(" ", 2) for line in self.witness.read_text().splitlines()]


@pytest.fixture
def scene(dsn, tmp_path):
    return Scene(dsn, tmp_path)


CAUGHT = """
import sys, flightlog
try:
    with flightlog.run("orders", resume=True) as run:
        with run.stage("load") as stage:
            for item in stage.track(range(12), key=str, every=1):
                if item == 4 and run.attempt == 1:
                    raise ValueError(item)
except ValueError:
    flightlog.get_logger("main").info("it failed, and I go on")
"""


def test_who_names_a_pipeline_means_its_run_and_not_what_its_program_said_behind_it(dsn, home, tmp_path):
    (tmp_path / "orders.py").write_text(CAUGHT)
    here = Command(dsn, home)
    subprocess.run([sys.executable, str(tmp_path / "orders.py")], env=here.environment, check=True)
    here("agent", "run", "--once")
    plan = json.loads(here("resume", "orders", "--plan", "-o", "json")[0])
    assert plan["attempt"] == 2 and plan["stages"][0]["finished"] == 4


@pytest.mark.slow
def test_a_killed_run_is_planned_and_resumed_on_its_node_and_on_another(scene, home, tmp_path):
    here, there = scene.node(home, "one"), scene.node(tmp_path / "second", "two")
    here("run", "--", *scene.command, DIE="8", code=-signal.SIGKILL)

    plan = json.loads(here("resume", "orders", "--plan", "-o", "json")[0])
    assert plan["attempt"] == 2 and plan["command"] == scene.command and plan["unknown"] is None
    assert plan["stages"] == [{"stage": "load", "state": "part", "finished": 8, "total": 12, "again": 4}]
    assert [(one["key"], one["value"]) for one in plan["checkpoints"]] == [("cursor", CURSOR)]
    assert [one["what"] for one in plan["changed"]] in ([], ["written"]) and not plan["stale"] and plan["saved_s"] >= 0
    shown = here("resume", "orders", "--plan")[0]
    assert "8 of 12 items are finished" in shown and "flightlog resume" in shown
    listed = json.loads(here("checkpoints", "orders", "-o", "json")[0])
    assert listed["items"] == [{"stage": "load", "finished": 8}] and listed["values"] == plan["checkpoints"]
    assert "cursor" in here("checkpoints", "orders")[0]

    # on its node, and killed again
    here("resume", "orders", DIE="10", code=-signal.SIGKILL)
    assert json.loads(here("checkpoints", "orders", "-o", "json")[0])["items"][0]["finished"] == 10  # ships as well
    # on the other node, which has the database only
    there("run", "--resume", "orders", "--", *scene.command)
    lines = scene.lines()
    assert [item for attempt, item, _ in lines if attempt == "1"] == [str(n) for n in range(9)]
    assert [item for attempt, item, _ in lines if attempt == "2"] == ["8", "9", "10"]
    assert [item for attempt, item, _ in lines if attempt == "3"] == ["10", "11"]
    assert all(seen == (str(CURSOR) if attempt != "1" else "None") for attempt, _, seen in lines)

    runs = json.loads(there("list", "orders", "-o", "json")[0])["runs"]
    assert [(run["attempt"], run["state"], run["node"]) for run in runs] == [
        (3, "succeeded", "two"),
        (2, "failed", "one"),
        (1, "failed", "one"),
    ]
    assert {run["origin"] for run in runs} == {None, runs[-1]["run"]}
    for command in (("resume", "orders@-2"), ("run", "--resume", "orders", "--", "true")):
        out, err = there(*command, code=6)
        assert "ended well" in err and "Try:" in err
    assert not os.listdir(tmp_path / "second" / "spool" / str(os.geteuid()) / "checkpoints")
    assert len(scene.lines()) == len(lines)


def test_what_may_be_stale_is_refused_until_somebody_insists(scene, home):
    here = scene.node(home, "one")
    here("run", "--", *scene.command, DIE="7", code=-signal.SIGKILL)
    scene.program.write_text(PROGRAM + "\n")
    scene.source.write_text("other rows\n")
    plan = json.loads(here("resume", "orders", "--plan", "-o", "json")[0])
    assert {(one["what"], one["name"]) for one in plan["changed"] if one["what"] != "written"} == {
        ("code", str(scene.program)),
        ("input", str(scene.source)),
    }
    assert plan["stale"]
    _, err = here("resume", "orders", code=6)
    assert "may be stale" in err and str(scene.source) in err and "--yes" in err
    assert {attempt for attempt, _, _ in scene.lines()} == {"1"}
    here("resume", "orders", "--yes")
    assert [item for attempt, item, _ in scene.lines() if attempt == "2"] == [str(n) for n in range(7, 12)]


def test_a_run_that_goes_on_or_whose_command_is_not_known_is_refused(scene, home):
    here = scene.node(home, "one")
    ready = scene.folder / "ready"
    code = "import flightlog, sys, time\nwith flightlog.run('daily') as run:\n run.checkpoint('k', 1); open(%r, 'w'); sys.stdin.read()"
    import subprocess

    from waiting import wait_until

    process = subprocess.Popen([sys.executable, "-c", code % str(ready)], env=here.environment, stdin=subprocess.PIPE)
    wait_until(ready.exists, 30, "the run")
    _, err = here("resume", "daily", code=6)
    assert "still goes on" in err
    # for another node it may or may not go on: somebody has to say
    there = scene.node(scene.folder / "second", "two")
    _, err = there("run", "--resume", "daily", "--", "true", code=6)
    assert "on node one" in err and "--yes" in err
    process.kill()
    process.wait(30)
    _, err = here("resume", "daily", code=6)
    assert "not known" in err and "flightlog run --resume" in err
    assert "flightlog run --resume" in here("resume", "daily", "--plan")[0]
    _, err = here("resume", "nothing", code=4)
    assert "nothing" in err
    here("resume", "daily", "-o", "json", code=2)
