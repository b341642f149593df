"""Real deaths, each judged by the run that saw it: the cause is named, the exit status is that of the bare command, and nothing is proven and wrong."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from acceptance import running

PY = sys.executable
SHELL_PY = f"exec {PY} -c"


def python(code):
    return [PY, "-c", code]


def limited(limit, code):
    return ["sh", "-c", f'ulimit {limit}; {SHELL_PY} "$0"', code]


# name: (command, the verdict, whether it has to be proven). What is in brackets after the name says why it is there (docs of process.md's numbers).
DEATHS = {
    "well": (["true"], "ok", True),
    "pipe-in-a-shell": (["sh", "-c", "false | true"], "ok", True),
    "status": (["sh", "-c", "echo no input >&2; exit 3"], "exit-status", True),
    "exit-256": (python("import os; os._exit(256 & 255 or 7)"), "exit-status", True),
    "exit-with-a-message": (python("import sys; sys.exit('no input')"), "exit-status", True),
    "left-without-clean-up": (python("import os; print('lost'); os._exit(4)"), "exit-status", True),
    "perl": (["perl", "-e", "die 'no input'"], "exit-status", True),
    "exception": (python("{}['customer']"), "python-exception", False),
    "exception-chain": (
        python("try:\n  {}['a']\nexcept KeyError as e: raise RuntimeError('load') from e"),
        "python-exception",
        False,
    ),
    "too-many-files": (
        python(
            "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (20, 20)); f = [open('/dev/null') for i in range(50)]"
        ),
        "python-exception",
        False,
    ),
    "no-memory": (limited("-v 400000", "x = bytearray(10**9)"), "memory-error", False),
    "bad-alloc": (
        ["sh", "-c", "echo \"terminate called after throwing an instance of 'std::bad_alloc'\" >&2; kill -ABRT $$"],
        "memory-error",
        False,
    ),
    "cpu-soft": (limited("-St 1", "while 1: pass"), "cpu-limit", False),
    "cpu-hard": (
        limited("-t 1", "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile 1: pass"),
        "cpu-limit",
        False,
    ),
    "file-size-python": (limited("-f 1", "open('big', 'wb').write(b'x' * 10**6)"), "file-limit", True),
    "file-size": (["sh", "-c", "ulimit -f 1; exec dd if=/dev/zero of=big bs=1M count=1"], "file-limit", True),
    "null-pointer": (python("import ctypes; ctypes.string_at(0)"), "native-crash", False),
    "null-pointer-in-a-shell": (
        ["sh", "-c", f"{PY} -c 'import os; os.kill(os.getpid(), 11)'; exit $?"],
        "native-crash",
        False,
    ),
    "abort": (python("import os; os.abort()"), "abort", False),
    "not-found": (["/nonexistent/program"], "exec-failure", True),
    "not-executable": (["/etc/passwd"], "exec-failure", True),
    "not-found-by-a-shell": (["sh", "-c", "no-such-program"], "exec-failure", False),
    "no-script": ([PY, "/nonexistent.py"], "exec-failure", False),
    "called-wrongly": (
        python("import argparse as a; p = a.ArgumentParser(); p.add_argument('x'); p.parse_args()"),
        "config-error",
        False,
    ),
    "bad-settings": (["sh", "-c", "echo bad settings >&2; exit 78"], "config-error", False),
    "bad-yaml": (python("import yaml; yaml.safe_load('a: [')"), "config-error", False),
    "thread": (
        python("import threading as t\nd = t.Thread(target=lambda: 1 / 0); d.start(); d.join()"),
        "ok-degraded",
        False,
    ),
    "finaliser": (python("class A:\n  def __del__(self): 1 / 0\nA()"), "ok-degraded", False),
    "at-exit": (python("import atexit; atexit.register(lambda: 1 / 0)"), "ok-degraded", False),
    "killed-by-itself": (["sh", "-c", "kill -9 $$"], "stopped-outside", False),
    "alarm": (python("import signal; signal.alarm(1); signal.pause()"), "unknown", False),
    "timeout": (["timeout", "1", "sleep", "60"], "deadline", False),
    "no-reader": (["sh", "-c", "exec yes | exec sleep 0"], "ok", True),
}


def judged(command, home, tmp_path):
    """Run under the keeper; return (exit status, the record of its end)."""
    record = os.path.join(str(tmp_path), "record.json")
    done = subprocess.run(
        [*running.KEEPER, "--record", record, "--", *command],
        env=running.environment(home),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    with open(record) as file:
        return done.returncode, json.load(file)


@pytest.mark.parametrize("name", DEATHS)
def test_the_cause_is_named(name, tmp_path):
    command, verdict, proven = DEATHS[name]
    program = shutil.which(command[0])
    if program is None and verdict != "exec-failure":
        pytest.skip(f"not run: there is no {command[0]} here")
    status, record = judged(command, tmp_path / "home", tmp_path)
    assert (record["verdict"], record["confidence"] == "unknown") == (verdict, verdict == "unknown"), record
    assert not proven or record["confidence"] == "proven", record
    assert "incomplete" not in record
    if program is None:
        assert status == record["exit_code"] in (126, 127)
    else:
        bare = subprocess.run(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        assert status == bare.returncode


def test_no_memory_in_a_cgroup(tmp_path):
    """A real OOM kill, in a cgroup of our own; the kernel's log, where it may be read, proves it."""
    top = "/sys/fs/cgroup/memory"
    if not os.path.isdir(top) or not os.access(top, os.W_OK):
        pytest.skip("not run: no memory cgroup can be made here")
    folder = f"{top}/flightlog-test-{os.getpid()}"
    os.mkdir(folder)
    try:
        with open(f"{folder}/memory.limit_in_bytes", "w") as file:
            file.write("60000000")
        eats = f"echo $$ > {folder}/cgroup.procs; exec {PY} -c 'x = [bytearray(10**6) for n in range(400)]'"
        child = f"echo $$ > {folder}/cgroup.procs; {PY} -c 'x = [bytearray(10**6) for n in range(400)]'; exit 1"
        status, record = judged(["sh", "-c", eats], tmp_path / "home", tmp_path)
        assert (status, record["verdict"]) == (-9, "oom-cgroup") or record["kernel_read"] is False, record
        status, record = judged(["sh", "-c", child], tmp_path / "home", tmp_path)
        assert (status, record["verdict"]) == (1, "oom-cgroup") or record["kernel_read"] is False, record
        assert record["confidence"] != "proven"  # which of them it hit is not known
    finally:
        os.rmdir(folder)


@pytest.mark.skipif(shutil.which("bash") is None, reason="not run: there is no bash here")
def test_neighbours_lack_of_memory_is_not_ours(tmp_path):
    """The kernel ends a process of another cgroup for want of memory; in our script somebody kills a command by hand, and bash says which."""
    top = "/sys/fs/cgroup/memory"
    if not os.path.isdir(top) or not os.access(top, os.W_OK):
        pytest.skip("not run: no memory cgroup can be made here")
    folder = f"{top}/flightlog-test-{os.getpid()}-neighbour"
    os.mkdir(folder)
    try:
        with open(f"{folder}/memory.limit_in_bytes", "w") as file:
            file.write("60000000")
        wait = "while [ ! -e %s ]; do sleep 0.05; done; "
        eats = f"echo $BASHPID > {folder}/cgroup.procs; exec {PY} -c 'x = [bytearray(10**6) for n in range(400)]'"
        neighbour = subprocess.Popen(["bash", "-c", wait % "begun" + f"( {eats} ); : > over"], cwd=tmp_path)
        ours = ": > begun; " + wait % "over" + f"{PY} -c 'import os; os.kill(os.getpid(), 9)'; exit 1"
        status, record = judged(["bash", "-c", ours], tmp_path / "home", tmp_path)
        neighbour.wait(60)
        assert (status, record["verdict"]) == (1, "exit-status"), record
        assert record["kernel_oom"] or record["kernel_read"] is False, record
    finally:
        os.rmdir(folder)


def test_who_asked_is_believed(tmp_path):
    """A stop that is on record before the signal: ours, whatever the signal."""
    from flightlog import identity
    from flightlog.journal import evidence
    from waiting import wait_until

    home, record, run = tmp_path / "home", tmp_path / "record.json", identity.new_ulid()
    keeper = subprocess.Popen(
        [*running.KEEPER, "--run", run, "--record", str(record), "--", "sh", "-c", "echo $$; exec sleep 60"],
        env=running.environment(home),
        stdout=subprocess.PIPE,
    )
    child = int(keeper.stdout.readline())
    path = evidence.path_of(running.spool(home), run)
    assert evidence.note(path, "stop", why="stop", by="ann", signal="SIGTERM", grace_s=30)
    os.kill(child, 15)
    assert keeper.wait(60) == -15
    found = json.loads(wait_until(lambda: record.exists() and record.read_text(), 10, "the record"))
    assert (found["verdict"], found["confidence"], found["run"]) == ("stopped-by-us", "proven", run)
    assert not os.path.exists(path), "what it said is in the journal"


def test_who_sent_a_signal_to_the_keeper_is_named(tmp_path):
    home, record = tmp_path / "home", tmp_path / "record.json"
    keeper = subprocess.Popen(
        [*running.KEEPER, "--record", str(record), "--", "sh", "-c", "echo $$; exec sleep 60"],
        env=running.environment(home),
        stdout=subprocess.PIPE,
    )
    keeper.stdout.readline()
    keeper.terminate()
    assert keeper.wait(60) == -15
    found = json.loads(record.read_text())
    assert (found["verdict"], found["confidence"]) == ("stopped-outside", "proven")
    assert f"process {os.getpid()}" in found["because"][0]
