"""What a supervisor is to the bench: something that is started, runs one program, says how it went, and is ended.

Owns: the course of one trial, what happens to a program from outside, counting what is left. What still runs is found by a variable in its environment
and ended. Leaves each system's files and words to `ours` and `peers`.
"""

import contextlib
import os
import signal
import subprocess
import time

from . import causes

MARK = "BENCH_MARK"  # not FLIGHTLOG_...: those are not handed on to what is kept
DEADLINE = 30.0
NOTICE = 20.0  # what a supervisor has to notice that nothing goes on any more
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}


def marked(mark):
    """Return the living processes that carry *mark*: {pid: arguments}."""
    needle = f"{MARK}={mark}\0".encode()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and needle in read_bytes(f"/proc/{name}/environ") + b"\0":
            found[int(name)] = read_bytes(f"/proc/{name}/cmdline").decode("utf-8", "replace").split("\0")
    return found


def copies(mark, file):
    """Return the pids of *file* itself under *mark*, without those who keep it."""
    return [pid for pid, words in marked(mark).items() if any(word.endswith("/" + file) for word in words[:2])]


def until(condition, seconds=DEADLINE):
    """Return what *condition* returns as soon as it is true; None when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return None


def read_bytes(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def read(path):
    return read_bytes(path).decode("utf-8", "replace")


class Outcome:
    """What one system made of one program.

    Attributes:
        words: what it says about the end.
        output: what it kept of the output.
        seconds: from its start (or from what was done to the program) to its words.
        left: processes of the program that were there after the system had been told to end.
        verdict, confidence: ours.
    """

    def __init__(self, words, output, seconds, left, verdict="", confidence=""):
        self.words, self.output, self.seconds, self.left = words, output, seconds, left
        self.verdict, self.confidence = verdict, confidence


class System:
    """A supervisor. Subclasses say how to start it, when it has spoken, how it is told to stop the program, and what it kept."""

    name = ""
    restarts = False  # whether a program that ends is started again

    def __init__(self, folder, scripts):
        self.folder, self.scripts = folder, scripts
        os.makedirs(folder, exist_ok=True)

    def environment(self, mark):
        hidden = ("FLIGHTLOG_", "PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONFAULTHANDLER")
        env = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        return {**env, **causes.environment(), MARK: mark}

    def run(self, program, mark):
        """Run *program* once and return its Outcome."""
        self.command = causes.command(program, self.folder)
        env = self.environment(mark)
        self.prepare(program, env)
        began = time.monotonic()
        controller = self.start(program, env)
        try:
            if program.action:
                until(lambda: program.last in self.output())
                began = time.monotonic()
                self.act(program, mark, controller)
            until(lambda: self.spoken(controller), NOTICE if program.action == "hang" else DEADLINE)
            seconds = time.monotonic() - began
            words = self.words()  # before it is ended: what it says of that is said of itself
            until(lambda: program.last in self.output(), 2.0)
        finally:
            self.end(controller)
        until(lambda: not marked(mark), 1.0)
        left = marked(mark)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return self.outcome(words, seconds, sum(not self.owns(line) for line in left.values()))

    def prepare(self, program, env):
        """Do what has to be done before the time begins to run."""

    def act(self, program, mark, controller):
        if program.action == "stop":
            self.stop(controller)
        elif program.action in SIGNALS:
            for pid in copies(mark, os.path.basename(self.command[-1])):
                os.kill(pid, SIGNALS[program.action])

    def end(self, controller):
        """End the system as its user would: by SIGTERM."""
        if controller.poll() is None:
            controller.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                controller.wait(15)
        if controller.poll() is None:
            controller.kill()
            controller.wait()

    def keepers(self, controller, found):
        """Return the processes that start and stop a program, of all that were *found* to belong to this trial."""
        return [controller.pid]

    def owns(self, arguments):
        """Tell whether a process with *arguments* is the system's own, and not the program's."""
        return any(word.startswith(self.scripts + "/") for word in arguments[:3])

    def everybody(self, found):
        """Return all of its own processes of those *found*."""
        return [pid for pid, arguments in found.items() if self.owns(arguments)]

    def outcome(self, words, seconds, left):
        return Outcome(words, self.output(), seconds, left)

    def path(self, name):
        return os.path.join(self.folder, name)
