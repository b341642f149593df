"""The sampler looks at real trees of processes: what they use, also what those had used that have died."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flightlog.process import proctree, sampler
from flightlog.process.sampler import Sampler
from waiting import wait_until

BURN = "t=__import__('time')\nwhile t.process_time() < {}: pass\n"


@pytest.fixture
def started():
    """Start Python programs that say a line when they are ready; all of their group are killed afterwards."""
    processes = []

    def start(source, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def say(process, text="go\n"):
    process.stdin.write(text)
    process.stdin.flush()


def hear(process):
    return process.stdout.readline().strip()


def test_figures_are_those_of_psutil(started):
    source = """
import os, subprocess, sys, threading
block = bytearray(64 << 20)
block[::4096] = b"x" * len(block[::4096])
files = [open(os.devnull) for _ in range(20)]
for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()
child = subprocess.Popen(["sleep", "100"])
while True:
    with open("/proc/%d/comm" % child.pid) as file:
        if file.read() == "sleep\\n": break
print("ready", flush=True)
sys.stdin.readline()
"""
    process = started(source)
    theirs = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    wait_until(lambda: theirs[-1].num_fds() == 3)  # it opens libraries while it begins
    found = Sampler(process.pid).look()
    assert found["procs"] == len(theirs) == 2
    assert found["threads"] == sum(one.num_threads() for one in theirs) == 5
    assert found["fds"] == sum(one.num_fds() for one in theirs)
    rss = sum(one.memory_info().rss for one in theirs) // 1024
    assert found["rss_kb"] == pytest.approx(rss, rel=0.05) and found["rss_kb"] > 64 << 10
    assert found["read_b"] == sum(one.io_counters().read_bytes for one in theirs)
    cpu = sum(one.cpu_times().user + one.cpu_times().system for one in theirs)
    assert found["cpu_s"] == pytest.approx(cpu, abs=0.05)
    assert found["switches"] >= 0 and found["state"] in "RS"
    assert abs(found["t"] - time.time_ns()) < 10**10


def test_cpu_of_those_that_died_stays_whoever_waited_for_them(started):
    """The first child is waited for, the second is left to its parent's disposition to ignore it, so that nobody inherits its time."""
    source = f"""
import os, signal, sys, time
def burn(then):
    pid = os.fork()
    if pid == 0:
        {BURN.format(0.3).strip().replace(chr(10), chr(10) + "        ")}
        then()
        os._exit(0)
    return pid
print("ready", flush=True)
sys.stdin.readline()
os.waitpid(burn(lambda: None), 0)
print("waited", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pid = burn(lambda: (print("burnt", flush=True), time.sleep(100)))
sys.stdin.readline()
os.kill(pid, 9)
while os.path.exists("/proc/%d" % pid): time.sleep(0.001)
print("gone", flush=True)
sys.stdin.readline()
"""
    process = started(source)
    looking = Sampler(process.pid)
    seen = [looking.look()["cpu_s"]]
    say(process)
    assert hear(process) == "waited"
    seen.append(looking.look()["cpu_s"])
    assert seen[1] - seen[0] >= 0.28  # it lived and died between two looks
    say(process)
    assert hear(process) == "burnt"
    seen.append(looking.look()["cpu_s"])
    assert seen[2] - seen[1] >= 0.28
    say(process)
    assert hear(process) == "gone"
    seen.append(looking.look()["cpu_s"])
    assert seen[3] >= seen[2]
    times = psutil.Process(process.pid).cpu_times()
    assert times.user + times.system + times.children_user + times.children_system < seen[3] - 0.2  # the kernel forgot


def test_counters_never_go_down_while_a_tree_comes_and_goes(started):
    source = """
import subprocess, sys
print("ready", flush=True)
for _ in range(12):
    children = [subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; cat < /dev/null"]) for _ in range(3)]
    for child in children: child.wait()
print("done", flush=True)
sys.stdin.readline()
"""
    process = started(source)
    looking = Sampler(process.pid)
    found = [looking.look()]
    os.set_blocking(process.stdout.fileno(), False)
    wait_until(lambda: found.append(looking.look()) or process.stdout.readline(), 60, "the end of the program")
    found.append(looking.look())
    for name in ("cpu_s", "read_b", "write_b"):
        values = [one[name] for one in found]
        assert values == sorted(values), name
    times = psutil.Process(process.pid).cpu_times()
    kernel = times.user + times.system + times.children_user + times.children_system
    assert found[-1]["cpu_s"] == pytest.approx(kernel, abs=0.3)
    assert max(one["procs"] for one in found) > 1


def test_an_orphan_is_counted_where_its_reaper_is_known(started):
    source = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # a subreaper, as the keeper is
stranger = os.fork()
if stranger == 0: time.sleep(100)
main = os.fork()
if main == 0:
    if os.fork() == 0:
        if os.fork() == 0: time.sleep(100)
        os._exit(0)
    os.wait()
    time.sleep(100)
while True:
    children = open("/proc/self/task/%d/children" % os.getpid()).read().split()
    if len(children) == 3: break
print("ready", flush=True)
print(os.getpid(), main, stranger, flush=True)
sys.stdin.readline()
"""
    process = started(source)
    reaper, main, stranger = map(int, hear(process).split())
    assert Sampler(main).look()["procs"] == 1
    assert Sampler(main, reaper, [stranger]).look()["procs"] == 2
    assert Sampler(main, reaper).look()["procs"] == 3


def test_the_agent_that_a_command_of_the_run_has_started_is_no_part_of_it(started, tmp_path):
    """It is one of the command's processes until it has detached itself and said who it is; then neither it nor what it starts is counted."""
    source = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
main = os.fork()
if main == 0:
    between = os.fork()
    if between == 0:
        agent = os.fork()
        if agent == 0:
            if os.fork() == 0: time.sleep(100)
            time.sleep(100)
        print("ready", flush=True)
        print(os.getppid(), agent, flush=True)
        sys.stdin.readline()
        os._exit(0)
    os.wait()
    time.sleep(100)
os.waitpid(main, 0)
"""
    process = started(source)
    main, agent = map(int, hear(process).split())
    looking = Sampler(main, process.pid, home=str(tmp_path))
    assert wait_until(lambda: looking.look()["procs"] == 4)
    say(process)
    wait_until(lambda: proctree.look(agent).ppid == process.pid)
    assert looking.look()["procs"] == 3
    note = {"pid": agent, "start": proctree.look(agent).start - 1}
    (tmp_path / "agent.lock").write_text(json.dumps(note))
    assert looking.look()["procs"] == 3  # of somebody who had that number before
    note["start"] += 1
    (tmp_path / "agent.lock").write_text(json.dumps(note))
    assert [looking.look()["procs"] for _ in range(2)] == [1, 1]


def test_children_that_other_threads_start_are_found(started):
    source = """
import subprocess, sys, threading
def start():
    global child
    child = subprocess.Popen(["sleep", "100"])
    print("ready", flush=True)
    threading.Event().wait()
threading.Thread(target=start, daemon=True).start()
sys.stdin.readline()
"""
    process = started(source)
    looking = Sampler(process.pid)
    assert [looking.look()["procs"] for _ in range(3)] == [2, 2, 2]  # the second look is no deep one


def test_nothing_is_harmed_where_there_is_nothing(started):
    process = started("print('ready', flush=True); input()")
    looking = Sampler(process.pid)
    looking.look()
    process.kill()
    assert wait_until(lambda: looking.look()["state"] in ("Z", ""), 10)
    process.wait()
    assert looking.look()["state"] == "" and looking.look()["procs"] == 0
    assert Sampler(2**22 + 1).look()["state"] == ""


def test_somebody_who_has_the_number_of_a_dead_one_is_not_counted(started):
    """Who has another start time is another one, whatever the number."""
    process = started("print('ready', flush=True); input()")
    looking = Sampler(process.pid)
    assert looking.look()["procs"] == 1
    looking._start -= 1
    found = looking.look()
    assert (found["procs"], found["state"], found["fds"]) == (0, "", 0)


def test_a_look_that_costs_much_comes_less_often():
    looking = Sampler(os.getpid())
    looking.look()
    looking._cost = 0.0001
    assert looking.interval == 1.0
    looking._cost = 0.005
    assert looking.interval == pytest.approx(5.0)


def test_shared_memory_is_divided_in_pss(started, monkeypatch):
    source = """
import os, sys, time
block = bytearray(64 << 20)
block[::4096] = b"x" * len(block[::4096])
if os.fork() == 0: time.sleep(100)
print("ready", flush=True)
sys.stdin.readline()
"""
    process = started(source)
    looking = Sampler(process.pid)
    assert "pss_kb" not in looking.look()  # not before ten seconds are over
    looking._pss_at = 0.0
    found = looking.look()
    assert found["rss_kb"] > 128 << 10 and 64 << 10 < found["pss_kb"] < 110 << 10
    assert "pss_kb" not in looking.look()
    monkeypatch.setattr(sampler, "PSS_MOST_KB", 64 << 10)
    looking._pss_at = 0.0
    assert "pss_kb" not in looking.look()  # it would take long


def test_a_kernel_without_lists_of_children_is_scanned(started, monkeypatch):
    source = "import subprocess\nsubprocess.Popen(['sleep', '100'])\nprint('ready', flush=True)\ninput()"
    process = started(source)
    monkeypatch.setattr(proctree, "_tells_children", lambda: False)
    assert len(proctree.tree([process.pid])) == 2


def test_sums_carry_what_nobody_inherited():
    one = sampler._Sum()
    assert one.total({"a": (10, 0), "b": (5, 0)}, {}) == 15
    assert one.total({"a": (17, 6)}, {"b": "a"}) == 17  # 5 and what it used since have gone over
    assert one.total({"a": (18, 6), "c": (4, 0)}, {}) == 22
    assert one.total({"a": (19, 6)}, {"c": "a"}) == 23  # nothing went over
    assert one.total({}, {}) == 23
