"""Four supervisors, each asked to run one program once and to say how it went.

Owns: their configuration files (the plain way their documents show), what they say in their own log, the output they kept. Each has its own folder; what
still runs afterwards is found by a variable in its environment, counted as an orphan, and ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

MARK = "FLIGHTLOG_BENCH_MARK"
DEADLINE = 40.0


def marked(mark):
    """Return the pids of processes that carry *mark*."""
    needle = f"{MARK}={mark}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if needle in file.read() + b"\0":
                    found.append(int(name))
    return found


def until(condition, seconds=DEADLINE):
    """Return what *condition* returns as soon as it is true; None when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return None


def read(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read().decode("utf-8", "replace")
    return ""


class Outcome:
    """What one system made of one program: its words, the output it kept, seconds from start to words, processes left behind."""

    def __init__(self, words, output, seconds, orphans, verdict="", confidence=""):
        self.words, self.output, self.seconds, self.orphans = words, output, seconds, orphans
        self.verdict, self.confidence = verdict, confidence


class System:
    """A supervisor. Subclasses say how to start it, when it has spoken, how it is told to stop the program, and what it kept."""

    name = ""

    def __init__(self, folder, scripts):
        self.folder, self.scripts = folder, scripts

    def run(self, program, mark):
        os.makedirs(self.folder, exist_ok=True)
        env = {
            key: value for key, value in os.environ.items() if not key.startswith(("FLIGHTLOG_", "PYTHONUNBUFFERED"))
        }
        env[MARK] = mark
        began = time.monotonic()
        controller = self.start(program, env)
        try:
            if program.action:
                until(lambda: program.last in self.output())
                self.act(program, mark, controller)
            until(lambda: self.spoken(controller))
            seconds = time.monotonic() - began
            until(lambda: program.last in self.output(), 2.0)
        finally:
            self.end(controller)
        time.sleep(0.1)
        left = marked(mark)
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return self.outcome(seconds, len(left))

    def act(self, program, mark, controller):
        if program.action == "stop":
            self.stop(controller)
            return
        for pid in marked(mark):
            words = read_bytes(f"/proc/{pid}/cmdline").split(b"\0")
            if words[1:2] == [b"-c"] and b"time.sleep(60)" in words[2]:  # not who keeps it
                os.kill(pid, signal.SIGKILL if program.action == "kill" else signal.SIGTERM)

    def end(self, controller):
        if controller.poll() is None:
            controller.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                controller.wait(15)
        if controller.poll() is None:
            controller.kill()
            controller.wait()

    def outcome(self, seconds, orphans):
        return Outcome(self.words(), self.output(), seconds, orphans)

    def path(self, name):
        return os.path.join(self.folder, name)


def read_bytes(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def quoted(command):
    import shlex

    return shlex.join(command)


class Supervisord(System):
    name = "supervisord"

    def start(self, program, env):
        with open(self.path("conf"), "w") as file:
            command = quoted(program.command).replace("%", "%%")
            if "\n" in command:  # an ini file has no way to write that
                with open(self.path("program.sh"), "w") as script:
                    script.write("exec " + quoted(program.command) + "\n")
                command = f"sh {self.path('program.sh')}"
            file.write(
                f"[supervisord]\nnodaemon=true\nlogfile={self.path('log')}\npidfile={self.path('pid')}\nloglevel=info\n"
                f"[unix_http_server]\nfile={self.path('sock')}\n[rpcinterface:supervisor]\n"
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                f"[supervisorctl]\nserverurl=unix://{self.path('sock')}\n"
                f"[program:x]\ncommand={command}\nautorestart=false\nstartsecs=0\nstartretries=0\nstopwaitsecs=3\ndirectory={self.folder}\n"
                f"stdout_logfile={self.path('out')}\nstderr_logfile={self.path('err')}\n"
            )
        log = open(self.path("console"), "wb")
        return subprocess.Popen(
            [os.path.join(self.scripts, "supervisord"), "-c", self.path("conf")], env=env, stdout=log, stderr=log
        )

    def words(self):
        lines = [
            line
            for line in read(self.path("log")).splitlines()
            if any(word in line for word in ("exited:", "stopped:", "spawnerr", "gave up", "FATAL"))
        ]
        return "\n".join(lines)

    def output(self):
        return read(self.path("out")) + read(self.path("err"))

    def spoken(self, controller):
        return controller.poll() is not None or bool(self.words())

    def stop(self, controller):
        subprocess.run(
            [os.path.join(self.scripts, "supervisorctl"), "-c", self.path("conf"), "stop", "x"],
            capture_output=True,
            timeout=30,
        )


class Circus(System):
    name = "circus"

    def start(self, program, env):
        with open(self.path("program.sh"), "w") as script:
            script.write("exec " + quoted(program.command) + "\n")
        port = 20000 + os.getpid() % 10000
        with open(self.path("ini"), "w") as file:
            file.write(
                f"[circus]\ncheck_delay=1\nendpoint=tcp://127.0.0.1:{port}\npubsub_endpoint=tcp://127.0.0.1:{port + 1}\nloglevel=DEBUG\n"
                f"[watcher:x]\ncmd=sh {self.path('program.sh')}\nrespawn=False\nnumprocesses=1\ncopy_env=True\ngraceful_timeout=3\nworking_dir={self.folder}\n"
                f"stdout_stream.class=FileStream\nstdout_stream.filename={self.path('out')}\n"
                f"stderr_stream.class=FileStream\nstderr_stream.filename={self.path('err')}\n"
            )
        self.port = port
        log = open(self.path("log"), "wb")
        return subprocess.Popen(
            [os.path.join(self.scripts, "circusd"), self.path("ini")], env=env, stdout=log, stderr=log
        )

    def words(self):
        words = ("reap", "died", "exited", "stopped", "cannot", "Error", "error", "not found", "SIG")
        return "\n".join(line for line in read(self.path("log")).splitlines() if any(word in line for word in words))

    def output(self):
        return read(self.path("out")) + read(self.path("err"))

    def spoken(self, controller):
        log = read(self.path("log"))
        return controller.poll() is not None or "reaping process" in log or "x stopped" in log

    def stop(self, controller):
        command = [os.path.join(self.scripts, "circusctl"), "--endpoint", f"tcp://127.0.0.1:{self.port}", "stop", "x"]
        subprocess.run(command, capture_output=True, timeout=30)


class Honcho(System):
    name = "honcho"

    def start(self, program, env):
        with open(self.path("program.sh"), "w") as script:
            script.write("exec " + quoted(program.command) + "\n")
        with open(self.path("Procfile"), "w") as file:
            file.write(f"x: exec sh {self.path('program.sh')}\n")
        log = open(self.path("log"), "wb")
        command = [os.path.join(self.scripts, "honcho"), "-f", self.path("Procfile"), "-d", self.folder, "start"]
        return subprocess.Popen(command, env={**env, "PYTHONUNBUFFERED": "1"}, stdout=log, stderr=log)

    def words(self):
        return "\n".join(line for line in read(self.path("log")).splitlines() if "system" in line.split("|")[0])

    def output(self):
        return "\n".join(
            line.split("| ", 1)[1]
            for line in read(self.path("log")).splitlines()
            if "| " in line and "system" not in line.split("|")[0]
        )

    def spoken(self, controller):
        return controller.poll() is not None

    def stop(self, controller):
        controller.send_signal(signal.SIGINT)


class Flightlog(System):
    name = "flightlog"

    def start(self, program, env):
        self.home = os.path.join(os.path.dirname(self.folder), "home")
        self.env = {**env, "FLIGHTLOG_HOME": self.home, "FLIGHTLOG_AGENT": "never"}
        self.out = self.path("out")
        with open(self.out, "wb") as out:
            command = [*self.program(), "run", "-n", os.path.basename(self.folder), "--", *program.command]
            return subprocess.Popen(command, env=self.env, stdout=out, stderr=out, cwd=self.folder)

    def program(self):
        return [sys.executable, "-m", "flightlog"]

    def spoken(self, controller):
        if controller.poll() is None:
            return False
        name = os.path.basename(self.folder)
        done = subprocess.run(
            [*self.program(), "why", name, "-o", "json"],
            env={**self.env, MARK: "none"},
            capture_output=True,
            timeout=60,
        )
        self.why = json.loads(done.stdout) if done.returncode == 0 and done.stdout else {}
        return True

    def words(self):
        return "; ".join(self.why.get("evidence", []))

    def output(self):
        return read(self.out)

    def outcome(self, seconds, orphans):
        name = os.path.basename(self.folder)
        done = subprocess.run(
            [*self.program(), "logs", name, "-n", "all", "-o", "cat"],
            env={**self.env, MARK: "none"},
            capture_output=True,
            timeout=60,
        )
        kept = done.stdout.decode("utf-8", "replace")
        return Outcome(
            self.words(), kept, seconds, orphans, self.why.get("verdict", ""), self.why.get("confidence", "")
        )

    def stop(self, controller):
        subprocess.run(
            [*self.program(), "stop", os.path.basename(self.folder)],
            env={**self.env, MARK: "none"},
            capture_output=True,
            timeout=60,
        )


SYSTEMS = (Flightlog, Supervisord, Circus, Honcho)
