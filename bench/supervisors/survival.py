"""What becomes of a program when its supervisor is killed with -9 and started again.

Owns: these trials and their rows: a program that says a numbered word five times a second, and one that says a word and then nothing (whoever
writes to a pipe without a reader dies of it, the other does not). Leaves starting and ending to the systems.
"""

import contextlib
import os
import re
import signal
import sys
import time

from .causes import HERE, LAST, Program
from .system import copies, marked, read, until

SECONDS = 2
TALKS = Program("ticks.py", (), "", last="tick 3", action="stop")
QUIET = Program("sleeps.py", (), "", last=LAST, action="stop")


def trials(kind, folder, peers):
    """Yield what happened, as facts: for each program; of ours once more with every process of it killed."""
    for program in (TALKS, QUIET):
        yield _trial(kind, folder, peers, program, False)
        if kind.name == "flightlog":
            yield _trial(kind, folder, peers, program, True)


def _trial(kind, folder, peers, program, everybody):
    name = f"survival-{program.name}{'-all' if everybody else ''}"
    mark = f"{os.getpid()}-{name}-{kind.name}"
    system = kind(os.path.join(folder, name), peers)
    system.restarts = True
    system.command = [sys.executable, os.path.join(HERE, program.file)]
    truth = system.path("said")
    env = {**system.environment(mark), "BENCH_TICKS": truth}
    facts = {"system": kind.name, "everybody": everybody, "program": "talks" if program is TALKS else "is quiet"}
    controller = system.start(program, env)
    try:
        if not until(lambda: program.last in system.output(), 20):
            return {**facts, "trouble": "it never spoke"}
        found = marked(mark)
        killed = system.everybody(found) if everybody else system.keepers(controller, found)
        for pid in killed:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        before = len(_ticks(read(truth)))
        controller.wait()
        time.sleep(SECONDS)
        said = _ticks(read(truth))[before:]
        facts.update(killed=len(killed), alive=len(copies(mark, program.file)))
        if program is TALKS:
            facts.update(said=len(said), kept=len(set(said) & set(_ticks(system.output()))))
        again = system.start(program, env)
        until(lambda: again.poll() is not None, 5)  # a start that hands over, or a refusal
        facts["copies"] = len(copies(mark, program.file))
        if again.poll() is None:
            system.end(again)
        else:
            system.stop(again)
        until(lambda: not copies(mark, program.file), 3)
        facts["left"] = len(copies(mark, program.file))
    finally:
        for pid in marked(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return facts


def _ticks(text):
    """Return the numbers said in *text*."""
    return re.findall(r"tick (\d+)\n", text + "\n")
