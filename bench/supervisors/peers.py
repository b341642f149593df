"""supervisord, circus and honcho, set up the plain way that their documents show.

Owns: their configuration files, what they say in their own log, the output they kept. Each gets the program's command itself, no shell between.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess

from .system import System, read


class Peer(System):
    """A peer whose words are in a log of its own and whose output is in files."""

    def output(self):
        return read(self.path("out")) + read(self.path("err"))

    def script(self, name):
        return os.path.join(self.scripts, name)

    def open(self, arguments, env, log):
        with open(self.path(log), "ab") as file:
            return subprocess.Popen(
                arguments, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.folder
            )

    def tell(self, *arguments):
        subprocess.run(arguments, capture_output=True, timeout=60)


class Supervisord(Peer):
    name = "supervisord"

    def start(self, program, env):
        with open(self.path("conf"), "w") as file:
            file.write(
                f"[supervisord]\nnodaemon=true\nlogfile={self.path('log')}\npidfile={self.path('pid')}\nloglevel=info\n"
                f"[unix_http_server]\nfile={self.path('sock')}\n[rpcinterface:supervisor]\n"
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
                f"[supervisorctl]\nserverurl=unix://{self.path('sock')}\n"
                f"[program:x]\ncommand={shlex.join(self.command).replace('%', '%%')}\nautorestart={str(self.restarts).lower()}\nstartsecs=0\nstartretries=0\n"
                f"stopwaitsecs=3\nstopasgroup=true\nkillasgroup=true\ndirectory={self.folder}\n"
                f"stdout_logfile={self.path('out')}\nstderr_logfile={self.path('err')}\n"
            )
        return self.open([self.script("supervisord"), "-c", self.path("conf")], env, "console")

    def words(self):
        said = ("exited:", "stopped:", "spawnerr", "gave up", "FATAL", "killing", "waiting for", "can't find", "Error")
        lines = (read(self.path("log")) + read(self.path("console"))).splitlines()
        return "\n".join(dict.fromkeys(line for line in lines if any(word in line for word in said)))

    def spoken(self, controller):
        ends = ("exited:", "stopped:", "spawnerr", "gave up")
        return controller.poll() is not None or any(word in read(self.path("log")) for word in ends)

    def stop(self, controller):
        self.tell(self.script("supervisorctl"), "-c", self.path("conf"), "stop", "x")


# circus's own log says that a process was reaped, and no more; a hook, which its documents offer for that, is told the exit code.
HOOK = """from circus import logger

def said(watcher, process_pid, exit_code, **more):
    logger.info("hook after_reap: exit code %s", exit_code)
"""


class Circus(Peer):
    name = "circus"

    def start(self, program, env):
        with open(self.path("told.py"), "w") as file:
            file.write(HOOK)
        self.port, pubsub = free_ports(2)
        with open(self.path("ini"), "w") as file:
            file.write(
                f"[circus]\ncheck_delay=1\nendpoint=tcp://127.0.0.1:{self.port}\npubsub_endpoint=tcp://127.0.0.1:{pubsub}\nloglevel=DEBUG\n"
                f"[watcher:x]\ncmd={shlex.join(self.command)}\nrespawn={self.restarts}\nnumprocesses=1\ncopy_env=True\ngraceful_timeout=3\n"
                f"stop_children=True\nworking_dir={self.folder}\nhooks.after_reap=told.said\n"
                f"stdout_stream.class=FileStream\nstdout_stream.filename={self.path('out')}\n"
                f"stderr_stream.class=FileStream\nstderr_stream.filename={self.path('err')}\n"
                "[env:x]\nPYTHONPATH=\n"
            )
        return self.open([self.script("circusd"), self.path("ini")], {**env, "PYTHONPATH": self.folder}, "log")

    def words(self):
        said = "reap|died|exited|stopped|stopping|annot|rror|not found|SIG|kill|ermission"
        return "\n".join(line for line in read(self.path("log")).splitlines() if re.search(said, line))

    def spoken(self, controller):
        log = read(self.path("log"))
        return controller.poll() is not None or any(
            word in log for word in ("hook after_reap", "x stopped", "was not found")
        )

    def stop(self, controller):
        self.tell(self.script("circusctl"), "--endpoint", f"tcp://127.0.0.1:{self.port}", "stop", "x")


def free_ports(count):
    """Return ports that nobody listens at."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


class Honcho(Peer):
    name = "honcho"

    def start(self, program, env):
        with open(self.path("Procfile"), "w") as file:
            file.write(f"x: exec {shlex.join(self.command)}\n")
        arguments = [self.script("honcho"), "-f", self.path("Procfile"), "-d", self.folder, "start"]
        return self.open(arguments, {**env, "PYTHONUNBUFFERED": "1"}, "log")

    def lines(self, system):
        lines = read(self.path("log")).splitlines()
        return [line for line in lines if ("system" in line.split("|")[0]) == system]

    def words(self):
        return "\n".join(self.lines(True))

    def output(self):
        return "\n".join(line.partition("| ")[2] for line in self.lines(False))

    def spoken(self, controller):
        return controller.poll() is not None

    def stop(self, controller):
        controller.send_signal(signal.SIGINT)


def versions(scripts):
    """Return {name: version} of what is compared, ours included."""
    import flightlog

    code = "import importlib.metadata as m; print(*(m.version(name) for name in ('supervisor', 'circus', 'honcho')))"
    done = subprocess.run([os.path.join(scripts, "python"), "-c", code], capture_output=True, text=True, check=True)
    return {"flightlog": flightlog.__version__, **dict(zip(("supervisord", "circus", "honcho"), done.stdout.split()))}
