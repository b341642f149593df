"""Under a real systemd: the documented units, started, killed, stopped and aborted by its watchdog, in namespaces of their own.

It is the first process of a PID namespace and has the units of one folder only. Its control groups lie beside this machine's; where another systemd
has its own there, nothing is tried.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from running import environment
from test_systemd import units

from accounts import needs_root
from waiting import wait_until

GROUPS = "/sys/fs/cgroup"
BOOT = """
mount --make-rprivate / && mount -t tmpfs tmpfs /run || exit 9
exec env -i container=other PATH=/usr/local/bin:/usr/bin:/bin SYSTEMD_UNIT_PATH="$1" SYSTEMD_LOG_TARGET=console \
    "$2" --system --unit=default.target --show-status=no
"""
SYSTEMD = "/lib/systemd/systemd"
FEED = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.connect(os.environ["NOTIFY_SOCKET"])
    one.send(b"READY=1")
time.sleep(1000)
"""
PROGRAMS = {
    "api.service": "/bin/sleep 1234",
    "feed.service": "{python} {folder}/feed.py",
    "nightly.service": "/bin/sh -c 'exit 3'",
}
pytestmark = [
    needs_root,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("systemctl") is None or not os.path.exists(SYSTEMD), reason="no systemd here"),
]


def groups():
    """The control groups that a systemd makes at the top of a hierarchy."""
    tops = [GROUPS, *[os.path.join(GROUPS, name) for name in os.listdir(GROUPS)]]
    return {
        path
        for top in tops
        for path in (f"{top}/init.scope", f"{top}/system.slice", f"{top}/user.slice")
        if os.path.isdir(path)
    }


class Systemd:
    """A systemd, and commands beside it."""

    def __init__(self, folder, home, dsn):
        self._environment = {
            name: value
            for name, value in environment(home, FLIGHTLOG_DSN=dsn).items()
            if name.startswith(("FLIGHTLOG_", "PYTHON"))
        }
        (folder / "feed.py").write_text(FEED)
        (folder / "environment").write_text("".join(f"{k}={v}\n" for k, v in self._environment.items()))
        for name, text in units():
            if name in PROGRAMS:
                (folder / name).write_text(self._unit(folder, name, text))
        for name in ("sysinit", "basic", "shutdown", "default"):
            (folder / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n")
        command = ["unshare", "-fpmuiC", "--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh", str(folder), SYSTEMD]
        self.log = open(folder / "log", "wb")
        self.outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.pid = 0

    def _unit(self, folder, name, text):
        program = PROGRAMS[name].format(python=sys.executable, folder=folder)
        text = text.replace("/usr/bin/env python3 -m http.server", program).replace("User=etl\n", "")
        text = text.replace("/usr/local/bin/flightlog", f"{sys.executable} -m flightlog")
        lines = [line for line in text.splitlines() if not line.startswith(("Environment=", "After="))]
        if name == "feed.service":
            lines = [line.replace("WatchdogSec=60", "WatchdogSec=2") for line in lines]
            lines = [line.replace("Restart=on-failure", "Restart=no") for line in lines]
        at = lines.index("[Service]")
        lines[at:at] = ["DefaultDependencies=no"]
        lines[at + 2 : at + 2] = [f"EnvironmentFile={folder}/environment"]
        return "\n".join(lines) + "\n"

    def boot(self):
        """Return whether it got up."""

        def up():
            with open(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children") as file:
                self.pid = int(file.read() or 0)
            return self.pid and "running" in self.control("is-system-running")

        try:
            return wait_until(lambda: self.outer.poll() is not None or up(), 30) and self.outer.poll() is None
        except (AssertionError, OSError):
            return False

    def inside(self, *command):
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", *command]
        given = {**os.environ, **self._environment}
        return subprocess.run(enter, env=given, capture_output=True, text=True, timeout=60)

    def control(self, *words):
        return self.inside("systemctl", *words).stdout.strip()

    def shows(self, unit, *names):
        return [self.control("show", unit, "-p", name, "--value") for name in names]

    def flightlog(self, *words):
        return self.inside(sys.executable, "-m", "flightlog", *words).stdout

    def end(self):
        self.outer.kill()
        self.outer.wait(30)
        if self.pid:
            wait_until(lambda: not os.path.exists(f"/proc/{self.pid}"), 30)
        self.log.close()


@pytest.fixture
def systemd(tmp_path, home, dsn):
    if groups():
        pytest.skip("another systemd has its control groups here")
    one = Systemd(tmp_path, home, dsn)
    try:
        if not one.boot():
            pytest.skip("systemd does not start in namespaces here: " + (tmp_path / "log").read_text()[-300:])
        yield one
    finally:
        one.end()
        for top in groups():
            for path, _, _ in os.walk(top, topdown=False):
                os.rmdir(path)


def children(systemd):
    """How many copies of the kept command run."""
    return systemd.inside("pgrep", "-c", "-x", "sleep").stdout.strip()


def test_the_documented_units(systemd):
    assert systemd.control("start", "api") == ""
    assert systemd.shows("api", "ActiveState", "NRestarts") == ["active", "0"]
    main = systemd.shows("api", "MainPID")
    systemd.inside("pkill", "-9", "-x", "sleep")
    wait_until(lambda: json.loads(systemd.flightlog("ps", "-o", "json"))["processes"][0]["restarts"] == 1, 30)
    wait_until(lambda: children(systemd) == "1", 30)
    assert systemd.shows("api", "MainPID", "NRestarts") == [*main, "0"]  # flightlog's affair

    systemd.inside("kill", "-9", *main)
    wait_until(lambda: systemd.shows("api", "NRestarts", "SubState") == ["1", "running"], 30)
    wait_until(lambda: children(systemd) == "1", 30)
    assert systemd.shows("api", "MainPID") != main
    assert "nothing of it is left" in systemd.flightlog("stop", "api")
    wait_until(lambda: systemd.shows("api", "ActiveState", "Result") == ["inactive", "success"], 30)
    assert children(systemd) == "0"

    systemd.control("start", "api")
    systemd.control("stop", "api")
    assert systemd.shows("api", "ActiveState", "Result") == ["inactive", "success"]
    (kept,) = json.loads(systemd.flightlog("ps", "-o", "json"))["processes"]
    assert (kept["state"], kept["verdict"], children(systemd)) == ("stopped", "stopped-by-us", "0")

    systemd.control("start", "nightly")
    assert systemd.shows("nightly", "Result", "ExecMainStatus") == ["exit-code", "3"]


def test_a_watchdog_that_barks_is_named(systemd):
    systemd.control("start", "feed")  # returns when it has said READY=1
    wait_until(lambda: systemd.shows("feed", "ActiveState", "Result") == ["failed", "watchdog"], 30)
    assert systemd.shows("feed", "ExecMainStatus") == [str(int(signal.SIGABRT))]
    said = systemd.flightlog("why", "feed")
    assert "stopped-outside, proven" in said and "SIGABRT came from systemd" in said and "WatchdogSec=" in said, said
