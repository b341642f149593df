"""The rollout in real processes: who is not in runs as if flightlog were not there, and a change reaches who runs."""

import os
import subprocess
import sys

import pytest

from acceptance import interpreters, running
from acceptance.told import Told
from conformance.kept import Kept
from flightlog.config.rollout import bucket
from unit.config.malformed import put

IN, OUT = (
    b"monitoring:\n  rollout:\n    include: [orders]\n    percent: 0\n",
    b"monitoring:\n  rollout:\n    percent: 0\n",
)
SHOW = "env | grep -c '^FLIGHTLOG_RUN='; echo out; echo err >&2; exit 3"


@pytest.fixture
def config(tmp_path):
    return tmp_path / "config.yml"


def run(home, config, *arguments):
    command = [sys.executable, "-m", "flightlog", "run", *arguments, "--", "sh", "-c", SHOW]
    return running.run(command, home, env=running.environment(home, FLIGHTLOG_CONFIG=str(config)))


def test_who_is_not_in_is_run_as_if_it_stood_alone(tmp_path, config):
    home = tmp_path / "home"
    assert bucket("etl-25") != bucket("orders")
    put(config, OUT)
    assert run(home, config, "-n", "orders") == (3, b"0\nout\n", b"err\n")
    put(config, b"monitoring:\n  rollout:\n    percent: 12 apples\n")  # nobody understands it, and nobody ever did
    assert run(home, config, "-n", "orders") == (3, b"0\nout\n", b"err\n")
    assert running.run([sys.executable, "-c", TALK], home, env=environment(home, config)) == (0, b"", b"")
    assert not home.exists()
    put(config, IN)
    assert run(home, config, "-n", "ORDERS ") == (3, b"1\nout\n", b"err\n")
    assert running.captured(home) == b"1\nout\n"
    put(config, b"monitoring:\n  rollout:\n    percent: 12 apples\n")  # what was understood last holds
    assert run(home, config, "-n", "orders") == (3, b"1\nout\n", b"err\n")
    assert run(home, config, "-n", "else") == (3, b"0\nout\n", b"err\n")


TALK = """
import flightlog
with flightlog.run("orders") as run, run.stage("load"):
    flightlog.get_logger("etl").info("loaded")
"""


PARENT = """
import flightlog, os, subprocess, sys
child = "import flightlog; flightlog.get_logger('child').info('in the child')"
with flightlog.run(sys.argv[1]), flightlog.stage("load"):
    if sys.argv[2]: subprocess.run([sys.executable, "-c", child], check=True)
    else: os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", child], {**os.environ, **flightlog.carry_environment()})
"""


def test_who_was_handed_a_run_is_in_when_its_parent_is(tmp_path, config):
    home = tmp_path / "home"
    command = [sys.executable, "-c", PARENT]
    put(config, b"monitoring:\n  rollout:\n    include: ['100%:%3a orders']\n    percent: 0\n")
    for name, way in (("else", "1"), ("else", ""), ("python", "")):  # the child alone would be `python`
        assert running.run([*command, name, way], home, env=environment(home, config)) == (0, b"", b"")
    assert not home.exists()
    for way in ("1", ""):
        assert running.run([*command, "100%:%3A orders", way], home, env=environment(home, config)) == (0, b"", b"")
    found = running.records(home)
    runs = {record["r"] for record in found if record.get("ev") == "run.started"}
    logs = [record for record in found if record["k"] == "log"]
    assert [(record["m"], record.get("s")) for record in logs] == [("in the child", "load")] * 2
    assert {record["r"] for record in logs} == runs and len(runs) == 2


def environment(home, config):
    return running.environment(home, FLIGHTLOG_CONFIG=str(config))


@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13", "pypy3"])
def test_a_change_reaches_an_attached_process_without_any_agent(tmp_path, config, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    put(config, OUT)
    one = Told([python], tmp_path / "home", config, "orders")
    for verb in ("log", "own"):
        one.say(verb)
    assert not (tmp_path / "home").exists()
    put(config, IN + b"agent: [\n")  # broken elsewhere
    one.await_recorded("log", True)
    assert one.recorded("own")
    put(config, OUT + b"  enabled: true\n")
    one.await_recorded("own", False)
    assert not one.recorded("log")
    one.end()


def test_a_change_reaches_a_command_under_its_keeper(tmp_path, config):
    """All processes below it go by its name, whatever they call themselves."""
    put(config, IN)
    home = tmp_path / "home"
    keeper = [*running.KEEPER, "--config", str(config), "--pipeline", "orders", "--", sys.executable]
    one = Told(keeper, home, config, "another")
    for verb in ("say", "own"):
        one.await_recorded(verb, True)
    put(config, b"monitoring:\n  rollout:\n    exclude: ['o*']\n")
    for verb in ("say", "own"):
        one.await_recorded(verb, False)
    put(config, b"monitoring:\n  rollout:\n    exclude: ['other*']\n")
    for verb in ("say", "own"):
        one.await_recorded(verb, True)
    one.end()
    assert running.ended(home)["exit_code"] == 0


def test_a_kept_process_that_is_not_in_is_the_plain_one(tmp_path, home, config, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(config))
    put(config, IN)
    kept = Kept("enhanced", home)
    kept.keep.start_process("dark", kept.counting("print('here')"))
    found = kept.await_state("dark", "succeeded")
    assert found["run"] is None and kept.output("dark") == b"here\n"
    assert not os.path.exists(os.path.join(home, "spool"))
    kept.keep.start_process("orders", kept.counting("print('here')"))
    assert kept.await_state("orders", "succeeded")["run"]


def test_the_level_of_the_config_file_counts(tmp_path, config):
    """`logging.level` comes with the compiled settings; programs keep their own levels and see no difference."""
    put(config, b"logging:\n  level: info\n")
    compiled = "from flightlog.config import compiling; import sys; compiling.refresh(sys.argv[1])"
    env = running.environment(tmp_path / "home", FLIGHTLOG_CONFIG=str(config))
    subprocess.run([sys.executable, "-c", compiled, str(config)], env=env, check=True, timeout=60)
    one = Told([sys.executable], tmp_path / "home", config, "orders")
    assert one.recorded("log") and not one.recorded("debug") and one.recorded("own")
    put(config, b"logging:\n  level: warning\n")
    subprocess.run([sys.executable, "-c", compiled, str(config)], env=env, check=True, timeout=60)
    one.await_recorded("own", False)
    one.end()
    assert [e["ev"] for e in running.events(tmp_path / "home")] == ["run.started", "run.ended"]
