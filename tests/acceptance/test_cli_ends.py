"""How every command ends: what is said when it cannot do it, the exit code, and what becomes of standard output."""

import os
import resource
import signal
import socket
import subprocess
import sys

import pytest

from unit.query.command import FLIGHTLOG, Command
from unit.query.recorded import Recorded, ago


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


READING = (["logs"], ["list"], ["status"], ["audit"], ["list", "-o", "json"], ["logs", "-o", "json", "-n", "all"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lgos"], "Error: no such command: lgos\nTry: flightlog logs\n"),
        (["\x1b[31m"], "Error: no such command: \\x1b[31m\nTry: flightlog --help\n"),
        (["--nope"], "Error: No such option '--nope'.\nTry: flightlog --help\n"),
        (["logs", "-n"], "Error: Option '-n' requires an argument.\nTry: flightlog logs --help\n"),
        (["db", "nope"], "Error: No such command 'nope'.\nTry: flightlog db --help\n"),
        (
            ["completion"],
            "Error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\nTry: flightlog completion --help\n",
        ),
        (["list", "-S", "\x1b[31m"], "Error: --since \\x1b[31m: no such time\nTry: 10m, "),
        (["agent", "run", "--once", "--timeout", "-1"], "Error: Invalid value for '--timeout'"),
    ],
)
def test_wrong_usage_is_told_in_two_lines(home, arguments, said):
    out, err = Command("", home)(*arguments, code=2)
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 2


@pytest.mark.parametrize("arguments", [[], ["db"], ["agent"], ["journal"]])
def test_no_command_shows_the_help(home, arguments):
    out, err = Command("", home)(*arguments, code=2)
    assert (out, err.startswith("Usage: flightlog")) == ("", True)


@pytest.mark.parametrize("option", [["logs"], ["logs", "-g"], ["logs", "--stage"], ["status"], ["list"]], ids=" ".join)
def test_what_is_no_text_is_told(flightlog, option):
    done = subprocess.run([*FLIGHTLOG, *option, b"\xff"], env=flightlog.environment, capture_output=True, timeout=60)
    assert done.returncode in (2, 4)
    assert done.stderr.startswith(b"Error: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_full_disk_is_an_error_and_no_traceback(flightlog, recorded, arguments):
    recorded.run(at=ago(minutes=1))
    with open("/dev/full", "w") as full:
        process = flightlog.start(*arguments, stdout=full)
        assert process.stderr.read() == b"Error: cannot write: No space left on device\n"
    assert process.wait(60) == 1


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_file_that_may_not_grow_is_an_error_found_at_the_very_end(flightlog, recorded, arguments, tmp_path):
    """Output to a plain file is written when the process ends."""
    recorded.run(at=ago(minutes=1))
    with open(tmp_path / "out", "w") as file:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # noqa: E731
        process = flightlog.start(*arguments, stdout=file, preexec_fn=limit)
        assert process.stderr.read() == b"Error: cannot write: File too large\n"
    assert process.wait(60) == 1


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_closed_streams_are_no_error(flightlog, recorded, arguments):
    recorded.run(at=ago(minutes=1))
    shell = 'exec "$@" >&- 2>&-'
    command = ["sh", "-c", shell, "sh", *FLIGHTLOG, *arguments]
    assert subprocess.run(command, env=flightlog.environment, timeout=60).returncode == 0


def leave_early(flightlog, *arguments):
    """Start a command whose reader takes nothing; return (exit code, standard error)."""
    reading, writing = os.pipe()
    os.close(reading)
    process = flightlog.start(*arguments, stdout=writing)
    os.close(writing)
    said = process.stderr.read()
    return process.wait(60), said


@pytest.mark.parametrize(
    "arguments", [*READING, ["--help"], ["db", "migrate", "--print"], ["journal", "cat"]], ids=" ".join
)
def test_a_reader_that_leaves_is_no_error(flightlog, recorded, arguments, home):
    recorded.run(at=ago(minutes=1))
    flightlog.environment["FLIGHTLOG_SPOOL"] = recorded.spool
    assert leave_early(flightlog, *arguments) == (0, b"")


def test_a_reader_that_leaves_does_not_turn_bad_into_good(flightlog, recorded):
    """`flightlog audit | head -1` under pipefail."""
    recorded.run(end=("failed", 3), at=ago(minutes=1))
    assert leave_early(flightlog, "status", "--exit-code") == (1, b"")


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_ctrl_c_while_the_server_does_not_answer(home, arguments):
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        flightlog = Command(f"host=127.0.0.1 port={server.getsockname()[1]} dbname=x", home)
        process = flightlog.start(*arguments)
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert (process.wait(60), process.stdout.read(), process.stderr.read()) == (130, b"", b"")


def test_colour_goes_where_it_is_wanted(flightlog, recorded):
    recorded.run(end=("failed", 3), at=ago(minutes=1))
    for arguments in (["list"], ["status"], ["status", "orders"], ["audit"], ["logs"]):
        assert "\x1b" not in flightlog(*arguments)[0]
        assert "\x1b[" in flightlog(*arguments, "--color", "always")[0]
        assert "\x1b" not in flightlog(*arguments, FORCE_COLOR="1", NO_COLOR="1")[0]
    for arguments in (["list"], ["logs"]):
        assert "\x1b[" in flightlog(*arguments, FORCE_COLOR="1")[0]
        assert "\x1b" not in flightlog(*arguments, "--color", "never", FORCE_COLOR="1")[0]
        assert "\x1b" not in flightlog.on_screen(*arguments, TERM="dumb")[1]


def test_version(home):
    from flightlog import __version__

    command = Command("", home)
    assert command("--version") == (f"flightlog {__version__}\n", "")
    assert command("version")[0].startswith(f"flightlog {__version__} (Python 3.")


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_home_that_cannot_be(dsn, arguments):
    """Nothing can be made in it, but what is in the store can be read."""
    out, err = Command(dsn, "/proc/nowhere")(*arguments)
    assert "Error" not in err


def test_another_users_home_is_not_spoken_about(home):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    python = "/usr/bin/python3"
    can = subprocess.run(
        [
            "setpriv",
            "--reuid=1",
            "--regid=1",
            "--clear-groups",
            python,
            "-c",
            "import sys; sys.exit(sys.version_info[:2] != %r)" % (sys.version_info[:2],),
        ],
        capture_output=True,
    )
    if can.returncode:
        pytest.skip("no Python of this version that another user may run")
    import click

    import flightlog

    open(os.path.join(home, "agent.lock"), "w").close()
    os.chmod(os.path.join(home, "agent.lock"), 0o600)
    folders = [os.path.dirname(os.path.dirname(module.__file__)) for module in (flightlog, click)]
    environment = {**Command("", home).environment, "PYTHONPATH": ":".join(folders), "HOME": "/nonexistent"}
    for arguments in (["agent", "status"], ["agent", "start"], ["agent", "stop"], ["agent", "run"], ["down"]):
        done = subprocess.run(
            ["setpriv", "--reuid=1", "--regid=1", "--clear-groups", python, "-m", "flightlog", *arguments],
            env=environment,
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (6, b"")
        assert done.stderr.startswith(b"Error: the agent of %s is another user's (root)\nTry: " % home.encode())


@pytest.mark.parametrize("arguments", [["agent", "run"], ["agent", "run", "--once"], ["agent", "start"]], ids=" ".join)
def test_an_agent_of_a_home_that_cannot_be_made(home, arguments):
    out, err = Command("", "/proc/nowhere")(*arguments, code=6)
    assert (out, err.count("\n")) == ("", 2) and err.startswith("Error: ") and "/proc/nowhere" in err


def test_agent_status_says_when_the_server_is_gone(home):
    flightlog = Command(f"host={home}/nowhere dbname=x", home)
    out, err = flightlog("agent", "status", code=3)
    assert "store      server, cannot connect to" in out
    assert flightlog("agent", "status", "-o", "json", code=3)[0].startswith('{"v":1,')


def test_agent_run_once_says_that_time_is_up(dsn, home, recorded):
    """An agent that does not ship holds the door."""
    from flightlog.agent.door import Door

    recorded.run(at=ago(minutes=1))
    from flightlog import identity
    from integration.shipping import log

    run = identity.new_ulid()
    recorded.write(run, [log(run, "waits")])
    door = Door(str(home))
    assert door.take()
    try:
        err = Command(dsn, home)("agent", "run", "--once", "--timeout", "0.3", code=5)[1]
    finally:
        door.leave()
    assert err == "Error: not everything could be shipped within 0.3 s\nTry: flightlog agent status\n"
