"""`flightlog stacks`: where real processes of real runs are, without a database."""

import json
import os
import signal
import subprocess
import sys

import pytest
from running import environment

from flightlog.process import proctree, stacks
from unit.query.command import Command
from waiting import wait_until

DEADLOCK = """
import subprocess, threading
child = subprocess.Popen(["sleep", "1000"])
first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def take(one, other):
    with one:
        both.wait()
        with other: pass
threading.Thread(target=take, args=(first, second)).start()
print("began", flush=True)
take(second, first)
"""


@pytest.fixture
def flightlog(home):
    return Command("", home)


@pytest.fixture
def run(home):
    processes = []

    def start(name, source):
        path = os.path.join(home, name + ".py")
        with open(path, "w") as file:
            file.write(source)
        command = [sys.executable, "-m", "flightlog", "run", "--", sys.executable, path]
        process = subprocess.Popen(
            command, env=environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        processes.append(process)
        assert process.stdout.readline() == b"began\n"
        return process

    yield start
    for process in processes:
        for one in reversed(list(proctree.tree([process.pid]).values())):
            if one.pid != process.pid:
                stacks.send(one, signal.SIGKILL)
        process.communicate()


def test_a_deadlock(run, flightlog):
    run("orders", DEADLOCK)
    data = wait_until(lambda: locked(flightlog), 30, "both threads to wait")
    assert (data["v"], data["pipeline"], data["klass"]) == (1, "orders", "deadlock"), data["details"]
    python, child = data["processes"]
    assert (child["name"], child["ppid"]) == ("sleep", python["pid"])
    assert [thread["waits"] for thread in python["threads"]] == ["futex", "futex"]
    if stacks.find_spy():
        assert [stack["by"] for stack in python["stacks"]] == ["py-spy"]
        assert python["stacks"][0]["text"].count("take (orders.py") == 2 and data["missing"] == []
    else:
        assert python["stacks"] == [] and "pip install py-spy" in data["missing"][0]
    out, _ = flightlog("stacks", data["short"])
    assert out.startswith(f"orders {data['short']}: ")
    assert f"process {python['pid']} " in out and "waits: futex" in out and f"process {child['pid']} sleep" in out


def locked(flightlog):
    data = json.loads(flightlog("stacks", "orders", "-o", "json")[0])
    return data if [thread["waits"] for thread in data["processes"][0]["threads"]] == ["futex", "futex"] else None


def test_who_offers_stacks_is_asked(run, flightlog):
    source = """
import faulthandler, os, signal, time
from flightlog import identity
from flightlog.journal import evidence
path = os.environ["FLIGHTLOG_EVIDENCE"]
faulthandler.register(signal.SIGUSR1, file=open(path, "ab"), all_threads=True)
evidence.note(path, "stacks", signal="SIGUSR1", start=identity.process_start_time(os.getpid()))
print("began", flush=True)
def rests(): time.sleep(1000)
rests()
"""
    process = run("rest", source)
    data = json.loads(flightlog("stacks", "rest", "-o", "json")[0])
    (one,) = data["processes"]
    assert one["stacks"][0]["by"] == "faulthandler" and "in rests" in one["stacks"][0]["text"]
    assert data["klass"] == "unknown" and process.poll() is None


def test_a_run_inside_a_run_has_its_own(run, flightlog):
    inner = [sys.executable, "-m", "flightlog", "run", "--", "sleep", "1000"]
    run(
        "outer", f"import subprocess\nprocess = subprocess.Popen({inner!r})\nprint('began', flush=True)\nprocess.wait()"
    )
    found = wait_until(lambda: nested(flightlog), 30, "the inner run")
    assert [one["name"] for one in found["processes"]] == ["sleep"]
    outer = json.loads(flightlog("stacks", "outer", "-o", "json")[0])
    assert "sleep" not in [one["name"] for one in outer["processes"]]


def nested(flightlog):
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", "stacks", "sleep", "-o", "json"],
        env=flightlog.environment,
        capture_output=True,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_what_is_not_there(run, flightlog):
    run("orders", DEADLOCK)
    assert "Try: orders" in flightlog("stacks", "order", code=4)[1]
    assert "Try: flightlog stacks" in flightlog("stacks", code=2)[1]


def test_our_own_signal_handler_offers_its_stacks_until_it_is_left(run, flightlog):
    source = """
import flightlog, os, signal, sys
def deep():
    with flightlog.EnhancedSignalHandler(stacks=True):
        print("began", flush=True)
        sys.stdin.readline()
deep()
signal.signal(signal.SIGUSR1, lambda *_: os._exit(9))  # it means something else from here on
print("left", flush=True)
sys.stdin.readline()
"""
    process = run("handled", source)
    data = json.loads(flightlog("stacks", "handled", "-o", "json")[0])
    (python,) = data["processes"]
    (told,) = [stack for stack in python["stacks"] if stack["by"] == "faulthandler"]
    assert "in deep" in told["text"]
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"left\n"
    data = json.loads(flightlog("stacks", "handled", "-o", "json")[0])
    assert [stack["by"] for stack in data["processes"][0]["stacks"] if stack["by"] == "faulthandler"] == []
    assert process.poll() is None, "nobody sent it a signal that would end it"
