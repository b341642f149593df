"""A broken config file harms no pipeline: same output, same exit status; the agent keeps what it had, and ships nowhere else."""

import os
import subprocess
import sys

import psycopg
import pytest

from acceptance import running
from acceptance.told import Told
from unit.config.malformed import MALFORMED, put
from waiting import wait_until

FLIGHTLOG = [sys.executable, "-m", "flightlog"]


def test_a_running_pipeline_notices_nothing_of_any_of_them(tmp_path):
    home, config = tmp_path / "home", tmp_path / "config.yml"
    put(config, b"agent:\n  batch_rows: 5\n")
    one = Told([sys.executable], home, config, "orders", FLIGHTLOG_DEBUG="1")
    said = []
    for name, data in MALFORMED.items():
        put(config, data)
        said.append(one.say("log", f"during {name}"))
    one.end()
    kept = [record["m"] for record in running.records(home) if record["k"] == "log"]
    assert [word for word in said if word not in kept] == []


@pytest.mark.parametrize(
    "name", ["bytes of a program", "an open brace", "a tag that would run something", "nested deeply", "a mapping of mappings of mappings", "wrong everywhere"]
)  # fmt: skip
def test_a_pipeline_that_begins_runs_as_ever(tmp_path, name):
    home, config = tmp_path / "home", tmp_path / "config.yml"
    put(config, MALFORMED[name])
    command = [*FLIGHTLOG, "run", "-n", "orders", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]
    env = running.environment(home, FLIGHTLOG_CONFIG=str(config))
    assert running.run(command, home, cwd=tmp_path, env=env) == (3, b"out\n", b"err\n")
    assert sorted(os.listdir(tmp_path)) in (["config.yml", "home"], ["config.yml"])  # nothing was executed
    if name != "wrong everywhere":  # whose rollout nobody understands: then nobody is in
        assert running.captured(home) == b"out\n"


def count(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute("SELECT count(*) FROM pipeline_logs WHERE message LIKE 'word-%'").fetchone()[0]


def test_an_agent_keeps_its_database_and_one_that_begins_takes_no_other(dsn, home, tmp_path):
    config = tmp_path / "config.yml"
    named = f"database:\n  dsn: {dsn!r}\n".encode()
    put(config, named)
    env = running.environment(home, FLIGHTLOG_CONFIG=str(config))
    one = Told([sys.executable], home, config, "orders")
    one.say("log")
    with subprocess.Popen([*FLIGHTLOG, "agent", "run"], env=env, stderr=subprocess.PIPE) as agent:
        wait_until(lambda: count(dsn) == 1, 60, "the first record to be stored")
        for data in (
            b"database:\n  dsn: host=/elsewhere\nagent: [\n",
            MALFORMED["UTF-16"],
            b"database: {dsn: [host=/elsewhere]}\n",
        ):
            put(config, data)
            wait_until(
                lambda: b"is not taken, what it said before holds" in agent.stderr.readline(), 60, "it to be told"
            )
            stored = count(dsn)
            one.say("log")
            wait_until(lambda: count(dsn) == stored + 1, 60, "the next one to be stored there as well")
        agent.terminate()
        agent.communicate(timeout=60)
    with subprocess.Popen([*FLIGHTLOG, "agent", "run"], env=env, stderr=subprocess.PIPE) as agent:
        one.say("log")
        wait_until(lambda: b"no database is known" in agent.stderr.readline(), 60, "the agent to say why it holds")
        assert not os.path.exists(os.path.join(home, "pg"))
        put(config, named)
        wait_until(lambda: count(dsn) == 5, 60, "what was held to be stored")
        agent.terminate()
        agent.communicate(timeout=60)
    one.end()
