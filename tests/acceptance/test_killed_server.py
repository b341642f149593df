"""The embedded server killed with -9: who looks starts it again at once, also while nobody has reaped it; who follows goes on."""

import os
import signal

import pytest

from flightlog import identity
from flightlog.store.embedded import EmbeddedServer, was_killed
from flightlog.store.pg_remains import make_way
from unit.query.command import Command
from waiting import wait_until


@pytest.fixture
def server(home):
    """A server whose parent, this process, does not reap it, as the init of many a container."""
    one = EmbeddedServer(home)
    one.start(fast=True)
    yield one
    one.stop(immediate=True)


@pytest.fixture
def flightlog(home, server):
    command = Command("", home)
    command("run", "-n", "job", "--", "echo", "said")
    return command


def kill(server):
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: identity.process_state(pid) == "Z", 10, "the postmaster to be a zombie")


def test_looking_starts_it_again(flightlog, server, home):
    for command in ("list", "status", "audit", "logs"):
        kill(server)
        assert was_killed(home)
        out, err = flightlog(command, "job")
        assert ("job" in out or out.endswith("said\n")) and err == ""


def test_follow_begins_with_a_server_that_was_killed(flightlog, server):
    kill(server)
    out, err = flightlog("logs", "-f", "job", "-o", "cat")
    assert (out, "-- job " in err) == ("said\n", True)


def test_follow_starts_it_again_without_an_agent(flightlog, server, home):
    go = os.path.join(home, "go")
    run = flightlog.start(
        "run", "-n", "slow", "--", "sh", "-c", f"echo 1; while [ ! -e {go} ]; do sleep 0.05; done; echo 2"
    )
    assert run.stdout.readline() == b"1\n"
    process = flightlog.start("logs", "-f", "slow", "-o", "cat")
    assert process.stdout.readline() == b"1\n"
    kill(server)
    while b"answers again" not in process.stderr.readline():
        assert process.poll() is None
    with open(go, "w"):
        pass
    assert process.communicate(timeout=60)[0] == b"2\n"
    run.communicate(timeout=60)


def test_follow_does_not_start_what_was_stopped(flightlog, server, home):
    server.stop()
    assert not was_killed(home)


def test_a_backend_that_was_killed_is_waited_for(flightlog, server):
    """Then the postmaster restarts all of them, and refuses whoever comes meanwhile."""
    for _ in range(5):
        with open(f"/proc/{server.pid}/task/{server.pid}/children") as file:
            os.kill(int(file.read().split()[0]), signal.SIGKILL)
        assert "job" in flightlog("list")[0]


def test_lock_files_of_the_living_are_left_alone(tmp_path):
    data, socket = tmp_path / "data", tmp_path / "socket"
    data.mkdir()
    for text in (str(os.getpid()), "1", "no number", "", str(2**22)):
        for path in (data / "postmaster.pid", tmp_path / "socket.lock"):
            path.write_text(text + "\n")
        make_way(str(data), str(socket))
        assert (data / "postmaster.pid").exists() and (tmp_path / "socket.lock").exists()
