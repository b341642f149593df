"""`flightlog config` and `flightlog rollout` as a user types them."""

import json
import os
import re
import subprocess
import sys

import pytest

from acceptance import running
from flightlog.config.keys import KEYS
from unit.query.command import Command
from unit.query.recorded import Recorded

PAGES = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "reference", "cli")


@pytest.fixture
def flightlog(tmp_path):
    env = running.environment(tmp_path / "home", FLIGHTLOG_CONFIG=str(tmp_path / "config.yml"))

    def call(*arguments, config=None, **more):
        if config is not None:
            (tmp_path / "config.yml").write_text(config)
        command = [sys.executable, "-m", "flightlog", *arguments]
        done = subprocess.run(command, env={**env, **more}, cwd=tmp_path, capture_output=True, timeout=60)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    yield call
    assert not (tmp_path / "home").exists()  # looking makes nothing


def fields(name):
    """The names in the tables of fields of a page."""
    with open(os.path.join(PAGES, name + ".md"), encoding="utf-8") as file:
        text = file.read().partition("## JSON")[2]
    return {
        word for row in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M) for word in re.findall(r"`(\w+)`", row)
    }


def test_check_names_all_that_is_wrong_and_exits_1(flightlog, tmp_path):
    text = "agent:\n  bach_rows: 5\n  batch_rows: many\nloging:\n  level: info\n"
    code, out, err = flightlog("config", "check", config=text)
    path = tmp_path / "config.yml"
    assert (code, err) == (1, "")
    assert out == (
        f"{path}:2: agent.bach_rows = 5 is no setting\n    Try: did you mean agent.batch_rows?\n"
        f"{path}:3: agent.batch_rows = 'many' is no whole number\n"
        "    Try: write a whole number (1 to 1000000), for instance batch_rows: 5000\n"
        f"warning: {path}:4: loging is no block of flightlog's: it is left alone\n    Try: did you mean logging?\n"
        f"{path}: 2 problems, 1 warning: it is not taken\n"
    )  # fmt: skip
    code, out, _ = flightlog("config", "check", "-o", "json")
    data = json.loads(out)
    assert code == 1 and data["valid"] is False and data["file"] == str(path)
    assert data["problems"][1] == {
        "line": 3,
        "key": "agent.batch_rows",
        "value": "'many'",
        "reason": "is no whole number",
        "remedy": "write a whole number (1 to 1000000), for instance batch_rows: 5000",
    }
    assert set(data) <= fields("config")


def test_check_of_a_valid_file(flightlog, tmp_path):
    text = "agent:\n  batch_rows: 5\n  batch_rows: 6\n"
    code, out, _ = flightlog("config", "check", config=text)
    assert code == 0 and out.endswith("config.yml: valid, 1 key set, 1 warning\n") and "stands in line 2 already" in out
    assert flightlog("config", "check", "--strict")[0] == 1
    (tmp_path / "other.yml").write_text("agent: [\n")
    code, out, _ = flightlog("config", "check", "other.yml")
    assert code == 1 and "other.yml:2: " in out
    assert flightlog("config", "check", "missing.yml")[0] == 4


def test_show_and_explain(flightlog, tmp_path):
    text = "agent:\n  batch_rows: 5\nmonitoring:\n  rollout:\n    percent: 25\n"
    path = f"{tmp_path}/config.yml"
    dsn = "postgresql://bob:hunter2@db/orders"
    code, out, _ = flightlog("config", "show", "--set", config=text, FLIGHTLOG_DSN=dsn)
    assert code == 0 and "hunter2" not in out
    assert [line.split() for line in out.splitlines()] == [
        ["KEY", "VALUE", "FROM"],
        ["database.dsn", "postgresql://bob:[redacted]@db/orders", "FLIGHTLOG_DSN"],
        ["monitoring.rollout.percent", "25", f"{path}:5"],
        ["agent.batch_rows", "5", f"{path}:2"],
    ]
    data = json.loads(flightlog("config", "show", "-o", "json")[1])
    assert [one["key"] for one in data["settings"]] == list(KEYS) and set(data) <= fields("config")
    assert {"key": "agent.batch_rows", "value": "5", "source": f"{path}:2", "default": "20000"} in data["settings"]
    code, out, _ = flightlog("config", "explain", "batch_rows")
    assert code == 0 and f"now        5 (from {path}:2)" in out and "bounds     1 to 1000000" in out
    assert len(flightlog("config", "explain", "logging.file")[1].splitlines()) == 9
    (one,) = json.loads(flightlog("config", "explain", "agent.batch_rows", "-o", "json")[1])["keys"]
    assert set(one) <= fields("config") and one["taken_over"] == "agent restart" and one["value"] == "5"
    code, _, err = flightlog("config", "explain", "agent.bach_rows")
    assert code == 4 and "flightlog config explain agent.batch_rows" in err


def test_a_file_that_is_not_taken_is_said_to_be_so(flightlog):
    code, out, err = flightlog("config", "show", "--set", config="monitoring:\n  enabled: false\nagent: [\n")
    assert code == 0 and "1 problem and is not taken" in err and "flightlog config check" in err
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["monitoring.enabled", "false"]]


def test_rollout_explain_and_status(flightlog, tmp_path):
    text = "monitoring:\n  rollout:\n    percent: 60\n    include: ['*-nightly']\n    exclude: [ledger-*]\ndatabase:\n  dsn: host=/nowhere\n"
    found = {}
    for name in ("orders", "ledger-close"):
        code, out, _ = flightlog("rollout", "explain", name, "-o", "json", config=text)
        found[name] = json.loads(out)
        assert code == 0 and set(found[name]) <= fields("rollout")
    assert (found["orders"]["monitored"], found["orders"]["by"], found["orders"]["bucket"]) == (True, "percent", 59.11)
    assert found["ledger-close"]["by"] == "exclude" and found["ledger-close"]["pattern"] == "ledger-*"
    out = flightlog("rollout", "explain", "orders")[1]
    assert "orders is monitored: its bucket 59.11 is below 60 percent\n" in out and "from 59.12 percent on" in out
    code, out, err = flightlog("rollout", "status")
    assert code == 0 and "exclude     ledger-*\n" in out and "not shown" in err
    with open(tmp_path / "config.yml", "a") as file:
        file.write("monitoring:\\n  enabled: false\n")
    out = flightlog("rollout", "explain", "orders")[1]
    assert out.startswith("orders is not monitored: monitoring is switched off")


def test_rollout_status_lists_what_the_store_knows(dsn, home, tmp_path):
    recorded = Recorded(dsn, home)
    for name in ("orders", "ledger-close", "orders"):
        recorded.run(name)
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  rollout:\n    percent: 60\n    exclude: [ledger-*]\n")
    flightlog = Command(dsn, os.path.join(home, "reader"), FLIGHTLOG_CONFIG=str(config))
    out, _ = flightlog("rollout", "status")
    assert "1 of 2 that the store knows are monitored" in out
    rows = [line.split()[:2] for line in out.split("\n\n")[1].splitlines()[1:]]
    assert rows == [["ledger-close", "no"], ["orders", "yes"]]
    data = json.loads(flightlog("rollout", "status", "-o", "json")[0])
    assert [one["monitored"] for one in data["pipelines"]] == [False, True]
    assert set(data) | set(data["pipelines"][0]) == fields("rollout")
