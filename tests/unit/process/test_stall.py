"""What two looks at threads say: the table of causes, without any process."""

import pytest

from flightlog.process.stall import CLASSES, classify
from flightlog.process.threads import Thread

SECOND = 1_000_000_000


def thread(tid=1, pid=1, state="S", waits="", forever=False, fd=-1, target="", syscall=1, wchan="", **more):
    made = Thread(pid, tid)
    made.name, made.state, made.waits, made.forever = "python", state, waits, forever
    made.fd, made.target, made.syscall, made.wchan = fd, target, syscall, wchan
    for name, value in more.items():
        setattr(made, name, value)
    return made


def judged(*threads, seconds=1.0, **more):
    before = []
    for one in threads:
        before.append(thread(one.tid, one.pid, one.state))
        before[-1].cpu_ns = before[-1].ready_ns = before[-1].switches = 0
        if one.state == "D":
            before[-1].cpu_ns = one.cpu_ns
    return classify(before, threads, seconds, **more)


def lock(tid, pid=1, forever=True, **more):
    return thread(tid, pid, waits="futex", forever=forever, **more)


BUSY = {"state": "R", "syscall": -1, "cpu_ns": SECOND}

CASES = [
    ("deadlock", [lock(1), lock(2)], "all 2 threads of process 1"),
    ("deadlock", [lock(1)], "only a signal"),
    ("unknown", [lock(1), lock(2, forever=False)], "time limit"),
    ("unknown", [lock(1, forever=False, syscall=None)], "may not be seen"),
    ("io", [lock(1), thread(2, waits="socket", fd=7, target="socket:[1]")], "waits for socket:[1]"),
    ("stdin", [thread(1, waits="read", fd=0, target="pipe:[9]")], "reads standard input (pipe:[9])"),
    ("io", [thread(1, waits="read", fd=4, target="pipe:[9]")], "reads pipe:[9]"),
    ("io", [thread(1, waits="poll")], "polls several files"),
    ("io", [thread(1, waits="lock", fd=5, target="/tmp/x")], "a lock on /tmp/x"),
    ("io", [thread(1, waits="write", fd=1, target="pipe:[3]")], "writes to pipe:[3]"),
    ("loop", [thread(1, **BUSY)], "whole CPU"),
    ("loop", [thread(1, **BUSY), lock(2, forever=False)], "whole CPU"),
    ("loop", [thread(1, state="R", cpu_ns=SECOND // 3, ready_ns=SECOND // 2)], "whole CPU"),  # beside others
    ("gil", [thread(1, **BUSY), lock(2, forever=False, switches=190)], "1 other threads ask"),
    ("loop", [thread(1, **BUSY), lock(2, pid=2, forever=False, switches=190)], "whole CPU"),  # another one's lock
    ("d-state", [thread(1, state="D", wchan="rpc_wait_bit_killable", cpu_ns=5)], "rpc_wait_bit_killable"),
    ("d-state", [thread(1, **BUSY), thread(2, state="D")], "interrupted"),
    ("stdin", [thread(1, waits="child"), thread(2, pid=2, waits="read", fd=0)], "process 2"),
    ("deadlock", [thread(1, waits="child"), lock(2, pid=2), lock(3, pid=2)], "process 2"),
    ("io", [thread(1, waits="read", fd=3, target="pipe:[1]"), lock(2, pid=2)], "pipe:[1]"),
    (
        "deadlock",
        [thread(1, pid=2, waits="socket"), lock(3, private=True), lock(4, private=True)],
        "all 2 threads of process 1",
    ),
    ("io", [thread(1, pid=2, waits="socket", fd=3), lock(3), lock(4)], "process 2"),  # what another process may release
    ("unknown", [thread(1, waits="sleep")], "sleeps"),
    ("unknown", [thread(1, waits="child")], "state S"),
    ("unknown", [thread(1, state="R", cpu_ns=SECOND // 3)], "state R"),
    ("unknown", [], "nothing could be seen"),
]


@pytest.mark.parametrize(("klass", "threads", "words"), CASES)
def test_the_cause(klass, threads, words):
    found, details = judged(*threads)
    assert (found, words in details) == (klass, True), (found, details)
    assert found in CLASSES


def test_output_that_nobody_takes():
    assert judged(thread(1, waits="write", fd=1), output_waits=True) == (
        "io",
        "its output waits for whoever reads it, or for room in the spool",
    )
    assert judged(thread(1, **BUSY), output_waits=True)[0] == "loop"


def test_a_disk_that_answers_is_no_d_state():
    before, now = thread(1, state="D"), thread(1, state="D", cpu_ns=1000)
    assert classify([before], [now], 1.0)[0] != "d-state"


def test_a_thread_that_was_not_there_says_nothing():
    assert classify([thread(1)], [thread(2, **BUSY)], 1.0)[0] == "unknown"
