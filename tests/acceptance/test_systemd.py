"""Under systemd: a socket that acts as its side of sd_notify, and the documented units read by its own verifier."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

import pytest
from running import environment

import flightlog
from flightlog.process import notify
from waiting import wait_until

FLIGHTLOG = [sys.executable, "-m", "flightlog"]
PAGE = os.path.join(os.path.dirname(flightlog.__file__), "..", "..", "docs", "howto", "systemd.md")
SPEAKS = """
import os, signal, socket, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"])
        one.send(text.encode())
def end(number, frame):
    say("STOPPING=1")
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
say("READY=1\\nSTATUS=serving\\nMAINPID=%d" % os.getpid())
if os.environ.get("WATCHDOG_PID") in (None, str(os.getpid())) and "WATCHDOG_USEC" in os.environ:
    say("WATCHDOG=1")
print(os.environ.get("WATCHDOG_PID"), os.environ.get("LISTEN_PID"), os.getpid(), flush=True)
while True:
    signal.pause()
"""


class Systemd:
    """What systemd does for a unit of Type=notify: a socket, variables, a look at who speaks, SIGTERM to the main process."""

    def __init__(self, folder, home, watchdog):
        self.path = os.path.join(folder, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(60)
        self._environment = environment(home, NOTIFY_SOCKET=self.path, LISTEN_FDS="0")
        if watchdog:
            self._environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self.said = []  # (pid of who said it, name, value)
        self.main = None

    def start(self, *command):
        script = 'export WATCHDOG_PID=$$ LISTEN_PID=$$; exec "$@"'
        self.main = subprocess.Popen(
            ["sh", "-c", script, "sh", *FLIGHTLOG, *command], env=self._environment, stdout=subprocess.PIPE
        )
        return self.main

    def receive(self):
        data, extra, _, _ = self._socket.recvmsg(8192, socket.CMSG_SPACE(12))
        ((_, _, credentials),) = extra
        pid = struct.unpack("3i", credentials)[0]
        self.said += [(pid, *line.partition("=")[::2]) for line in data.decode().splitlines()]

    def until(self, name, value=None, times=1):
        """Receive until *name* was said so many times; return who said it last."""
        while True:
            found = [pid for pid, key, said in self.said if key == name and value in (None, said)]
            if len(found) >= times:
                return found[-1]
            self.receive()

    def close(self):
        if self.main is not None and self.main.poll() is None:
            self.main.terminate()
            self.main.wait(60)
        self._socket.close()


@pytest.fixture
def systemd(tmp_path, home):
    made = []

    def make(watchdog=0.0):
        made.append(Systemd(str(tmp_path), home, watchdog))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_daemon_that_flightlog_keeps(systemd, home):
    manager = systemd(watchdog=1.0)
    manager.start("start", "api", "--plain", "--foreground", "--", sys.executable, "-c", SPEAKS)
    assert manager.until("READY", "1") == manager.main.pid  # NotifyAccess=main: nobody else is listened to
    assert manager.until("WATCHDOG", "1", times=3) == manager.main.pid
    assert manager.until("STATUS", "serving") == manager.main.pid  # the command's own word, passed on
    output = os.path.join(home, "processes", "api", "stdout.log")

    def printed():
        with open(output) as file:
            return file.read().split()

    watchdog, listen, _ = wait_until(printed)
    assert (watchdog, listen) == ("None", "None")  # what is meant for the caretaker is not shown to the command
    manager.main.send_signal(signal.SIGTERM)
    assert manager.until("STOPPING", "1") == manager.main.pid
    assert manager.main.wait(60) == 0
    assert {pid for pid, _, _ in manager.said} == {manager.main.pid}


def test_a_caretaker_that_stands_still_is_not_heard(systemd):
    """The word comes from the loop that does the work: what is stopped says nothing, and systemd sees the hang."""
    manager = systemd(watchdog=0.2)
    manager.start("start", "api", "--plain", "--foreground", "--", "sleep", "1000")
    manager.until("WATCHDOG", "1", times=2)
    manager.main.send_signal(signal.SIGSTOP)
    wait_until(lambda: notify_state(manager.main.pid) == "T")
    manager._socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.receive()  # what was said before
    with open(f"/proc/{manager.main.pid}/task/{manager.main.pid}/children") as file:
        assert len(file.read().split()) == 1  # and there is nobody else who could
    assert os.listdir(f"/proc/{manager.main.pid}/task") == [str(manager.main.pid)]
    manager._socket.settimeout(60)
    heard = len(manager.said)
    manager.main.send_signal(signal.SIGCONT)
    while len(manager.said) == heard:
        manager.receive()


def notify_state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(") ", 1)[1][0]


def test_a_program_that_systemd_keeps(systemd):
    manager = systemd(watchdog=5.0)
    manager.start("run", "--", sys.executable, "-c", SPEAKS)
    command = manager.until("READY", "1")
    assert command != manager.main.pid  # NotifyAccess=all: the command speaks, the keeper is the main process
    assert manager.until("WATCHDOG", "1") == command and ("MAINPID", str(command)) in {one[1:] for one in manager.said}
    watchdog, listen, own = manager.main.stdout.readline().decode().split()
    assert watchdog == listen == own == str(command)  # addressed to it, as if systemd had started it
    manager.main.send_signal(signal.SIGTERM)
    assert manager.until("STOPPING", "1") == command
    assert manager.main.wait(60) == 7


def test_whom_a_watchdog_is_meant_for():
    def service(**given):
        given = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "4000000", "PATH": "/bin", **given}
        one = notify.Service(given)
        assert given == {"PATH": "/bin"}
        return one

    mine = service(WATCHDOG_PID=str(os.getpid()))
    assert [mine.bark(now) for now in (100.0, 101.5, 102.0, 103.0)] == [2.0, 0.5, 2.0, 1.0]
    assert service().bark(1.0) == 2.0
    for other in (
        service(WATCHDOG_PID="1"),
        service(WATCHDOG_USEC="soon"),
        service(NOTIFY_SOCKET=""),
        notify.Service(),
    ):
        assert other.bark(1.0) > 1000.0


def units():
    with open(PAGE, encoding="utf-8") as file:
        return re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", file.read(), re.S)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_documented_units(tmp_path):
    found = units()
    assert [name for name, _ in found] == ["api.service", "feed.service", "nightly.service", "nightly.timer"]
    program = tmp_path / "flightlog"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    paths = []
    for name, text in found:
        path = tmp_path / name
        path.write_text(text.replace("/usr/local/bin/flightlog", str(program)))
        paths.append(str(path))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "nightly" in line or "api" in line]
    assert done.returncode == 0 and said == [], done.stderr
    spoiled = tmp_path / "spoiled.service"  # the verifier does look
    spoiled.write_text(found[0][1].replace("Type=notify", "Typ=notify").replace("KillMode=mixed", "KillMode=some"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(spoiled)], capture_output=True, text=True)
    assert "Typ" in done.stderr


def test_the_documented_commands_are_understood():
    """Each ExecStart of the page is one that the command line takes."""
    import click

    from flightlog.cli import group

    for _, text in units():
        for line in re.findall(r"^ExecStart=\S+ (.*)$", text, re.M):
            words = line.split()
            context = click.Context(group.flightlog)
            command = group.flightlog.get_command(context, words[0])
            assert command.make_context(words[0], words[1:], resilient_parsing=False).params
