"""GPU figures from the driver's library, which is a stand-in here, to the database and the command line; and a driver that is broken."""

import json
import os
import signal
import subprocess
import sys

import pytest
from gpus import gpus_fixture, nvml_fixture  # noqa: F401
from running import environment

from integration.shipping import fetch
from unit.query.command import Command
from waiting import wait_until

MIB = 1 << 20
# Two processes, until they are told to end; what they use of GPUs is the stand-in's word.
PROGRAM = """
import os, sys, time
child = os.fork()
if child:
    with open("pids.new", "w") as file:
        file.write("%d %d" % (os.getpid(), child))
    os.rename("pids.new", "pids")
while not os.path.exists("end"):
    time.sleep(0.02)
sys.exit(3 if child else 0)
"""


class Node:
    """A real agent that finds the stand-in, and pipelines beside it."""

    def __init__(self, dsn, home, folder, gpus):
        self.folder = folder
        config = folder / "config.yml"
        config.write_text("metrics:\n  interval: 1s\n")
        self.env = environment(home, FLIGHTLOG_DSN=dsn, FLIGHTLOG_CONFIG=str(config), FLIGHTLOG_NODE="testnode")
        with open(folder / "agent.log", "wb") as log:
            command = [sys.executable, "-m", "flightlog", "agent", "run"]
            self.agent = subprocess.Popen(command, env={**self.env, **gpus.env}, stdout=log, stderr=log)

    def run(self, *command):
        words = [sys.executable, "-m", "flightlog", "run", "--pipeline", "train", "--", *command]
        return subprocess.Popen(words, env=self.env, cwd=self.folder)

    def stop(self):
        """Ask the agent to end; return its exit status."""
        self.agent.send_signal(signal.SIGTERM)
        return self.agent.wait(30)

    def log(self):
        return (self.folder / "agent.log").read_text()


@pytest.fixture
def node(dsn, home, tmp_path, gpus):
    made = []

    def make():
        made.append(Node(dsn, home, tmp_path, gpus))
        return made[0]

    yield make
    for one in made:
        (tmp_path / "end").touch()
        one.agent.kill()
        one.agent.wait(30)


def test_what_a_run_uses_of_gpus(node, gpus, dsn, home, tmp_path):
    gpus.say("device 0", "device 0")
    node = node()
    run = node.run(sys.executable, "-c", PROGRAM)
    wait_until((tmp_path / "pids").exists, 30, "the run to begin")
    main, child = (tmp_path / "pids").read_text().split()
    stranger = os.getpid()
    gpus.say(
        "device 0",
        "device 0",
        f"use 0 {main} {1024 * MIB}",
        f"draw 0 {main} {1024 * MIB}",  # in both lists: the same memory
        f"use 1 {child} {512 * MIB}",
        f"busy 0 {main} 40",
        f"busy 1 {child} 30",
        f"use 0 {stranger} {8192 * MIB}",
        f"busy 0 {stranger} 20",
        f"use 1 {2**22 + 7} {MIB}",  # a process that is not there
    )
    rows = "SELECT DISTINCT name, kind, value FROM pipeline_metrics WHERE name LIKE 'gpu%%' ORDER BY name"
    expected = [("gpu_count", "gauge", 2), ("gpu_mem_kb", "gauge", 1536 * 1024), ("gpu_util_pct", "gauge", 70)]
    wait_until(lambda: fetch(dsn, rows) == expected, 30, "the figures")
    (tmp_path / "end").touch()
    assert run.wait(30) == 3
    flightlog = Command(dsn, home)
    wait_until(
        lambda: fetch(dsn, "SELECT exit_code FROM pipeline_runs WHERE state = 'failed'") == [(3,)], 30, "the run's end"
    )
    ((samples,),) = fetch(dsn, "SELECT data->'samples' FROM pipeline_events WHERE event = 'run.ended'")
    assert any(sample.get("gpu_mem_kb") == 1536 * 1024 for sample in samples)
    data = json.loads(flightlog("metrics", "train", "-o", "json")[0])
    found = {one["name"]: one for one in data["metrics"]}
    assert found["gpu_mem_kb"]["max"] == 1536 * 1024 and found["gpu_util_pct"]["max"] == 70
    out, _ = flightlog("metrics", "train", "--name", "gpu", PYTHONIOENCODING="utf-8")
    memory, share = (next(line for line in out.splitlines() if line.startswith(name)) for name in ("gpu_m", "gpu_u"))
    assert memory.split()[-4:] == ["1.5", "GiB"] * 2 and share.split()[-1] == "70"
    audit = json.loads(flightlog("audit", "train", "-o", "json")[0])
    assert (audit["missing"], audit["unproven"]) == (0, 0)
    assert fetch(dsn, rows) == expected
    assert len(set(gpus.asked())) == 1  # one process asks, and only once whether there is a driver
    assert node.stop() == 0
    wait_until(gpus.nobody_asks, 10, "the eye to end")
    assert "gpu" not in node.log().lower()
    assert not [name for name in os.listdir(os.path.join(home, "control")) if name.endswith(".gpu")]


@pytest.mark.parametrize("state", ["hang init", "init 9"])
def test_a_broken_driver_keeps_nobody(node, gpus, dsn, tmp_path, state):
    """The run is recorded and shipped, the agent ends when it is asked to, and takes along who hangs."""
    gpus.say(state, "device 0")
    node = node()
    run = node.run(sys.executable, "-c", PROGRAM)
    wait_until(gpus.asked, 30, "the driver to be asked")
    wait_until(lambda: fetch(dsn, "SELECT count(*) > 0 FROM pipeline_metrics") == [(True,)], 30, "other figures")
    (tmp_path / "end").touch()
    assert run.wait(30) == 3
    wait_until(
        lambda: fetch(dsn, "SELECT exit_code FROM pipeline_runs WHERE state = 'failed'") == [(3,)], 30, "the run's end"
    )
    assert fetch(dsn, "SELECT count(*) FROM pipeline_metrics WHERE name LIKE 'gpu%%'") == [(0,)]
    assert node.stop() == 0
    wait_until(gpus.nobody_asks, 10, "the eye to end")
    assert "gpu" not in node.log().lower()
