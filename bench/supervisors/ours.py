"""flightlog, as its user has it: `flightlog run` in the foreground, `flightlog start` where something has to stop or keep a process by name.

Owns: our commands, and reading `flightlog why -o json` and `flightlog logs`. All trials share one home and its embedded server.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys

from .system import MARK, Outcome, System, read

FLIGHTLOG = [sys.executable, "-m", "flightlog"]


@functools.lru_cache(None)
def has(command):
    """Tell whether this flightlog has *command*."""
    return subprocess.run([*FLIGHTLOG, command, "--help"], capture_output=True).returncode == 0


class Flightlog(System):
    name = "flightlog"
    kept = False

    def environment(self, mark):
        self.home = os.path.join(os.path.dirname(self.folder), "home")
        env = {**super().environment(mark), "FLIGHTLOG_HOME": self.home, "FLIGHTLOG_AGENT": "never"}
        if os.environ.get("PYTHONPATH"):  # another tree than the installed one is tried
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return env

    @property
    def pipeline(self):
        return os.path.basename(self.folder)

    def prepare(self, program, env):
        self.out = self.path("out")
        for _ in range(program.warm):
            self.launch({**env, "BENCH_WARM": "1"}).wait()

    def start(self, program, env):
        self.env, self.why, self.out = env, {}, self.path("out")
        if program.action == "hang" and has("stacks"):
            with open(self.path("config.yml"), "w") as file:
                file.write("hang:\n  after: 3s\n  kill: true\n  kill_after: 1s\n")
            env["FLIGHTLOG_CONFIG"] = self.path("config.yml")
        self.kept = program.action == "stop" and has("start")
        return self.launch(env)

    def launch(self, env):
        begin = ["run", "-n", self.pipeline]
        if self.kept:
            once = [] if self.restarts else ["--no-restart"]
            begin = ["start", *once, "--grace", "3s", self.pipeline]
        with open(self.out, "wb") as out:
            command = [*FLIGHTLOG, *begin, "--", *self.command]
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder)

    def ask(self, *arguments):
        done = subprocess.run([*FLIGHTLOG, *arguments], env={**self.env, MARK: "none"}, capture_output=True, timeout=60)
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""

    def spoken(self, controller):
        if controller.poll() is None:
            return False
        self.read_why()
        return bool(self.why.get("verdict")) or not self.kept

    def words(self):
        return "; ".join(self.why.get("evidence", []))

    def output(self):
        return self.ask("logs", self.pipeline, "-n", "all", "-o", "cat") if self.kept else read(self.out)

    def end(self, controller):
        if self.kept:
            self.ask("stop", self.pipeline)
        super().end(controller)

    def outcome(self, words, seconds, left):
        kept = self.ask("logs", self.pipeline, "-n", "all", "-o", "cat")
        return Outcome(words, kept, seconds, left, self.why.get("verdict") or "", self.why.get("confidence") or "")

    def read_why(self):
        with contextlib.suppress(ValueError):
            self.why = json.loads(self.ask("why", self.pipeline, "-o", "json") or "{}")

    def keepers(self, controller, found):
        return [pid for pid, words in found.items() if any("caretaker" in word for word in words)]

    def owns(self, arguments):
        return any("/flightlog/process/" in word for word in arguments) or arguments[1:3] == FLIGHTLOG[1:]

    def stop(self, controller):
        if self.kept:
            self.ask("stop", self.pipeline)
        else:
            controller.terminate()
