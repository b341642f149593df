"""The fault programs of `programs/`: how each dies, what may and must not be said of it, and what a supervisor without our words would have to say.

Owns: the table, and making a program's command (C is compiled once). A cause counts as named by a peer when its own words (log, state) match `told`: an
exit status or a signal where that is the true cause, or where a convention gives the number one meaning (78 by sysexits.h, 127 and 128 + n of a shell,
124 of timeout); nothing where it only is the trace of one. Where the truth has two names, both are in `right`.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
CGROUP = f"/sys/fs/cgroup/memory/flightlog-bench-{os.getpid()}"
LAST = "last word"
NOBODY = r"(?!)"  # no words that a peer has
OOM = r"(?i)\boom\b|out of memory"
MISSING = r"(?i)can't find|not found|no such file|cannot find"
KILLERS = ("oom-cgroup", "oom-host", "stopped-by-us")  # what a death by SIGKILL must not be blamed on without proof


@dataclass(frozen=True)
class Program:
    """One way to die.

    Attributes:
        file: its name in `programs/`, or of the row where there is no file.
        right: the verdicts of DESIGN D7 that are true.
        told: regular expression; what a peer has to say.
        mentions: what the evidence for our verdict has to say as well.
        never: verdicts that must not even be guessed.
        action: what is done to it from outside after its last word: kill, term, stop, or hang (the supervisor is given time to notice).
        last: what its kept output has to hold.
        least: how many characters its kept output has to have.
        command: arguments, where they are not those of its kind of file.
        warm: how many times it ran well before.
    """

    file: str
    right: tuple
    told: str
    mentions: str = ""
    never: tuple = ()
    action: str = ""
    last: str = LAST
    least: int = 0
    command: tuple = ()
    warm: int = 0

    @property
    def name(self):
        return self.file.partition(".")[0]

    @property
    def numeric(self):
        """Whether the exit status or the signal says it."""
        return "exit status" in self.told or "exit code" in self.told


def exits(code):
    return rf"exit status {code}\b|exit code {code}\b|\(rc={code}\)|returncode {code}\b|status: ?{code}\b"


def signalled(name, number):
    return rf"terminated by {name}\b|signal {number}\b|\(rc=-{number}\)|exit code -{number}\b"


def failed(code):
    """Return what goes for a program whose exit status says all there is to know."""
    return ("exit-status",), exits(code)


PROGRAMS = [
    Program("01_ends_well.sh", ("ok",), exits(0)),
    Program("02_exit_3.sh", *failed(3)),
    Program("03_exit_text.py", *failed(1), mentions="no input for"),
    # Eight bits of a status: the kernel itself was told 0, and nobody outside can know better.
    Program("04_exit_256.py", ("ok", "ok-degraded", "ok-odd"), exits(0)),
    Program("05_exit_minus_1.py", *failed(255)),
    Program("06_exit_unflushed.py", *failed(4)),
    Program("07_exception.py", ("python-exception",), NOBODY, mentions="KeyError"),
    Program("08_chained.py", ("python-exception",), NOBODY, mentions="load failed"),
    Program("09_logged_exception.py", ("python-exception",), NOBODY, mentions="ValueError"),
    Program("10_memory_limit.sh", ("memory-error",), NOBODY, never=("oom-cgroup", "oom-host")),
    Program("11_malloc.c", ("memory-error",), NOBODY, never=("oom-cgroup", "oom-host")),
    Program("12_too_many_files.py", ("python-exception",), NOBODY, mentions="Too many open files"),
    Program("13_cpu_limit.sh", ("cpu-limit",), signalled("SIGXCPU", 24)),
    Program("14_cpu_limit_hard.sh", ("cpu-limit",), r"(?i)\bcpu\b", never=KILLERS),
    Program("15_file_limit_python.sh", ("file-limit",), r"(?i)file.?size|fsize"),
    Program("16_file_limit.c", ("file-limit",), signalled("SIGXFSZ", 25)),
    Program("17_null_pointer.py", ("native-crash",), signalled("SIGSEGV", 11)),
    Program("18_null_pointer.c", ("native-crash",), signalled("SIGSEGV", 11)),
    Program("19_crash_in_thread.py", ("native-crash",), signalled("SIGSEGV", 11)),
    Program("20_abort.c", ("abort",), signalled("SIGABRT", 6), mentions="Assertion"),
    Program("21_double_free.c", ("abort",), signalled("SIGABRT", 6), mentions="free"),
    Program("22_stack_overflow.c", ("native-crash",), signalled("SIGSEGV", 11)),
    Program("23_recursion.py", ("python-exception",), NOBODY, mentions="RecursionError"),
    Program("24_crash_in_shell.sh", ("native-crash",), exits(139)),
    Program("25_killed_by_stranger", ("stopped-outside",), signalled("SIGKILL", 9), never=KILLERS, action="kill"),
    Program("26_asked_by_stranger", ("stopped-outside",), signalled("SIGTERM", 15), never=KILLERS, action="term"),
    Program("27_stopped", ("stopped-by-us",), r"(?i)stopp(?:ed|ing)|sending SIGTERM", action="stop"),
    Program(
        "28_ignores_term.py",
        ("stopped-by-us",),
        rf"with SIGKILL|sending SIGKILL|{signalled('SIGKILL', 9)}",
        never=("oom-cgroup", "oom-host"),
        action="stop",
    ),
    Program("29_not_found", ("exec-failure",), f"{MISSING}|{exits(127)}", last="", command=("/nonexistent/program",)),
    Program("30_not_executable.txt", ("exec-failure",), f"(?i)not executable|permission|EACCES|{exits(126)}", last=""),
    Program(
        "31_bad_interpreter.run",
        ("exec-failure",),
        f"{MISSING}|interpreter|{exits(127)}",
        last="",
    ),
    Program("32_not_found_in_shell.sh", ("exec-failure",), exits(127), mentions="no-such-program"),
    Program("33_script_missing", ("exec-failure",), NOBODY, last="", command=(sys.executable, "/nonexistent.py")),
    Program("34_usage.py", ("config-error",), NOBODY),
    # A text and exit 2: nobody outside can be sure that its settings were the matter.
    Program("35_settings_missing.py", ("config-error", "exit-status"), exits(2), mentions="settings"),
    Program("36_bad_settings.py", ("config-error",), NOBODY),
    Program("37_ex_config.sh", ("config-error",), exits(78)),
    Program("38_thread_dies.py", ("ok-degraded",), NOBODY, mentions="KeyError"),
    Program("39_task_dies.py", ("ok-degraded",), NOBODY, mentions="bad row"),
    Program("40_future_ignored.py", ("ok-degraded",), NOBODY, mentions="seven"),
    Program("41_worker_raises.py", ("ok-degraded",), NOBODY, mentions="bad row"),
    Program("42_worker_killed.py", ("ok-degraded",), NOBODY, mentions="SIGKILL|signal 9|-9"),
    Program("43_pool_broken.py", ("collateral", "python-exception"), NOBODY),
    Program("44_first_worker.py", ("python-exception",), NOBODY, mentions="bad row"),
    Program("45_del_raises.py", ("ok-degraded",), NOBODY, mentions="rows not written"),
    Program("46_atexit_raises.py", ("ok-degraded",), NOBODY, mentions="seven"),
    Program("47_false_in_a_pipe.sh", ("ok",), exits(0)),
    Program("48_late_grandchild.sh", *failed(5)),
    Program("49_daemon.py", ("ok",), exits(0)),
    Program("50_zombies.py", *failed(3), never=("stopped-outside",)),
    Program("51_no_line_end.sh", *failed(6)),
    Program("52_burst.py", *failed(7), least=400_009),
    Program("53_broken_pipe.c", ("collateral",), signalled("SIGPIPE", 13)),
    Program("54_deadline", ("deadline",), exits(124), command=("timeout", "1", sys.executable, "{sleeps}")),
    Program("55_deadlock.py", ("hang-killed",), r"(?i)\bhang|\bhung|no progress|watchdog", action="hang"),
    Program("56_waits_for_input.py", ("hang-killed",), r"(?i)\bhang|\bhung|no progress|watchdog", action="hang"),
    Program("57_oom_cgroup.sh", ("oom-cgroup",), OOM, never=("oom-host", "stopped-by-us")),
    Program("58_oom_child.sh", ("oom-cgroup",), OOM, never=("oom-host", "stopped-by-us")),
    Program("59_quiet_success.py", ("ok-odd",), NOBODY, warm=6),
]
_SLEEPS = "sleeps.py"  # that of several rows


def missing(program):
    """Return what this machine lacks for *program*, or an empty text."""
    if program.file.endswith(".c") and shutil.which("cc") is None:
        return "no C compiler"
    if "_oom_" in program.name and not os.access(os.path.dirname(CGROUP), os.W_OK):
        return "no memory cgroup can be made"
    if program.command and not program.command[0].startswith("/") and shutil.which(program.command[0]) is None:
        return f"no {program.command[0]}"
    return ""


def command(program, folder):
    """Return the arguments that run *program*; C is compiled into *folder*."""
    if program.command:
        return [word.replace("{sleeps}", os.path.join(HERE, _SLEEPS)) for word in program.command]
    path = os.path.join(HERE, program.file if "." in program.file else _SLEEPS)
    kind = path.rpartition(".")[2]
    if kind == "c":
        made = os.path.join(folder, program.name)
        if not os.path.exists(made):
            subprocess.run(["cc", "-O0", "-w", "-o", made, path, "-lpthread"], check=True)
        return [made]
    return {"py": [sys.executable, path], "sh": ["sh", path]}.get(kind, [path])


def environment():
    """Return what the programs need to know."""
    return {"BENCH_PYTHON": sys.executable, "BENCH_CGROUP": CGROUP}
