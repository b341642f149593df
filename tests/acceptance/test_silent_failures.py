"""Failures that a program survives or hides: each is one record and one line of evidence, and the program's output and status stay what they were."""

import json
import os
import re
import subprocess
import sys

import interpreters
import pytest
import running

import flightlog
from flightlog.journal import evidence

VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
FUTURES = """
from concurrent.futures import ThreadPoolExecutor
def fails(n): raise KeyError("future %d" % n)
with ThreadPoolExecutor(1) as pool:
    pool.submit(fails, 1)
    kept = pool.submit(fails, 2)
    seen = pool.submit(fails, 3)
    try: seen.result()
    except KeyError: pass
    pool.submit(fails, 4).exception()
    pool.submit(fails, 5).add_done_callback(lambda future: None)
    pool.submit(print, "works")
"""
FUTURE_IN_CHILD = """
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
def fails(): raise KeyError("in a child")
def child():
    global kept
    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(fails)
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
"""
POOL = """
import multiprocessing
def fails(n): raise KeyError("pool %d" % n)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply_async(fails, (1,)).wait()
        kept = pool.map_async(fails, [2])
        kept.wait()
        try: pool.apply_async(fails, (3,)).get()
        except KeyError: pass
        pool.apply_async(fails, (4,), error_callback=lambda problem: None).wait()
"""
CHILD = """
import multiprocessing
def fails(): raise KeyError("in a child")
if __name__ == "__main__":
    child = multiprocessing.get_context(%r).Process(target=fails, name="loader")
    child.start()
    child.join()
"""
KILLED = """
import multiprocessing, os, signal, time
def dies(): os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    child, ended = context.Process(target=dies), context.Process(target=time.sleep, args=(60,))
    child.start(); ended.start()
    child.join()
    ended.terminate()  # which is no failure
    ended.join()
"""
TASK = """
import asyncio, gc
async def fails(): raise KeyError("in a task")
async def main():
    %s
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
asyncio.run(main())
"""
QUIET = "asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)"
CALLBACK = """
import asyncio
def fails(): raise KeyError("in a callback")
async def main():
    asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
ATEXIT = """
import atexit
def fails(n): raise KeyError("exit %d" % n)
atexit.register(fails, 1)
def taken_back(): print("never")
atexit.register(taken_back)
atexit.unregister(taken_back)
@atexit.register
def works(): print("works")
"""
THREAD = """
import threading
def fails(): raise KeyError("in a thread")
thread = threading.Thread(target=fails, name="loader")
thread.start()
thread.join()
"""
FINALIZER = """
import gc
class Odd:
    def __del__(self): raise KeyError("in del")
odd = Odd()
del odd
gc.collect()
"""
# name: (program, [(kind, type, message, where, thread)], {the record's logger})
CASES = {
    "main": (
        "def fails(): raise KeyError('dead')\nfails()",
        [("uncaught", "KeyError", "'dead'", "program.py:1 fails", "MainThread")],
        ["flightlog.uncaught"],
    ),
    "thread": (
        THREAD,
        [("thread", "KeyError", "'in a thread'", "program.py:3 fails", "loader")],
        ["flightlog.uncaught"],
    ),
    "task": (
        TASK % "pass",
        [("asyncio", "KeyError", "'in a task'", "program.py:3 fails", "Task-2")],
        ["asyncio"],
    ),
    "task nobody logs": (
        TASK % QUIET,
        [("asyncio", "KeyError", "'in a task'", "program.py:3 fails", "Task-2")],
        ["flightlog.uncaught"],
    ),
    "callback": (
        CALLBACK,
        [("asyncio", "KeyError", "'in a callback'", "program.py:3 fails", "")],
        ["asyncio"],
    ),
    "finalizer": (
        FINALIZER,
        [("unraisable", "KeyError", "'in del'", "program.py:4 __del__", "")],
        ["flightlog.uncaught"],
    ),
    "finalizer, late": (
        FINALIZER.replace("del odd\ngc.collect()\n", ""),
        [("unraisable", "KeyError", "'in del'", "program.py:4 __del__", "")],
        ["flightlog.uncaught"],
    ),
    "atexit": (
        ATEXIT,
        [("atexit", "KeyError", "'exit 1'", "program.py:3 fails", "")],
        ["flightlog.uncaught"],
    ),
    "forked child": (
        CHILD % "fork",
        [("worker", "KeyError", "'in a child'", "program.py:3 fails", "loader")],
        ["flightlog.uncaught"],
    ),
    "spawned child": (
        CHILD % "spawn",
        [("worker", "KeyError", "'in a child'", "program.py:3 fails", "loader")],
        ["flightlog.uncaught"],
    ),
    "killed child": (
        KILLED,
        [("worker", "ChildProcessError", "multiprocessing child N died of SIGKILL", "", "")],
        ["flightlog.uncaught"],
    ),
    "futures": (
        FUTURES,
        [("worker", "KeyError", "'future %d'" % n, "program.py:3 fails", "") for n in (1, 2)],
        ["flightlog.uncaught"] * 2,
    ),
    "future in a child": (
        FUTURE_IN_CHILD,
        [("worker", "KeyError", "'in a child'", "program.py:4 fails", "")],
        ["flightlog.uncaught"],
    ),
    "pool": (
        POOL,
        [("worker", "KeyError", "'pool %d'" % n, "", "") for n in (1, 2)],
        ["flightlog.uncaught"] * 2,
    ),
    "nothing": ("print('well')", [], []),
    # The message is the last line of its output; to see more of it, a function of the program's would have to be replaced.
    "message": ("import sys\nsys.exit('no input')", [], []),
    "message that was caught": (
        "import sys, traceback\ntry: sys.exit('caught')\nexcept SystemExit: traceback.print_exc()",
        [],
        [],
    ),
    "status": ("import sys\nsys.exit(3)", [], []),
}

PYPY_CANNOT = ["futures", "pool", "atexit", "finalizer, late"]


def plainly(python, script, cwd):
    done = subprocess.run([python, script], capture_output=True, cwd=cwd, env=running.environment(cwd), timeout=60)
    return done.returncode, _masked(done.stdout), _masked(done.stderr)


def _masked(data):
    return re.sub(rb"0x[0-9a-f]+", b"0x", data)


def supervised(python, script, home, **more):
    status, out, err = running.run(
        running.kept([python, script]), home, cwd=str(home), env=running.environment(home, **more)
    )
    return status, _masked(out), _masked(err)


def written(tmp_path, code):
    script = tmp_path / "program.py"
    script.write_text(code)
    return str(script)


def faults_of(home):
    found = [
        (f["kind"], f["type"], re.sub(r"\d{3,}", "N", f["message"]), f["where"], f["thread"])
        for f in running.ended(home).get("faults", ())
    ]
    return sorted(found)


def logged(home):
    return sorted(r["lg"] for r in running.records(home) if r["k"] == "log" and r.get("src") != "flightlog")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_each_failure_is_stated_once_and_the_program_is_as_without_us(tmp_path, case, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    code, faults, loggers = CASES[case]
    script = written(tmp_path, code)
    home = tmp_path / "home"
    home.mkdir()
    plain = plainly(python, script, tmp_path)
    assert supervised(python, script, home) == plain
    assert faults_of(home) == sorted(faults)
    assert logged(home) == sorted(loggers)
    assert running.ended(home)["clean"] is True


@pytest.mark.parametrize("case", [case for case in CASES if case not in PYPY_CANNOT])
def test_pypy_tells_the_same(tmp_path, case):
    test_each_failure_is_stated_once_and_the_program_is_as_without_us(tmp_path, case, "pypy3")


@pytest.mark.parametrize("case", PYPY_CANNOT)
def test_what_pypy_cannot_tell_harms_nobody(tmp_path, case):
    python = interpreters.find("pypy3")
    if python is None:
        pytest.skip("no PyPy on this machine")
    script = written(tmp_path, CASES[case][0])
    home = tmp_path / "home"
    home.mkdir()
    assert supervised(python, script, home) == plainly(python, script, tmp_path)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os\nos._exit(0)", 0),
        ("import os\nos.execv('/bin/true', ['true'])", 0),
        ("import os, signal\nos.kill(os.getpid(), 9)", -9),
    ],
)
def test_an_end_that_calls_no_hook_is_not_a_clean_one(tmp_path, code, status):
    assert supervised(sys.executable, written(tmp_path, code), tmp_path)[0] == status
    assert not running.ended(tmp_path)["clean"]


def test_a_child_that_ends_well_is_not_the_end_of_the_command(tmp_path):
    code = "import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\nif not os.fork(): sys.exit(0)\nos.wait()\nos._exit(0)"
    assert supervised(sys.executable, written(tmp_path, code), tmp_path)[0] == 0
    assert not running.ended(tmp_path)["clean"]


def test_hooks_of_the_program_are_called_and_may_say_what_they_like(tmp_path):
    code = """
import sys, threading
sys.excepthook = lambda *a: print("mine", a[0].__name__)
before = sys.unraisablehook
sys.unraisablehook = lambda u: (print("mine too", u.exc_type.__name__), before(u))
class Odd:
    def __del__(self): raise KeyError("in del")
Odd()
raise ValueError("dead")
"""
    script = written(tmp_path, code)
    home = tmp_path / "home"
    home.mkdir()
    plain = plainly(sys.executable, script, tmp_path)
    assert supervised(sys.executable, script, home) == plain
    assert b"mine ValueError" in plain[1] and b"mine too KeyError" in plain[1]
    assert [fault[0] for fault in faults_of(home)] == ["unraisable"]


def test_a_flood_of_failures_is_bounded(tmp_path):
    code = """
class Odd:
    def __del__(self): raise KeyError("secret", "password=geheim123")
for _ in range(3000): Odd()
"""
    script = written(tmp_path, code)
    supervised(sys.executable, script, tmp_path)
    faults = running.ended(tmp_path)["faults"]
    assert len(faults) == 20
    assert "geheim" not in str(faults)


def test_without_supervision_the_records_are_made_as_well(tmp_path):
    source = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
    code = "import sys; sys.path.insert(0, %r); import flightlog; flightlog.init()\n" % source
    script = written(tmp_path, code + THREAD)
    done = subprocess.run(
        [sys.executable, script], env=running.environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert logged(tmp_path) == ["flightlog.uncaught"]


def injected(tmp_path, code, own=False, **more):
    """Run Python with the injected SDK and an evidence file, without a keeper, as the command's *own* process; return the lines of evidence."""
    run = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    os.close(evidence.create(str(tmp_path), run))
    path = evidence.path_of(str(tmp_path), run)
    root = os.path.dirname(os.path.abspath(flightlog.__file__))
    env = running.environment(
        tmp_path, FLIGHTLOG_EVIDENCE=path, FLIGHTLOG_SPOOL=str(tmp_path), FLIGHTLOG_RUN=run, **more
    )
    env["PYTHONPATH"] = os.path.join(root, "sdk", "inject.zip")
    adopted = f"FLIGHTLOG_ADOPT={run}:$$ " if own else ""
    command = ["/bin/sh", "-c", f'{adopted}exec "$@"', "sh", sys.executable, written(tmp_path, code)]
    done = subprocess.run(command, env=env, capture_output=True, timeout=60)
    assert done.returncode == 0
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_one_process_does_not_fill_the_evidence(tmp_path):
    lines = injected(tmp_path, "class Odd:\n    def __del__(self): raise KeyError('x')\nfor _ in range(300): Odd()")
    assert len(lines) == 50


def test_only_the_commands_own_process_notes_its_clean_end(tmp_path):
    assert injected(tmp_path, "", FLIGHTLOG_ADOPT="01ARZ3NDEKTSV4RRFFQ69G5FAV:1") == []
    (tmp_path / "own").mkdir()
    (line,) = injected(tmp_path / "own", "", own=True)
    assert line["kind"] == "clean"
    (tmp_path / "fork").mkdir()
    (line,) = injected(tmp_path / "fork", "import os\nif os.fork(): os.wait()\nelse: print('child')", own=True)
    assert line["kind"] == "clean"


def test_what_fails_at_a_prompt_is_no_fault_of_the_run(tmp_path):
    status, _, err = running.run(running.kept([sys.executable, "-q", "-i"]), tmp_path, stdin=b"1 / 0\nprint(2)\n")
    assert (status, b"ZeroDivisionError" in err) == (0, True)
    assert faults_of(tmp_path) == []


CONSOLE = """
import code, sys
class Console(code.InteractiveInterpreter):
    said = ""
    def write(self, text): self.said += text
console = Console()
console.runsource("1/0")
console.runsource("x = = 1")
print(console.said)
code.InteractiveInterpreter().runsource("[][1]")
sys.excepthook = lambda *a: print("mine")
console.runsource("1/0")
"""


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_a_console_of_the_programs_shows_what_is_typed_wrong_where_it_wants_to(tmp_path, version):
    python = interpreters.find(version) or pytest.skip(f"no Python {version} on this machine")
    script = written(tmp_path, CONSOLE)
    home = tmp_path / "home"
    home.mkdir()
    plain = plainly(python, script, tmp_path)
    assert b"ZeroDivisionError" in plain[1] and b"mine" in plain[1]
    assert supervised(python, script, home) == plain
    assert faults_of(home) == []
