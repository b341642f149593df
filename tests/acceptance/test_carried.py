"""Work handed to threads, executors, tasks and processes belongs to the run and stage that handed it over, in every interpreter found."""

import json
import os
import subprocess
import sys

import interpreters
import pytest
import running

import flightlog

SRC = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runs", "carried.py")
IN_THE_STAGE = [
    *("thread", "subclass", "thread pool", "thread pool map", "task", "task", "run_in_executor", "run_in_executor"),
    *(
        "fork",
        "spawn",
        "forkserver",
        "subprocess",
        "subprocess with more",
        "subprocess prepared",
        "os.fork",
        "by hand",
        "environment by hand",
    ),
]
OUTSIDE = ["outside", "process pool outside", "thread pool afterwards", "process pool afterwards"]
WANTED = sorted(
    [(how, "extract") for how in IN_THE_STAGE] + [(how, "") for how in OUTSIDE] + [("process pool", "extract/below")]
)
VERSIONS = ["3.8", "3.11", "3.13", "pypy3"]


def check(home):
    found = running.records(home)
    logs = [record for record in found if record["k"] == "log"]
    (outer,) = {record["r"] for record in logs if record["m"] == "thread"}
    assert sorted((record["m"], record.get("s", "")) for record in logs if record["r"] == outer) == WANTED
    (inner,) = [record for record in logs if record["r"] != outer]
    assert inner["m"] == "inner run"
    (started,) = [r for r in found if r.get("ev") == "run.started" and r["r"] == inner["r"]]
    assert (started["x"]["pipeline"], started["x"]["parent"]) == ("inner", outer)
    ends = [record for record in found if record.get("ev") == "stage.ended" and record["r"] == outer]
    assert sorted((end["s"], end["x"]["status"]) for end in ends) == [("extract", "ok"), ("extract/below", "ok")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_process_that_nobody_supervises(home, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = running.run([python, PROGRAM], home, timeout=150, env=running.environment(home, PYTHONPATH=SRC))
    assert done == (0, b"[] True\n", b"")
    check(home)


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_a_supervised_process(home, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = running.run(running.kept([python, PROGRAM]), home, timeout=150)
    assert done == (0, b"[] True\n", b"")
    check(home)


FAILING = """
import subprocess, sys, threading, traceback
from concurrent.futures import ThreadPoolExecutor
import multiprocessing
%s
def fails(): raise KeyError("here")
def shown(call):
    try: call()
    except Exception: traceback.print_exc()
def main():
    shown(lambda: subprocess.run(["no-such-program"], env={}))
    thread = threading.Thread(target=fails); thread.start(); thread.join()
    with ThreadPoolExecutor(1) as pool: shown(pool.submit(fails).result)
    shown(thread.start)
    process = multiprocessing.get_context("fork").Process(target=fails); process.start(); process.join()
    print(subprocess.run(["/usr/bin/env"], env={"ONLY": "this"}, capture_output=True, text=True).stdout)
%s
"""


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_tracebacks_and_bare_environments_are_what_they_were(home, tmp_path, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    script = tmp_path / "failing.py"
    script.write_text(FAILING % ("import threading", "with threading.Lock(): main()"))
    plain = running.run([python, str(script)], home, cwd=tmp_path)
    script.write_text(FAILING % ("import flightlog", "with flightlog.run('f'), flightlog.stage('s'): main()"))
    ours = running.run([python, str(script)], home, cwd=tmp_path, env=running.environment(home, PYTHONPATH=SRC))
    assert ours == plain and plain[1] == b"ONLY=this\n\n"
    assert ours[2].count(b"KeyError: 'here'") == 3
    stages = {r["m"]: r.get("s") for r in running.records(home) if r["k"] == "log"}
    assert stages["KeyError: 'here'"] == "s"


def test_the_kill_switch_leaves_environments_alone(home, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: false\n")
    code = (
        "import flightlog, os, subprocess, sys\n"
        "with flightlog.run('r'), flightlog.stage('s'):\n"
        "    subprocess.run([sys.executable, '-c', 'import os; print(os.environ.get(\"FLIGHTLOG_SCOPE\"))'])\n"
        "    threads = []\n"
    )
    env = running.environment(home, PYTHONPATH=SRC, FLIGHTLOG_CONFIG=str(config))
    assert running.run([sys.executable, "-c", code], home, env=env) == (0, b"None\n", b"")
    assert not os.path.exists(running.spool(home))


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_posix_spawn_is_left_aside_where_the_other_way_is_as_good(home, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    code = (
        "import flightlog, subprocess, sys\n"
        "def used(): print(bool(subprocess._USE_POSIX_SPAWN))\n"
        "child = [sys.executable, '-c', 'import flightlog; flightlog.get_logger(\"x\").info(\"child\")']\n"
        "used()\n"
        "with flightlog.run('r'), flightlog.stage('s'):\n"
        "    used()\n"
        "    subprocess.run(child, close_fds=False, restore_signals=False, check=True)\n"
        "used()\n"
    )
    status, out, problem = running.run([python, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC))
    inside = version == "3.8"
    assert (status, out, problem) == (0, f"True\n{inside}\nTrue\n".encode(), b"")
    (record,) = [record for record in running.records(home) if record.get("m") == "child"]
    assert record.get("s") == (None if inside else "s")


def test_a_nested_flightlog_run_is_a_child_and_begins_anew(home):
    inner = "import flightlog; flightlog.get_logger('x').info('inside')"
    code = (
        "import flightlog, subprocess, sys\n"
        "with flightlog.run('outer') as run, flightlog.stage('s'):\n"
        f"    subprocess.run([sys.executable, '-m', 'flightlog', 'run', '-n', 'nested', '--', sys.executable, '-c', {inner!r}], check=True)\n"
        "print(run.id)\n"
    )
    status, out, _ = running.run([sys.executable, "-c", code], home, env=running.environment(home, PYTHONPATH=SRC))
    (started,) = [r for r in running.records(home) if r.get("ev") == "run.started" and r["x"]["pipeline"] == "nested"]
    assert (status, started["x"]["parent"]) == (0, out.decode().strip())
    (inside,) = [r for r in running.records(home) if r.get("m") == "inside"]
    assert inside["r"] == started["r"] and "s" not in inside


def test_a_scope_that_is_over_means_nothing(home):
    """A process that outlives the one that began the run has a run of its own."""
    code = (
        "import flightlog, json, os, subprocess, sys\n"
        "with flightlog.run('r') as run, flightlog.stage('s'):\n"
        "    variables = flightlog.carry_environment()\n"
        "print(json.dumps([run.id, variables, flightlog.traceparent()]))\n"
    )
    env = running.environment(home, PYTHONPATH=SRC)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True, timeout=60)
    run, variables, outside = json.loads(done.stdout)
    assert variables["FLIGHTLOG_SCOPE"].startswith("-:" + run) and variables["FLIGHTLOG_SCOPE"].endswith(":s")
    assert outside == ""
    late = "import flightlog; flightlog.get_logger('x').info('late')"
    subprocess.run([sys.executable, "-c", late], env={**env, **variables}, check=True, timeout=60)
    (record,) = [record for record in running.records(home) if record.get("m") == "late"]
    assert record["r"] != run and "s" not in record
