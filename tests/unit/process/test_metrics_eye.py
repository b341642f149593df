"""The shim's eye: sixty looks are kept, the loop is woken for the next one, and nothing is looked at when the command is dead."""

import json
import subprocess
import sys

import pytest

from acceptance.running import environment, events
from flightlog.journal.format import MAX_PAYLOAD_BYTES
from flightlog.process import metrics

# In a process of its own, because a run's plan blocks signals: the real plan, the real report, a real command; only the time is ours.
SCRIPT = """
import json, os, signal, subprocess, sys
from flightlog.process import launch, signals
from flightlog.process.metrics import Metrics
from flightlog.process.report import Report
from flightlog.process.setup import Setup
from flightlog.process.spec import RunSpec

process = subprocess.Popen(["sleep", "1000"])
setup = Setup(RunSpec(["sleep", "1000"]), signals.Inherited(), launch.Limits())
eye = Metrics(setup, Report(setup, "shim"), process.pid)
def look():
    eye._look_at = 0.0
    eye.look([])
said = {"first": eye.bound(None), "short": eye.bound(0.001)}
for _ in range(70):
    look()
said["next"] = eye.bound(None)
if "broken" in sys.argv:
    del eye._hang
else:
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
look()
said["over"], said["left"] = eye.bound(None), eye.bound(3.0)
said["kept"] = eye.end()
process.kill()
process.wait()
os.write(2, json.dumps(said).encode())
"""


@pytest.fixture
def said(tmp_path):
    def run(*words):
        command = [sys.executable, "-c", SCRIPT, *words]
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, timeout=60, check=True)
        return json.loads(done.stderr)

    return run


def test_sixty_looks_are_kept_the_newest(said, tmp_path):
    kept = said()["kept"]
    times = [look["t"] for look in kept]
    assert len(kept) == 60 and times == sorted(times)
    recorded = [event["x"] for event in events(tmp_path) if event["ev"] == "metrics"]
    assert recorded and recorded[0]["t"] < times[0]
    assert len(recorded) < 5  # one each five seconds


def test_the_loop_is_woken_in_time_and_no_more_when_the_command_is_dead(said):
    found = said()
    assert 0.0 < found["first"] <= metrics.FIRST_SECONDS and found["short"] <= 0.001
    assert 0.0 < found["next"] <= 10.0
    assert found["over"] is None and found["left"] == 3.0


def test_a_mistake_of_ours_ends_the_looking_and_nothing_else(said):
    found = said("broken")
    assert found["over"] is None and len(found["kept"]) == 60


def test_sixty_looks_fit_a_frame():
    names = ("t", "cpu_s", "rss_kb", "pss_kb", "procs", "threads", "fds", "read_b", "write_b", "switches")
    names += ("gpu_mem_kb", "gpu_util_pct", "gpu_count")
    look = dict(dict.fromkeys(names, 2**63), state="S")
    assert len(json.dumps([look] * metrics.KEPT)) < MAX_PAYLOAD_BYTES // 8
