"""Both controllers in every Python found: each imports them from the source tree, without any package, and starts its own caretaker."""

import json
import os
import subprocess

import pytest

import flightlog
from acceptance import interpreters
from conformance.kept import alive

SOURCE = os.path.dirname(os.path.dirname(flightlog.__file__))
LIFE = """
import json, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import flightlog
from flightlog.process.restart import Policy

def until(test):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if test():
            return
        time.sleep(0.02)
    raise SystemExit("in vain: %s" % keep.list_processes())

def said():
    with open(keep.get_process_status("daemon")["stdout"]) as file:
        return file.read().split()

made = getattr(flightlog, sys.argv[2])
policy = Policy(base_s=0.05, cap_s=0.2)
keep = made(policy=policy)
first = keep.start_process("daemon", [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(1000)"], daemon_mode=True)
until(lambda: said() == ["up"])
seen = [one["name"] for one in made().list_processes()]
os.kill(first, signal.SIGKILL)
until(lambda: said() == ["up", "up"] and keep.get_process_status("daemon")["state"] == "running")
again = keep.get_process_status("daemon")
os.kill(again["caretaker"], signal.SIGKILL)
until(lambda: keep.get_process_status("daemon")["caretaker"] not in (None, again["caretaker"]))
adopted = keep.get_process_status("daemon")
os.kill(adopted["pid"], signal.SIGKILL)
until(lambda: len(said()) == 3 and keep.get_process_status("daemon")["state"] == "running")
third = keep.get_process_status("daemon")
with made(policy=policy) as block:
    block.start_process("job", "exit 3", max_restarts=1)
    until(lambda: block.get_process_status("job")["state"] == "quarantined")
paused = keep.pause_process("daemon") and keep.resume_process("daemon")
stopped = keep.stop_process("daemon", 5.0)
last = keep.get_process_status("daemon")
loaded = [name for name in sys.modules if "site-packages" in str(getattr(sys.modules[name], "__file__", ""))]
print(json.dumps([first, seen, again, adopted, third, paused, stopped, last, keep.get_process_status("job"), loaded]))
"""


def live(python, made, home):
    hidden = ("FLIGHTLOG_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment.update(FLIGHTLOG_HOME=home, FLIGHTLOG_AGENT="never")
    return subprocess.run(
        [python, "-S", "-s", "-c", LIFE, SOURCE, made], env=environment, cwd=home, capture_output=True, timeout=150
    )


@pytest.mark.parametrize("made", ["ProcessController", "EnhancedProcessController"])
@pytest.mark.parametrize("version", [version for version in interpreters.VERSIONS if version != "pypy3"])
def test_a_daemon_s_life(version, made, home):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no {version} here")
    done = live(python, made, home)
    assert done.returncode == 0, done.stderr.decode()
    first, seen, again, adopted, third, paused, stopped, last, job, loaded = json.loads(done.stdout)
    assert seen == ["daemon"] and loaded == []
    assert (again["state"], again["term_signal"], again["restarts"]) == ("running", "SIGKILL", 1)
    assert again["pid"] != first and again["recorded"] == (made == "EnhancedProcessController")
    assert (adopted["pid"], adopted["state"], adopted["restarts"]) == (again["pid"], "running", 1)
    assert (third["state"], third["restarts"]) == ("running", 2) and third["pid"] != again["pid"]
    assert paused and stopped and last["state"] == "stopped" and last["verdict"] == "stopped-by-us"
    assert (job["exit_code"], job["verdict"], job["restarts"]) == (3, "exit-status", 1)
    assert not any(alive(pid) for pid in (first, again["pid"], third["pid"]))
    with open(last["stdout"]) as file:
        assert file.read() == "up\n" * 3


def test_an_interpreter_that_cannot_wait_says_so(home):
    python = interpreters.find("pypy3")
    if python is None:
        pytest.skip("no pypy3 here")
    if subprocess.run([python, "-c", "import os; os.waitid"], capture_output=True).returncode == 0:
        pytest.skip("this pypy3 can")
    done = live(python, "ProcessController", home)
    said = f"{python} has no waitid(2), without which nothing can be kept"
    assert (done.returncode, done.stderr.decode().rstrip().endswith(said)) == (1, True), done.stderr.decode()
