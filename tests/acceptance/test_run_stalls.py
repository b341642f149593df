"""A run that goes silent: the cause is named, stacks are taken, it is told once, and ended when that is wanted. All programs are real and really stuck."""

import os
import signal
import subprocess
import sys

import pytest
from running import ended, environment, events, nobody_left, records, spool

from flightlog.process import proctree, stacks
from waiting import wait_until

RUN = [sys.executable, "-m", "flightlog", "run", "--"]
PY = [sys.executable, "-c"]

DEADLOCK = """
import threading
first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def take(one, other):
    with one:
        both.wait()
        with other: pass
threading.Thread(target=take, args=(first, second)).start()
print("began", flush=True)
take(second, first)
"""
RECEIVES = "import socket\na, b = socket.socketpair()\nprint('began', flush=True)\na.recv(1)"
LOOPS = "print('began', flush=True)\nwhile True: pass"
HOLDS_THE_LOCK = """
import re, threading, time
def tick():
    while True: time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
print("began", flush=True)
re.match("(a+)+$", "a" * 64 + "b")
"""
SLEEPS = "import time\nprint('began', flush=True)\ntime.sleep(1000)"
READS = "print('began', flush=True)\ninput()"
# posix_spawn waits in state D until its child has become the program, which waits in open(2) until somebody writes to a fifo.
IN_STATE_D = """
import os, sys
print("began", flush=True)
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])
"""


class Silent:
    """`flightlog run` of programs that go silent, with settings for tests."""

    def __init__(self, home):
        self.home = str(home / "home")
        self.config = home / "config.yml"
        self.processes = []

    def configure(self, text="after: 1s"):
        self.config.write_text(f"monitoring:\n  enabled: true\nhang:\n  {text}\nmetrics:\n  interval: 1s\n")

    def start(self, *command, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        env = environment(self.home, FLIGHTLOG_CONFIG=str(self.config))
        process = subprocess.Popen([*RUN, *command], env=env, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def events(self, name):
        return (
            [event["x"] for event in events(self.home) if event["ev"] == name]
            if os.path.isdir(spool(self.home))
            else []
        )

    def stalled(self, *command, **options):
        process = self.start(*command, **options)
        wait_until(lambda: self.events("run.stalled") or process.poll() is not None, 60, "run.stalled")
        (found,) = self.events("run.stalled")
        return process, found


@pytest.fixture
def silent(tmp_path):
    one = Silent(tmp_path)
    one.configure()
    yield one
    for process in one.processes:
        for event in reversed(one.events("run.started")):  # one inside another first
            found = proctree.look(event["pid"])
            if found is not None and found.start == event["start"]:
                stacks.send(found, signal.SIGKILL)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait(30)


@pytest.mark.parametrize(
    ("klass", "source", "words"),
    [
        ("deadlock", DEADLOCK, "all 2 threads of process"),
        ("io", RECEIVES, "waits for socket:"),
        ("loop", LOOPS, "whole CPU"),
        ("gil", HOLDS_THE_LOCK, "Python's lock"),
        ("unknown", SLEEPS, "sleeps"),
        ("stdin", READS, "reads standard input (pipe:"),
    ],
)
def test_the_cause_is_named(silent, klass, source, words):
    process, found = silent.stalled(*PY, source)
    assert (found["klass"], words in found["details"]) == (klass, True), found
    assert found["silent_s"] >= 1.0 and found["threads"] and process.poll() is None
    (line,) = [
        record for record in records(silent.home) if record["k"] == "log" and record.get("lg") == "flightlog.hang"
    ]
    assert line["lv"] == 30 and line["m"].startswith("no output and no record for") and klass in line["m"]
    process.stdin.close()  # whoever reads goes on; the others are killed by the fixture
    if klass == "stdin":
        process.wait(30)
        (note,) = ended(silent.home)["stalls"]
        assert (note["kind"], note["klass"], note["details"]) == ("stall", "stdin", found["details"])


def test_a_child_that_reads_is_what_its_shell_waits_for(silent):
    _, found = silent.stalled("sh", "-c", "echo began; cat; true")
    assert found["klass"] == "stdin" and "(cat)" in found["details"]


def test_state_d(silent, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    process, found = silent.stalled(*PY, IN_STATE_D, str(tmp_path / "fifo"))
    assert found["klass"] == "d-state" and "cannot be interrupted" in found["details"], found
    with open(tmp_path / "fifo", "wb"):
        assert process.wait(30) == 0


@pytest.mark.skipif(not stacks.find_spy(), reason="py-spy is not installed")
def test_stacks_are_taken_by_py_spy(silent):
    _, found = silent.stalled(*PY, DEADLOCK)
    (stack,) = found["stacks"]
    assert stack["by"] == "py-spy" and stack["text"].count("take (") == 2, found


def test_stacks_are_taken_by_faulthandler_where_the_program_offers_them(silent):
    source = """
import faulthandler, logging, os, signal, time
from flightlog import identity
from flightlog.journal import evidence
path = os.environ["FLIGHTLOG_EVIDENCE"]
logging.basicConfig(filename="/dev/null", level=logging.INFO)
signal.signal(signal.SIGUSR1, lambda number, frame: logging.info("asked"))
faulthandler.register(signal.SIGUSR1, file=open(path, "ab"), all_threads=True, chain=True)
evidence.note(path, "stacks", signal="SIGUSR1", start=identity.process_start_time(os.getpid()))
print("began", flush=True)
def rests(): time.sleep(1000)
rests()
"""
    process, found = silent.stalled(*PY, source)
    (stack,) = found["stacks"]
    assert stack["by"] == "faulthandler" and "in rests" in stack["text"], found
    wait_until(lambda: any(record.get("m") == "asked" for record in records(silent.home)), 30, "its own record of that")
    before = len(silent.events("metrics"))
    wait_until(lambda: len(silent.events("metrics")) > before + 2, 30, "two seconds more")
    assert process.poll() is None and silent.events("run.resumed") == [] and len(silent.events("run.stalled")) == 1


def start_under(silent, folder, *command):
    """Start a command under a keeper whose interpreter lies in *folder*, beside which py-spy is looked for first."""
    interpreter = folder / "python"
    interpreter.symlink_to(os.path.realpath(sys.executable))
    keeper = os.path.join(os.path.dirname(stacks.__file__), "keeper.py")
    env = environment(silent.home, FLIGHTLOG_CONFIG=str(silent.config), PATH="/usr/bin:/bin")
    subprocess.run([*RUN, "true"], env=env, check=True)  # compiles the settings
    run = [str(interpreter), "-I", "-S", keeper, "--config", str(silent.config), "--", *command]
    process = subprocess.Popen(run, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    silent.processes.append(process)
    return process


def test_without_tools_the_kernel_says_where_it_is(silent, tmp_path):
    """No py-spy beside the interpreter nor in PATH: that is said, with its remedy."""
    if os.path.exists("/usr/bin/py-spy") or os.path.exists("/usr/local/bin/py-spy"):
        pytest.skip("py-spy is where it is always found")
    start_under(silent, tmp_path, *PY, SLEEPS)
    (found,) = wait_until(lambda: silent.events("run.stalled"), 60, "run.stalled")
    assert found["stacks"] == [] and "pip install py-spy" in found["missing"][0]
    assert found["threads"][0]["wchan"] and found["threads"][0]["waits"] == "sleep"


def test_a_py_spy_that_hangs_holds_up_nobody_and_is_not_left_behind(silent, tmp_path):
    """The command ends while it is being asked for its stacks."""
    (tmp_path / "go").write_text("")
    (tmp_path / "py-spy").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 1000\n")
    (tmp_path / "py-spy").chmod(0o755)
    process = start_under(
        silent,
        tmp_path,
        *PY,
        "import sys, time\nwhile not open(sys.argv[1]).read(): time.sleep(0.05)",
        str(tmp_path / "go"),
    )
    wait_until(lambda: (tmp_path / "asked").exists(), 30, "py-spy")
    assert silent.events("run.stalled") == []
    (tmp_path / "go").write_text("go")
    assert process.wait(stacks.SPY_SECONDS / 2) == 0  # not when py-spy's time is up
    nobody_left(silent.home)
    (found,) = silent.events("run.stalled")
    assert "py-spy" in found["missing"][0] and len(ended_of(silent, process)["stalls"]) == 1


def ended_of(silent, process):
    """The end of that run: another one has compiled the settings."""
    (run,) = [
        event["r"]
        for event in events(silent.home)
        if event["ev"] == "run.started" and event["x"]["keeper"] == process.pid
    ]
    return next(event["x"] for event in events(silent.home) if event["ev"] == "run.ended" and event["r"] == run)


def test_it_is_told_once_and_that_it_goes_on(silent):
    source = "import sys\nfor line in sys.stdin: print(line, flush=True)"
    process, _ = silent.stalled(*PY, source)
    process.stdin.write(b"go\n")
    process.stdin.flush()
    (resumed,) = wait_until(lambda: silent.events("run.resumed"), 30, "run.resumed")
    assert resumed["klass"] == "stdin"
    wait_until(lambda: len(silent.events("run.stalled")) == 2, 30, "the second silence")
    process.stdin.close()
    assert process.wait(30) == 0
    assert len(ended(silent.home)["stalls"]) == 2 and "stops" not in ended(silent.home)


def test_records_are_no_silence_although_nothing_is_printed(silent):
    """For three seconds a record each 0.1 s, then silence: the stall is counted from the last record on."""
    source = """
import logging, time
logging.basicConfig(filename="/dev/null", level=logging.INFO)
end = time.monotonic() + 3
while time.monotonic() < end:
    logging.info("working")
    time.sleep(0.1)
time.sleep(1000)
"""
    process, found = silent.stalled(*PY, source)
    told = [event["t"] for event in events(silent.home) if event["ev"] == "run.stalled"]
    said = [record["t"] for record in records(silent.home) if record.get("m") == "working"]
    assert len(said) > 10 and len(told) == 1 and told[0] > said[-1]
    assert found["silent_s"] < 3.0 + (told[0] - said[-1]) / 1e9


def test_a_run_inside_a_run_makes_no_progress_by_being_looked_at(silent):
    """Its own shim records metrics each second, into a journal that belongs to the outer run's tree. Both are silent."""
    inner = [sys.executable, "-m", "flightlog", "run", "--", "sleep", "1000"]
    process = silent.start(*inner)
    wait_until(lambda: len({e["r"] for e in events(silent.home) if e["ev"] == "run.stalled"}) == 2, 60, "two stalls")
    assert process.poll() is None


def test_a_stopped_run_does_not_hang(silent):
    process = self_stopped = silent.start(
        *PY, "import os, signal, time\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(1000)"
    )
    started = wait_until(lambda: silent.events("run.started"), 30, "the command")
    wait_until(
        lambda: len([e for e in silent.events("metrics") if e["state"] == "T"]) >= 4, 30, "looks at a stopped run"
    )
    assert silent.events("run.stalled") == []
    for pid in (self_stopped.pid, started[0]["pid"]):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: silent.events("run.stalled"), 30, "run.stalled")
    assert process.poll() is None


def test_never_means_never(silent):
    silent.configure("after: never")
    process = silent.start(*PY, SLEEPS)
    wait_until(lambda: len(silent.events("metrics")) >= 5, 30, "five seconds")
    assert silent.events("run.stalled") == [] and process.poll() is None


def test_settings_reach_a_run_that_goes_on(silent):
    """By the compiled settings, which an agent, or the next run, makes anew."""
    silent.configure("after: never")
    silent.start(*PY, SLEEPS)
    wait_until(lambda: silent.events("metrics"), 30, "the first look")
    silent.configure("after: 1s")
    subprocess.run([*RUN, "true"], env=environment(silent.home, FLIGHTLOG_CONFIG=str(silent.config)), check=True)
    wait_until(lambda: silent.events("run.stalled"), 30, "run.stalled")


def test_what_hangs_is_ended_when_that_is_wanted_and_the_verdict_says_so(silent):
    silent.configure("after: 1s\n  kill: true\n  kill_after: 0s")
    process, _ = silent.stalled(*PY, DEADLOCK)
    assert process.wait(30) == -signal.SIGTERM
    found = ended(silent.home)
    assert (found["verdict"], found["term_signal"]) == ("hang-killed", "SIGTERM"), found
    (stop,) = found["stops"]
    assert (stop["why"], stop["signal"], stop["grace_s"]) == ("hang", "SIGTERM", 10.0)
    assert stop["t"] > found["stalls"][0]["t"] and "it hung: deadlock" in found["because"]


def test_what_does_not_heed_term_is_aborted_then_killed(silent, monkeypatch):
    silent.configure("after: 1s\n  kill: true\n  kill_after: 0s")
    source = "import signal, time\nfor n in (15, 6): signal.signal(n, signal.SIG_IGN)\ntime.sleep(1000)"
    process = silent.start(*PY, source)
    assert process.wait(60) == -signal.SIGKILL
    found = ended(silent.home)
    assert [stop["signal"] for stop in found["stops"]] == ["SIGTERM", "SIGABRT", "SIGKILL"]
    assert found["verdict"] == "hang-killed"


def test_the_whole_tree_is_ended(silent):
    silent.configure("after: 1s\n  kill: true\n  kill_after: 0s")
    process, _ = silent.stalled("sh", "-c", "setsid sleep 1000 & sleep 1000 & wait")
    process.communicate(timeout=30)  # the pipe ends with the last of them
    assert ended(silent.home)["verdict"] == "hang-killed"


def test_what_waits_for_its_reader_is_not_ended(silent):
    """Its output goes to a pipe that nobody reads."""
    silent.configure("after: 1s\n  kill: true\n  kill_after: 0s")
    process, found = silent.stalled("yes")
    assert (found["klass"], "its output waits" in found["details"]) == ("io", True), found
    before = len(silent.events("metrics"))
    wait_until(lambda: len(silent.events("metrics")) > before + 2, 30, "two seconds more")
    assert process.poll() is None
    process.stdout.close()  # its reader leaves: SIGPIPE, as without us
    assert process.wait(30) == -signal.SIGPIPE


def test_the_last_minute_is_kept_with_the_end(silent):
    silent.configure("after: never")
    process = silent.start(
        *PY, "import time\nblock = bytearray(50 << 20)\nblock[::4096] = b'x' * len(block[::4096])\ntime.sleep(3.5)"
    )
    assert process.wait(30) == 0
    samples = ended(silent.home)["samples"]
    assert len(samples) >= 3 and max(sample["rss_kb"] for sample in samples) > 50 << 10
    assert [sample["t"] for sample in samples] == sorted(sample["t"] for sample in samples)
    assert set(samples[0]) == {
        "t",
        "cpu_s",
        "rss_kb",
        "procs",
        "threads",
        "fds",
        "read_b",
        "write_b",
        "switches",
        "state",
    }
