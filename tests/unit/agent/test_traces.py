"""Stack traces of several languages are one record each, however the bytes came; what only looks like one is left alone."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightlog import records
from flightlog.agent import traces
from flightlog.agent.lines import interpret, split

SIMPLE = b"Traceback (most recent call last):\n  File 'x', line 1\n    f()\nValueError: no\n"
CHAIN = (
    SIMPLE
    + b"\nDuring handling of the above exception, another exception occurred:\n\n"
    + SIMPLE.replace(b"ValueError", b"KeyError")
    + b"\nThe above exception was the direct cause of the following exception:\n\n"
    + SIMPLE.replace(b"ValueError", b"RuntimeError")
)
THREAD = b"Exception in thread Thread-1 (work):\n" + SIMPLE
TASK = b"Task exception was never retrieved\nfuture: <Task finished name='Task-2' coro=<f()>>\n" + SIMPLE
PROCESS = b"Process Process-1:\n" + SIMPLE
GROUP = (
    b"  + Exception Group Traceback (most recent call last):\n  |   File 'x', line 1\n  | ExceptionGroup: many (2 sub-exceptions)\n"
    b"  +-+---------------- 1 ----------------\n    | ValueError: 1\n    +---------------- 2 ----------------\n    | KeyError: 2\n"
    b"    +------------------------------------\n"
)
JAVA = (
    b'Exception in thread "main" java.lang.IllegalStateException: no\n\tat a.B.run(B.java:3)\n\tat a.B.main(B.java:9)\n'
    b"Caused by: java.io.IOException: disk\n\tat a.B.read(B.java:1)\n\t... 2 more\n"
)
NODE = b"TypeError: x is not a function\n    at f (/app/x.js:1:2)\n    at Object.<anonymous> (/app/x.js:9:1)\n"
GO = b"panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/x.go:5 +0x1d\nexit status 2\n"
RUST = b"thread 'main' panicked at src/main.rs:2:5:\nno\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
RUST_FRAMES = (
    b"thread 'main' panicked at src/main.rs:2:5:\nno\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/1/library/std/src/panicking.rs:5:3\n"
    b"   1: app::main\n"
)
R = b"Error in f(1) : no\nCalls: g -> f\nExecution halted\n"
NET = b"Unhandled exception. System.InvalidOperationException: no\n   at App.Main() in /app/x.cs:line 3\n"
RUBY = b"x.rb:1:in `f': no (RuntimeError)\n\tfrom x.rb:3:in `<main>'\n"
PHP = b"PHP Fatal error:  Uncaught Exception: no in /x.php:3\nStack trace:\n#0 /x.php(5): f()\n#1 {main}\n  thrown in /x.php on line 3\n"
SYNTAX = b'  File "x.py", line 1\n    def (\n        ^\nSyntaxError: invalid syntax\n'
FATAL = (
    b"Fatal Python error: Segmentation fault\n\nThread 0x00007f (most recent call first):\n  File 'x.py', line 3 in f\n\n"
    b"Current thread 0x00007e (most recent call first):\n  File 'x.py', line 2 in <module>\n"
)
GROUP_IN_THREAD = b"Exception in thread worker:\n" + GROUP
ALL = {
    "rust": RUST,
    "rust frames": RUST_FRAMES,
    "r": R,
    "net": NET,
    "ruby": RUBY,
    "php": PHP,
    "syntax": SYNTAX,
    "fatal": FATAL,
    "group in thread": GROUP_IN_THREAD,
    "simple": SIMPLE,
    "chain": CHAIN,
    "thread": THREAD,
    "task": TASK,
    "process": PROCESS,
    "group": GROUP,
    "java": JAVA,
    "node": NODE,
    "go": GO,
}


def raws(data, final=True):
    return [line.raw for line in split(data, final)[0]]


@pytest.mark.parametrize("name", ALL)
def test_it_is_one_record_between_others(name):
    trace = ALL[name]
    assert raws(b"before\n" + trace + b"after\n") == [b"before", trace[:-1], b"after"]
    level, message, _ = interpret(trace[:-1])
    assert level == records.ERROR and message == trace[:-1].decode()


@pytest.mark.parametrize(
    "data",
    [
        b"ValueError: alone\nnext\n",
        b"Exception in thread safety audit\nnext\n",
        b"panic: is no reason to worry\nreally\n",
        b"    at the beginning\nnext\n",
        b"Process x:\nstarted\n",
        b"NullPointerException seen 3 times\n",
        b"thread 'main' is up\nnext\n",
        b"Error in the data\nnext\nlast\n",
        b"x.rb:1:in no way\n\tfrom here\n",
        b'  File "x.py", line 1\nnext\nlast\n',
    ],
)
def test_what_only_looks_like_one_stays_lines(data):
    assert raws(data) == data.splitlines()


def test_an_end_that_may_go_on_is_waited_for_and_given_up_in_the_end():
    assert split(SIMPLE, False) == ([], 0)  # a chain may follow
    assert raws(SIMPLE, False) == []
    lines, used = split(SIMPLE, False, patient=False)
    assert [line.raw for line in lines] == [SIMPLE[:-1]] and used == len(SIMPLE)


def test_one_without_an_end_is_cut():
    endless = b"Traceback (most recent call last):\n" + b"  File 'x', line 1\n" * 1200 + b"E: no\n"
    found = raws(endless)
    assert max(line.count(b"\n") for line in found) < traces.MAX_LINES + 2
    assert b"\n".join(found) + b"\n" == endless


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*ALL.values(), b"line\n", b"\n", b"ValueError: x\n", b"Process a:\n"]), max_size=6),
    st.data(),
)
def test_however_they_came_the_same_records_come_out(parts, choose):
    stream = b"".join(parts)
    whole = raws(stream)
    buffer, got, position = b"", [], 0
    while position < len(stream):
        step = choose.draw(st.integers(1, 200))
        buffer += stream[position : position + step]
        position += step
        lines, used = split(buffer, position >= len(stream))
        got += [line.raw for line in lines]
        buffer = buffer[used:]
    assert got == whole


REAL = """
import threading
def f():
    try:
        {}["a"]
    except KeyError as problem:
        raise RuntimeError("load") from problem
thread = threading.Thread(target=f, name="worker")
thread.start()
thread.join()
"""


def said_by(code):
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], capture_output=True, check=False, timeout=60
    ).stderr


def test_a_real_one():
    (record,) = raws(said_by(REAL))
    assert record.startswith(b"Exception in thread worker") and record.endswith(b"RuntimeError: load")


GROUPS = """
def f():
    try:
        raise KeyError("a")
    except KeyError as problem:
        raise ExceptionGroup("many", [ValueError("one"), ExceptionGroup("inner", [OSError("two")])]) from problem
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups")
@pytest.mark.parametrize(
    "code",
    [
        GROUPS + "f()",
        GROUPS + "import threading\nt = threading.Thread(target=f, name='worker')\nt.start()\nt.join()",
        GROUPS + "try:\n    f()\nexcept ExceptionGroup as problem:\n    raise RuntimeError('after') from problem",
        GROUPS
        + "import asyncio\nasync def g(): f()\nasync def m():\n    t = asyncio.ensure_future(g())\n    await asyncio.sleep(0)\n    del t\nasyncio.run(m())",
        "class A:\n    def __del__(self): 1 / 0\na = A()\ndel a",
        "import faulthandler\nfaulthandler.enable()\nfaulthandler._sigsegv()",
        "def f(n): 1 / 0 if not n else f(n - 1)\nf(20)",
        "compile('def (', 'x.py', 'exec')",
    ],
)
def test_real_ones_of_every_kind_are_one_record_each(code):
    stream = said_by(code)
    assert stream and raws(b"before\n" + stream + b"after\n")[::2] == [b"before", b"after"]


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ('{"level":50,"time":1,"pid":7,"hostname":"n","msg":"pino"}', 40, "pino"),
        ('{"v":0,"level":60,"pid":7,"hostname":"n","msg":"bunyan"}', 50, "bunyan"),
        ('{"version":"1.1","host":"n","short_message":"gelf","level":4}', 30, "gelf"),
        ('{"level":"error","ts":1.5,"caller":"a.go:1","msg":"zap"}', 40, "zap"),
        ('{"level":"warning","msg":"logrus","time":"2026-11-28T00:00:00Z"}', 30, "logrus"),
        ('{"levelname":"CRITICAL","message":"python-json-logger"}', 50, "python-json-logger"),
        ('{"event":"structlog","level":"debug"}', 10, "structlog"),
        ('{"text":"x | loguru\\\\n","record":{"message":"loguru","level":{"name":"SUCCESS","no":25}}}', 25, "loguru"),
        ('{"@message":"ecs","log.level":"ERROR"}', 40, "ecs"),
        ('{"message":"own","level":30}', 30, "own"),
        ('{"message":"odd","level":{"name":7}}', 20, "odd"),
        ('{"short_message":"odd","level":99}', 20, "odd"),
    ],
)
def test_levels_of_json_loggers(text, level, message):
    assert interpret(text.encode())[:2] == (level, message)
