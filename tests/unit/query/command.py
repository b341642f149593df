"""For the tests of reading commands: call flightlog as people do, in a process of its own, on a pipe or on a screen."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

FLIGHTLOG = [sys.executable, "-m", "flightlog"]


class Command:
    """flightlog with a store and a home.

    Args:
        dsn: the store.
        home: FLIGHTLOG_HOME.
        more: further variables.
    """

    def __init__(self, dsn, home, **more):
        hidden = ("FLIGHTLOG_", "PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PAGER", "LESS")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        self.environment.update(FLIGHTLOG_HOME=str(home), FLIGHTLOG_AGENT="never", FLIGHTLOG_NODE="testnode", TZ="UTC")
        self.environment.update(more)
        if dsn:
            self.environment["FLIGHTLOG_DSN"] = dsn

    def __call__(self, *arguments, code=0, **more):
        """Run to the end; return (stdout, stderr). The exit code must be *code*."""
        done = subprocess.run(
            [*FLIGHTLOG, *arguments], env={**self.environment, **more}, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        assert b'Traceback (most recent call last):\n  File "/' not in done.stderr, done.stderr
        return done.stdout.decode("utf-8"), done.stderr.decode("utf-8")

    def start(self, *arguments, **options):
        """Start it and return the process, its output on pipes."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*FLIGHTLOG, *arguments], env=self.environment, **options)

    def on_screen(self, *arguments, keys=b"", columns=80, rows=24, **more):
        """Run it on a terminal of its own; return (exit status, everything that was shown). *keys* are typed when it waits."""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(FLIGHTLOG[0], [*FLIGHTLOG, *arguments], {**self.environment, "TERM": "xterm", **more})
        import fcntl
        import struct
        import termios

        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        shown, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 2.0)[0]:
                if keys:
                    os.write(master, keys)
                    keys = b""
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # all of it is closed
                break
            if not data:
                break
            shown += data
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode("utf-8", "replace").replace("\r\n", "\n")
