"""The judge: each word for what it stands for, never proven by what nobody looked at, total for whatever evidence says."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.process.verdict import CONFIDENCES, VERDICTS, judge

MIB = 1 << 20


def died(name, **more):
    return {"term_signal": name, "exit_code": None, "status": "failed", **more}


def left(code, **more):
    return {"term_signal": None, "exit_code": code, "status": "ok" if code == 0 else "failed", **more}


def fault(kind="uncaught", t=5, pid=7, **more):
    return {"kind": kind, "t": t, "pid": pid, "type": "ValueError", "message": "no", "where": "etl.py:3 load", **more}


def stop(signal="SIGTERM", t=9, why="stop", **more):
    return {"kind": "stop", "t": t, "pid": 1, "why": why, "by": "ann", "signal": signal, **more}


def history(lines=100, seconds=60):
    usual = {"lines": {"least": 80, "middle": 100, "most": 120}, "seconds": {"least": 50, "middle": 60, "most": 70}}
    return {"runs": 10, "usual": usual, "this": {"lines": lines, "seconds": seconds}}


# As the keeper notes it of a service that has not said WATCHDOG=1 in time.
WATCHDOG = [{"kind": "signal", "t": 3, "pid": 1, "signal": "SIGABRT", "sender": "systemd", "sender_pid": 1}]
CASES = [
    ("ok", "proven", left(0)),
    ("exit-status", "proven", left(3)),
    ("exec-failure", "proven", left(127, exec_errno=2)),
    # exceptions
    ("python-exception", "proven", left(1, faults=[fault()])),
    ("python-exception", "likely", left(1, tail="Traceback (most recent call last):\n  File x\nKeyError: 'a'")),
    ("exit-status", "proven", left(1, tail="Traceback (most recent call last):\n  File x\n  and no more of it")),
    ("exit-status", "proven", left(1, faults=[fault(type="SystemExit", message="no input")])),
    ("memory-error", "proven", left(1, faults=[fault(type="MemoryError", message="")], limits={"as": 512 * MIB})),
    ("memory-error", "proven", left(1, faults=[fault(type="OutOfMemoryError", message="CUDA out of memory.")])),
    ("memory-error", "likely", left(1, tail="x\njava.lang.OutOfMemoryError: Java heap space")),
    ("config-error", "likely", left(1, faults=[fault(type="ScannerError", module="yaml.scanner")])),
    ("config-error", "likely", left(2, tail="usage: etl [-h]\netl: error: no such option")),
    ("config-error", "likely", left(78)),
    (
        "file-limit",
        "proven",
        left(1, faults=[fault(type="OSError", message="[Errno 27] File too large")], limits={"fsize": 512}),
    ),
    ("collateral", "likely", left(1, faults=[fault(type="BrokenProcessPool")], oom_kills=0)),
    ("oom-cgroup", "likely", left(1, faults=[fault(type="BrokenProcessPool")], oom_kills=1)),
    # silent ones
    ("ok-degraded", "proven", left(0, faults=[fault("thread")])),
    ("ok-degraded", "proven", left(0, faults=[fault("asyncio")])),
    ("ok-degraded", "likely", left(0, tail="Exception in thread Thread-1:\nTraceback")),
    ("ok-degraded", "likely", left(0, oom_kills=2)),
    ("ok-odd", "likely", left(0, history=history(lines=0))),
    ("ok", "proven", left(0, history=history(lines=90))),
    ("ok-odd", "likely", left(0, history=history(seconds=4000))),
    ("ok-odd", "likely", left(0, history=history(seconds=1))),
    ("ok", "proven", left(0, history={})),
    # shells and wrappers
    ("oom-cgroup", "likely", left(1, tail="Killed", kernel_oom=["Memory cgroup out of memory: Killed process 9 (x)"])),
    ("oom-host", "likely", left(137, kernel_oom=["Out of memory: Killed process 9 (x)"])),
    ("exit-status", "proven", left(1, tail="Killed", kernel_oom=[])),
    # of a neighbour in another cgroup, while the script's own command was killed by hand
    (
        "exit-status",
        "proven",
        left(1, tail="x: line 1: 8 Killed  cmd", kernel_oom=["Memory cgroup out of memory: Killed process 9 (x)"]),
    ),
    (
        "oom-cgroup",
        "likely",
        left(1, tail="x: line 1: 9 Killed  cmd", kernel_oom=["Memory cgroup out of memory: Killed process 9 (x)"]),
    ),
    (
        "file-limit",
        "proven",
        left(1, tail="Traceback (most recent call last):\nOSError: [Errno 27] File too large", limits={"fsize": 1}),
    ),
    (
        "collateral",
        "likely",
        left(1, tail="Traceback (most recent call last):\nconcurrent.futures.process.BrokenProcessPool: x"),
    ),
    ("native-crash", "likely", left(139, command=["sh", "-c", "x"])),
    ("exit-status", "proven", left(139, command=["python3", "x.py"])),
    ("stopped-outside", "likely", left(137, command=["bash", "x"], oom_kills=0)),
    ("exec-failure", "likely", left(127, command=["sh", "-c", "x"], tail="sh: 1: x: not found")),
    (
        "exec-failure",
        "likely",
        left(2, command=["/usr/bin/python3.11", "x.py"], tail="python3: can't open file 'x.py': [Errno 2]"),
    ),
    ("deadline", "likely", left(124, command=["timeout", "5", "x"])),
    # signals
    ("native-crash", "likely", died("SIGSEGV")),
    ("native-crash", "proven", died("SIGSEGV", kernel=["x[7]: segfault at 0 ip 1 sp 2 error 4"], kernel_read=True)),
    ("abort", "likely", died("SIGABRT")),
    ("abort", "proven", died("SIGABRT", tail="free(): invalid pointer")),
    (
        "stopped-outside",
        "proven",
        died(
            "SIGABRT",
            signals=WATCHDOG,
            dump="Fatal Python error: Aborted",
        ),
    ),
    (
        "abort",
        "proven",
        died(
            "SIGABRT",
            signals=WATCHDOG,
            tail="free(): invalid pointer",
        ),
    ),
    ("memory-error", "likely", died("SIGABRT", tail="terminate called after throwing an instance of 'std::bad_alloc'")),
    ("collateral", "likely", died("SIGPIPE")),
    ("collateral", "proven", died("SIGPIPE", broken=["stdout"])),
    ("stopped-outside", "likely", died("SIGTERM")),
    (
        "stopped-outside",
        "proven",
        died(
            "SIGTERM",
            signals=[{"kind": "signal", "t": 3, "pid": 1, "signal": "SIGTERM", "sender": "systemd", "sender_pid": 1}],
        ),
    ),
    ("cpu-limit", "proven", died("SIGXCPU", limits={"cpu": 2}, rusage={"user_s": 1.9, "system_s": 0.2})),
    ("cpu-limit", "likely", died("SIGXCPU")),
    ("cpu-limit", "proven", died("SIGKILL", limits={"cpu": 2}, rusage={"user_s": 1.9, "system_s": 0.2})),
    ("cpu-limit", "likely", died("SIGKILL", limits={"cpu": 2}, rusage={"user_s": 1.6, "system_s": 0.2})),
    ("unknown", "unknown", died("SIGKILL", limits={"cpu": 2}, rusage={"user_s": 1.2, "system_s": 0.2}, oom_kills=0)),
    ("stopped-outside", "likely", died("SIGKILL", limits={"cpu": 2}, rusage={"user_s": 0.2}, oom_kills=0)),
    ("file-limit", "proven", died("SIGXFSZ", limits={"fsize": 1024})),
    ("oom-cgroup", "likely", died("SIGKILL", oom_kills=1)),
    ("oom-cgroup", "proven", died("SIGKILL", kernel=["Memory cgroup out of memory: Killed process 7 (x)"])),
    ("oom-host", "proven", died("SIGKILL", kernel=["Out of memory: Killed process 7 (x)"])),
    ("unknown", "unknown", died("SIGKILL")),
    ("stopped-outside", "likely", died("SIGKILL", oom_kills=0)),
    ("unknown", "unknown", died("SIGALRM")),
    # our own doings
    ("stopped-by-us", "proven", died("SIGTERM", stops=[stop()])),
    ("stopped-by-us", "proven", died("SIGKILL", stops=[stop(), stop("SIGKILL", t=12)])),
    ("stopped-by-us", "likely", left(0, stops=[stop()])),
    ("stopped-by-us", "likely", left(143, stops=[stop()], command=["sh"])),
    ("deadline", "proven", died("SIGTERM", stops=[stop(why="deadline")])),
    (
        "hang-killed",
        "proven",
        died("SIGABRT", stops=[stop("SIGABRT", why="hang")], stalls=[{"kind": "stall", "t": 1, "klass": "deadlock"}]),
    ),
    ("python-exception", "proven", left(1, faults=[fault(t=5)], stops=[stop(t=9)])),  # it had failed before
    ("stopped-by-us", "likely", left(1, faults=[fault(t=12)], stops=[stop(t=9)])),
    ("native-crash", "likely", died("SIGSEGV", stops=[stop()])),  # nobody sent that
    # nobody saw it
    ("unknown", "unknown", {}),
    ("host-restart", "proven", {"boot": "a" * 32, "boot_now": "b" * 32}),
]


@pytest.mark.parametrize(("verdict", "confidence", "evidence"), CASES)
def test_it_says(verdict, confidence, evidence):
    found = judge(evidence)
    assert (found["verdict"], found["confidence"]) == (verdict, confidence), found
    assert found["because"] and all(isinstance(sentence, str) and sentence for sentence in found["because"])


def test_the_first_of_several_workers_is_the_root():
    faults = [
        fault("worker", t=30, pid=3, type="BrokenPipeError"),
        fault("worker", t=10, pid=2, type="ZeroDivisionError"),
        fault(t=40, pid=1),
    ]
    found = judge(left(1, faults=faults))
    assert "ZeroDivisionError" in found["because"][0] and "2 other processes failed after it" in found["because"][1]


def test_what_died_in_another_process_is_no_proof():
    """A child may have been expected to fail; a future that nobody asked for is no reason to exit with 1."""
    child = [fault(pid=9)]
    assert judge(left(0, pid=7, faults=child))["confidence"] == "likely"
    assert judge(left(0, pid=9, faults=child))["confidence"] == "proven"
    assert judge(left(1, pid=7, faults=child))["confidence"] == "likely"
    assert judge(left(1, pid=7, faults=[fault("worker", pid=7)]))["confidence"] == "likely"
    assert judge(left(1, pid=7, faults=[fault("worker", t=1, pid=9), fault(t=5, pid=7)]))["confidence"] == "likely"
    found = judge(left(1, pid=7, faults=[fault(t=5, pid=7), fault("worker", t=9, pid=9)]))
    assert found["confidence"] == "proven"


def test_stacks_that_somebody_asked_for_are_no_crash():
    asked = 'Current thread 0x1 (most recent call first):\n  File "asked.py", line 1 in f\n'
    crash = 'Fatal Python error: Segmentation fault\n\n  File "crash.py", line 2 in g\n'
    found = judge(died("SIGSEGV", dump=asked + crash))
    assert any("crash.py" in sentence for sentence in found["because"])
    assert not any("asked.py" in sentence for sentence in found["because"])


def test_what_is_ruled_out_was_looked_at():
    found = judge(died("SIGKILL", oom_kills=0, kernel=[], kernel_read=True, rusage={"user_s": 1.0, "system_s": 0.0}))
    assert len(found["ruled_out"]) == 4
    assert judge(died("SIGKILL"))["ruled_out"] == ["flightlog did not stop it: nobody asked"]
    assert judge(left(0))["ruled_out"] == []


def test_lost_output_is_mentioned_whatever_the_cause():
    assert any("12 bytes" in sentence for sentence in judge(left(3, lost=12))["because"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["t", "kind", "signal", "type", "pid", "cpu", "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)
KEYS = (
    "term_signal exit_code exec_errno faults stops stalls signals tail limits rusage oom_kills kernel kernel_read boot boot_now command broken cgroup keeper core clean lost dump history"
).split()
SIGNALS = [name.name for name in signal.Signals]


@given(
    st.dictionaries(st.sampled_from(KEYS), json_values),
    st.sampled_from([None, *SIGNALS]),
    st.sampled_from([None, 0, 1, 137]),
)
def test_it_is_total_and_deterministic(evidence, name, code):
    if name:
        evidence["term_signal"] = name
    if code is not None:
        evidence["exit_code"] = code
    found = judge(evidence)
    assert found == judge(dict(evidence))
    assert found["verdict"] in VERDICTS and found["confidence"] in CONFIDENCES
    assert (found["verdict"] == "unknown") == (found["confidence"] == "unknown")
    assert all(isinstance(sentence, str) for sentence in found["because"] + found["ruled_out"])


@pytest.mark.parametrize(
    ("line", "means"),
    [
        (
            "x[7]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[167ad8,7f+156000] likely on CPU 1",
            "a null pointer was read in libc.so.6",
        ),
        (
            "x[7]: segfault at 7f00deadbeef ip 0 sp 0 error 6 in mod.so[1+2]",
            "an address that is not its own (7f00deadbeef) was written to in mod.so",
        ),
        ("x[7]: segfault at 10 ip 0 sp 0 error 14", "a null pointer was read"),
    ],
)
def test_what_the_kernel_says_of_a_fault_is_put_into_words(line, means):
    assert means in judge(died("SIGSEGV", kernel=[line], kernel_read=True))["because"]


def test_the_trend_of_memory_is_told():
    samples = [{"t": n * 10**9, "rss_kb": 1024 * (100 + 10 * n)} for n in range(7)]
    found = judge(died("SIGKILL", oom_kills=1, samples=samples))
    assert "160 MiB when last looked at, +600 MiB a minute" in found["because"][1]
    assert judge(died("SIGKILL", oom_kills=1, samples=["x", {}, {"t": 1}]))["verdict"] == "oom-cgroup"


def test_odd_numbers_are_no_numbers():
    for odd in (float("inf"), float("nan"), 1 << 80, True, "3"):
        assert judge(left(3, exec_errno=odd))["verdict"] in ("exit-status", "exec-failure")
        rusage = {"user_s": odd, "system_s": odd}
        assert judge(died("SIGXCPU", limits={"cpu": odd}, rusage=rusage))["confidence"] == "likely"


@given(st.sampled_from(["SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT"]))
def test_a_bare_status_proves_no_cause_of_a_signal(name):
    assert judge(died(name))["confidence"] != "proven"
