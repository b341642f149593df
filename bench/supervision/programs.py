"""The fault programs: how each dies, which word is right, and what a supervisor that has no such words would have to say to have named it.

Owns: the table. A cause counts as named by a peer when its own words (log, state) match `told`: an exit status or a signal where that is the true cause,
nothing where it only is its trace. Output that each program has certainly written before it dies is `last`.
"""

import sys
from dataclasses import dataclass

PY = sys.executable
LAST = "last word"
SAY = f"import os; os.write(1, b'{LAST}\\n'); "
NOBODY = r"(?!)"  # no words that a peer has


@dataclass(frozen=True)
class Program:
    """One way to die.

    Attributes:
        name: in the table.
        command: arguments.
        right: the verdicts of DESIGN D7 that are true.
        told: regular expression; what a peer has to say.
        action: what is done to it from outside once it has said its last word: kill, term, stop.
        last: what its output has to hold.
    """

    name: str
    command: list[str]
    right: tuple[str, ...]
    told: str
    action: str = ""
    last: str = LAST


def python(code):
    return [PY, "-c", SAY + code if "\n" not in code else SAY + "\n" + code]


def shell(script):
    return ["sh", "-c", f"echo {LAST}; {script}"]


def limited(limit, code):
    return ["sh", "-c", f'ulimit {limit}; exec {PY} -c "$0"', SAY + "\n" + code]


def exits(code):
    return rf"exit status {code}\b|exit code {code}\b|\(rc={code}\)|returncode {code}\b|status: ?{code}\b"


def signalled(name, number):
    return rf"{name}\b|signal {number}\b|rc=-{number}\b"


CGROUP = "/sys/fs/cgroup/memory/flightlog-bench"
EATS = "x = [bytearray(10**6) for n in range(400)]"
JOIN = f"mkdir -p {CGROUP} && echo 60000000 > {CGROUP}/memory.limit_in_bytes && echo $$ > {CGROUP}/cgroup.procs"
OOM = r"(?i)oom|out of memory"

PROGRAMS = [
    Program("ends well", shell("true"), ("ok",), exits(0)),
    Program("fails by status", shell("exit 3"), ("exit-status",), exits(3)),
    Program("sys.exit with a message", python("import sys; sys.exit('no input')"), ("exit-status",), exits(1)),
    Program("exit(-1)", python("import sys; sys.exit(-1)"), ("exit-status",), exits(255)),
    Program("os._exit", python("os._exit(4)"), ("exit-status",), exits(4)),
    Program("Perl dies", ["perl", "-e", f"$| = 1; print \"{LAST}\\n\"; die 'no input'"], ("exit-status",), exits(255)),
    Program("exception", python("{}['customer']"), ("python-exception",), NOBODY),
    Program("exception, logging loaded", python("import logging; {}['customer']"), ("python-exception",), NOBODY),
    Program(
        "chained exceptions",
        python("try:\n  {}['a']\nexcept KeyError as e: raise RuntimeError('load') from e"),
        ("python-exception",),
        NOBODY,
    ),
    Program(
        "too many files",
        python(
            "import resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (20, 20))\nf = [open('/dev/null') for i in range(50)]"
        ),
        ("python-exception",),
        NOBODY,
    ),
    Program("MemoryError under a limit", limited("-v 400000", "x = bytearray(10**9)"), ("memory-error",), NOBODY),
    Program(
        "MemoryError, logging loaded",
        limited("-v 400000", "import logging\nx = bytearray(10**9)"),
        ("memory-error",),
        NOBODY,
    ),
    Program(
        "std::bad_alloc",
        shell("echo \"terminate called after throwing an instance of 'std::bad_alloc'\" >&2; kill -ABRT $$"),
        ("memory-error",),
        NOBODY,
    ),
    Program("CPU limit", limited("-St 1", "while 1: pass"), ("cpu-limit",), signalled("SIGXCPU", 24)),
    Program(
        "hard CPU limit",
        limited("-t 1", "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile 1: pass"),
        ("cpu-limit",),
        "(?i)cpu",
    ),
    Program(
        "file size limit, Python",
        limited("-f 1", "open('big', 'wb').write(b'x' * 10**6)"),
        ("file-limit",),
        "(?i)file.?size|fsize",
    ),
    Program(
        "file size limit",
        shell("ulimit -f 1; exec dd if=/dev/zero of=big bs=1M count=1"),
        ("file-limit",),
        signalled("SIGXFSZ", 25),
    ),
    Program("null pointer", python("import ctypes; ctypes.string_at(0)"), ("native-crash",), signalled("SIGSEGV", 11)),
    Program(
        "null pointer inside a shell",
        shell(f"{PY} -c 'import ctypes; ctypes.string_at(0)'; exit $?"),
        ("native-crash",),
        signalled("SIGSEGV", 11),
    ),
    Program("abort", python("os.abort()"), ("abort",), signalled("SIGABRT", 6)),
    Program(
        "program missing",
        ["/nonexistent/program"],
        ("exec-failure",),
        r"(?i)can't find|not found|no such file|spawn ?err",
        last="",
    ),
    Program(
        "program not executable",
        ["/etc/passwd"],
        ("exec-failure",),
        r"(?i)not executable|permission|spawn ?err",
        last="",
    ),
    Program("program missing in a shell", shell("no-such-program"), ("exec-failure",), NOBODY),
    Program("script missing", [PY, "/nonexistent.py"], ("exec-failure",), NOBODY, last=""),
    Program(
        "called wrongly",
        python("import argparse as a; p = a.ArgumentParser(); p.add_argument('x'); p.parse_args()"),
        ("config-error",),
        NOBODY,
    ),
    Program("EX_CONFIG", shell("echo bad settings >&2; exit 78"), ("config-error",), exits(78)),
    Program(
        "thread dies",
        python("import threading as t\nd = t.Thread(target=lambda: 1 / 0); d.start(); d.join()"),
        ("ok-degraded",),
        NOBODY,
    ),
    Program(
        "task dies",
        python(
            "import asyncio\nasync def f(): 1 / 0\nasync def m():\n  t = asyncio.create_task(f()); await asyncio.sleep(0.05)\nasyncio.run(m())"
        ),
        ("ok-degraded",),
        NOBODY,
    ),
    Program(
        "future nobody asked",
        python("from concurrent.futures import ThreadPoolExecutor as T\nwith T() as t: t.submit(lambda: 1 / 0)"),
        ("ok-degraded",),
        NOBODY,
    ),
    Program(
        "worker's exception",
        python(
            "import multiprocessing as m\ndef f(): 1 / 0\np = m.get_context('fork').Process(target=f); p.start(); p.join()"
        ),
        ("ok-degraded",),
        NOBODY,
    ),
    Program(
        "worker killed",
        python(
            "import multiprocessing as m\ndef f(): os.kill(os.getpid(), 9)\np = m.get_context('fork').Process(target=f); p.start(); p.join()"
        ),
        ("ok-degraded",),
        NOBODY,
    ),
    Program(
        "pool broken by a worker",
        python(
            "from concurrent.futures import ProcessPoolExecutor as P\nimport multiprocessing as m\ndef f(): os._exit(3)\nwith P(1, m.get_context('fork')) as p: p.submit(f).result()"
        ),
        ("collateral", "python-exception"),
        NOBODY,
    ),
    Program("__del__ fails", python("class A:\n  def __del__(self): 1 / 0\nA()"), ("ok-degraded",), NOBODY),
    Program("atexit fails", python("import atexit\natexit.register(lambda: 1 / 0)"), ("ok-degraded",), NOBODY),
    Program(
        "killed by a stranger",
        python("import time; time.sleep(60)"),
        ("stopped-outside",),
        signalled("SIGKILL", 9),
        action="kill",
    ),
    Program(
        "asked by a stranger",
        python("import time; time.sleep(60)"),
        ("stopped-outside",),
        signalled("SIGTERM", 15),
        action="term",
    ),
    Program(
        "stopped by its supervisor",
        python("import time; time.sleep(60)"),
        ("stopped-by-us",),
        r"(?i)stopped|stopping",
        action="stop",
    ),
    Program(
        "deadline of timeout(1)", ["timeout", "1", "sh", "-c", f"echo {LAST}; exec sleep 60"], ("deadline",), NOBODY
    ),
    Program(
        "out of memory in its cgroup", ["sh", "-c", f"{JOIN}; echo {LAST}; exec {PY} -c '{EATS}'"], ("oom-cgroup",), OOM
    ),
    Program(
        "child out of memory", ["sh", "-c", f"{JOIN}; echo {LAST}; {PY} -c '{EATS}'; exit 1"], ("oom-cgroup",), OOM
    ),
    Program(
        "grandchild writes late", shell("(sleep 0.5; echo late) & exit 5"), ("exit-status",), exits(5), last="late"
    ),
    Program("no line end", ["sh", "-c", f"printf '{LAST}'; exit 6"], ("exit-status",), exits(6)),
    Program(
        "burst of 400 KB, then _exit",
        python(
            "d = b'x' * 99 + b'\\n'\nfor n in range(4000): os.write(1, d)\nos.write(1, b'end of burst'); os._exit(7)"
        ),
        ("exit-status",),
        exits(7),
        last="end of burst",
    ),
]
