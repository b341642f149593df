"""A pipeline dies in the middle of logging: killed from outside, inside a system call of ours, by itself, or for memory."""

import os
import random
import signal
import sys

import pytest
from campaign import LONG, SEED, rounds
from injection import shimmed

from waiting import wait_until

LOGGING = """
import logging, os, random, signal, sys, threading, time
import flightlog, worker
flightlog.init(pipeline="victim")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(logging.INFO)

def work(name, size=0, count=1 << 60):
    for n in range(count):
        worker.log(std.info if n % 2 else native.info, name, n, size)
"""

FORKED = (
    LOGGING
    + """
choose = random.Random(int(worker.argument(1)))
for number in range(int(worker.argument(2))):
    size = choose.choice([0, 0, 100, 3000, 20000])
    pid = os.fork()
    if pid == 0:
        for name in "abcd":
            threading.Thread(target=work, args=("%d%s" % (number, name), size)).start()
        while True:
            signal.pause()
    time.sleep(choose.uniform(0, 0.02))
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
"""
)

STARTED = (
    LOGGING
    + """
with open(worker.argument(2), "w") as file:
    file.write("%d\\n" % os.getpid())
for name in "abcd":
    threading.Thread(target=work, args=(worker.argument(1) + name, int(worker.argument(3)))).start()
"""
)


def test_01_writer_sigkill_loop(scene):
    """Killed at a random moment with four threads logging: forked from one parent, and started, bare or under `flightlog run`."""
    number = rounds(60, whole=200 * max(1, rounds(1) // 4))
    assert scene.run(FORKED, SEED, number, timeout=900) == 0, scene.words()
    choose = random.Random(SEED)
    started = rounds(2, 2)
    for round_ in range(started):
        note = os.path.join(scene.folder, f"pid{round_}")
        path = scene.script(STARTED, "started.py")
        command = [sys.executable, path, f"s{round_}", note, str(choose.choice([0, 100, 3000, 20000]))]
        if round_ % 2:
            command = [sys.executable, "-m", "flightlog", "run", "--", *command]
        process = scene.start("import os, sys\nos.execv(sys.argv[1], sys.argv[1:])", *command)
        pid = wait_until(lambda: os.path.exists(note) and open(note).read().strip(), 30, "the victim")
        enough = os.path.getsize(scene.witness) + choose.randrange(50000)
        wait_until(lambda: os.path.getsize(scene.witness) > enough, 30, "it to log")
        os.kill(int(pid), signal.SIGKILL)
        assert process.wait(60) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    scene.tally.add(rounds=number + started, kills=number + started)
    scene.check(names=[f"s{round_}a" for round_ in range(started)])


# Where the writer makes system calls: at birth, at an append, at a rotation. half: a part of the bytes is written.
POINTS = [
    # Until it is locked, a lock is called claimed.<pid>.<writer>.
    *[
        "open/claimed.:1:kill_before",
        "open/claimed.:1:kill_after",
        "fcntl/claimed.:1:kill_after",
        "fcntl/claimed.:2:kill_after",
    ],
    *["rename/claimed.:1:kill_before", "rename/claimed.:1:kill_after"],
    *["open/.000000.seg:1:kill_before", "open/.000000.seg:1:kill_after"],
    *[f"write/.000000.seg:{n}:kill_{when}" for n in (1, 2, 3, 5) for when in ("before", "half", "after")],
    *["fcntl/.000000.seg:1:kill_before", "fcntl/.000000.seg:1:kill_after"],
    *["open/.000001.seg:1:kill_before", "open/.000001.seg:1:kill_after"],
    *[f"write/.000001.seg:{n}:kill_{when}" for n in (1, 2) for when in ("before", "half", "after")],
    *["dup2/.000001.seg:1:kill_before", "dup2/.000001.seg:1:kill_after", "write/.000003.seg:2:kill_half"],
]

ROTATING = (
    LOGGING
    + """
worker.rotate_at(30000)
name, sizes = worker.argument(1), [10, 10, 6000, 200, 9000, 50]
threads = int(worker.argument(2))
def rotate(name):
    for n in range(60):
        worker.log(native.info, name, n, sizes[n % len(sizes)])
for thread in range(threads):
    threading.Thread(target=rotate, args=("%st%d" % (name, thread),)).start()
rotate(name)
"""
)


def test_02_killed_inside_append(scene, machine):
    """SIGKILL before, within and after each system call of birth, append and rotation."""
    shim = machine.need("shim")
    for round_ in range(rounds(1, whole=max(2, rounds(1) // 4))):
        for number, point in enumerate(POINTS):
            env = scene.env(**shimmed(shim, point))
            status = scene.run(ROTATING, f"{round_}p{number}", 3 * (round_ % 2), env=env)
            assert status == -signal.SIGKILL, f"{point} was not reached: {status} {scene.words()}"
            scene.tally.add(rounds=1, kills=1)
    scene.check()


SEGFAULT = (
    LOGGING
    + """
import ctypes
for name in "abc":
    threading.Thread(target=work, args=(worker.argument(1) + name, 50)).start()
work(worker.argument(1) + "m", 50, int(worker.argument(2)))
ctypes.string_at(0)
"""
)


def test_03_segfault(scene):
    """The interpreter crashes beside threads that log."""
    choose = random.Random(SEED)
    for round_ in range(max(2, rounds(2))):
        assert scene.run(SEGFAULT, round_, choose.randrange(1, 3000)) == -signal.SIGSEGV, scene.words()
        scene.tally.add(rounds=1, kills=1)
    scene.check(names=["0m", "1m"])


GREEDY = (
    LOGGING
    + """
for name in "abc":
    threading.Thread(target=work, args=(worker.argument(1) + name, 200)).start()
work(worker.argument(1) + "m", 200, 200)
hoard = []
while True:
    hoard.append(bytearray(1 << 20))
    worker.log(native.info, worker.argument(1), len(hoard))
"""
)


def test_04_killed_for_memory(scene, machine):
    """The kernel kills the pipeline because its cgroup is full."""
    make = machine.need("memory")
    for round_ in range(rounds(1, whole=10)):
        group = make(64 << 20)
        assert scene.run(GREEDY, round_, preexec_fn=group.enter) == -signal.SIGKILL, scene.words()
        assert group.kills() >= 1
        scene.tally.add(rounds=1, kills=1)
    scene.check(names=["0m", "0"])


# The way out -> (what the program does at the end, the status that it has without us).
ENDS = {
    "os_exit": ("os._exit(3)", 3),
    "exit_in_thread": ("t = threading.Thread(target=sys.exit, args=(4,)); t.start(); t.join(); work('T', 0, 5)", 0),
    "exit": ("sys.exit(5)", 5),
    "unhandled": ("raise ValueError('w')", 1),
    "unhandled_in_thread": ("t = threading.Thread(target=int, args=('x',)); t.start(); t.join(); work('T', 0, 5)", 0),
    "sigterm": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "sigint": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)", -signal.SIGINT),
    "abort": ("os.abort()", -signal.SIGABRT),
    "recursion": ("deep(0)", 1),
    "deep_recursion": ("sys.setrecursionlimit(3000); deep(0)", 1),
    "recursion_and_no_orderly_end": ("survive(); work('T', 0, 5); os._exit(3)", 3),
    "recursion_survived": ("survive(); work('T', 0, 5)", 0),
    "exit_in_atexit": ("import atexit; atexit.register(work, 'T', 0, 5); sys.exit(6)", 6),
    "exit_by_handler_in_repr": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); native.info('x', value=Killing()); time.sleep(10)",
        7,
    ),
    "daemon_thread": ("threading.Thread(target=work, args=('T',), daemon=True).start(); time.sleep(0.02)", 0),
}
ENDING = (
    LOGGING
    + """
inner = work
def work(name, *rest):
    inner(worker.argument(1) + name, *rest)
def deep(depth):
    worker.log(native.info, worker.argument(1) + "deep", depth)
    deep(depth + 1)
class Killing:
    def __repr__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return "killing"
def survive():
    try:
        deep(0)
    except RecursionError:
        pass
work("m", 20, 50)
exec(worker.argument(2))
"""
)


# What `make test` tries in other interpreters: what has gone wrong there.
QUICK = {"this": list(ENDS), "python3.8": ["recursion", "deep_recursion"], "python3.13": ["sigint"], "pypy3": []}


@pytest.mark.parametrize("name", QUICK)
def test_05_ends_of_its_own(scene, machine, name):
    """The process ends by itself in every way there is, in each interpreter: nothing is lost, and the status is its own."""
    python = machine.interpreter(name)
    ends = list(ENDS) if LONG else QUICK[name]
    if not ends:
        pytest.skip("only in make faults")
    for round_ in range(rounds(1, whole=5)):
        for end in ends:
            text, status = ENDS[end]
            found = scene.run(ENDING, f"{end}{round_}.", text, python=python)
            assert found == status, f"{end}: {found}, not {status}: {scene.words()}"
            scene.tally.add(rounds=1)
    # Where the stack is full not even we can call a function: the last few records before that are dropped, and declared.
    scene.check(may_lose=True, names=[f"{end}0.m" for end in ends])
    assert scene.tally.declared <= 20 * scene.tally.rounds
