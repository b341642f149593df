"""Ctrl-C while `flightlog run` is still loading: it ends by the signal, as its command would have, and says nothing of its own."""

import signal
import subprocess
import sys

import pytest

from acceptance import running

CLI = [sys.executable, "-X", "importtime", "-m", "flightlog", "run", "--"]
LONG_WAY = [*CLI[:-1], "-nfoo", "--"]  # which click reads
KEEPER = [*running.KEEPER[:1], "-X", "importtime", *running.KEEPER[1:], "--"]


@pytest.mark.parametrize(
    "start, at",
    [
        (CLI, b"flightlog.identity"),
        (CLI, b"flightlog.config.gate"),
        (CLI, b"flightlog.daemons"),
        (LONG_WAY, b"click.core"),
        (LONG_WAY, b"flightlog.cli.group"),
        (KEEPER, b"flightlog.identity"),
        (KEEPER, b"flightlog.process.setup"),
    ],
)
def test_no_traceback_of_ours(tmp_path, start, at):
    env = {**running.environment(tmp_path), "FLIGHTLOG_AGENT": "never"}
    starting = subprocess.Popen([*start, "sleep", "60"], env=env, stderr=subprocess.PIPE)
    seen = b""
    for line in starting.stderr:  # the interpreter says which module was loaded
        seen += line
        if line.rstrip().endswith(at):
            break
    starting.send_signal(signal.SIGINT)
    seen += starting.stderr.read()
    assert starting.wait(30) == -signal.SIGINT
    assert b"Traceback" not in seen, seen[-2000:].decode()
