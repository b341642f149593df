"""What holds and where it comes from; and that each key can be written as it is shown."""

import os

import pytest

from flightlog.config import effective, written
from flightlog.config.keys import KEYS
from flightlog.config.settings import Settings


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLIGHTLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(tmp_path / "config.yml"))


def held(tmp_path, text):
    (tmp_path / "config.yml").write_text(text)
    return {one.key: one for one in effective.values(effective.examine())}


def back(text):
    return {written.EMPTY: "", written.NONE: None}.get(text, text)


@pytest.mark.parametrize("key", KEYS)
def test_a_default_and_an_example_can_be_written_as_they_are_shown(key):
    import yaml

    known = KEYS[key]
    example = known.kind.check(yaml.safe_load(known.example))
    values = [example]
    if " of " not in effective.default(key):
        values.append(effective._of(Settings(), key))
    for value in values:
        text = back(known.kind.write(value))
        assert known.kind.check(yaml.safe_load(text) if text else text) == value, text


def test_where_each_value_comes_from(tmp_path, monkeypatch):
    text = "agent:\n  batch_rows: 5\nmonitoring:\n  enabled: true\ndatabase:\n  dsn: postgresql://bob:hunter2@db/x\nmonitoring:\\n  enabled: false\n"
    found = held(tmp_path, text)
    path = str(tmp_path / "config.yml")
    assert (found["agent.batch_rows"].value, found["agent.batch_rows"].source) == ("5", f"{path}:2")
    assert (found["agent.batch_bytes"].value, found["agent.batch_bytes"].source) == ("8MiB", "default")
    assert (found["monitoring.enabled"].value, found["monitoring.enabled"].source) == ("false", f"{path}:7")
    assert found["database.dsn"].source == f"{path}:6"
    monkeypatch.setenv("FLIGHTLOG_DSN", "host=h password=hunter2")
    again = held(tmp_path, text)
    assert again["database.dsn"].source == "FLIGHTLOG_DSN"
    for one in (*found.values(), *again.values()):
        assert "hunter2" not in one.value
    assert "bob" in found["database.dsn"].value and "host=h" in again["database.dsn"].value


def test_a_file_with_the_dsn_is_named(tmp_path):
    (tmp_path / "dsn").write_text("host=elsewhere\n")
    os.chmod(tmp_path / "dsn", 0o600)
    found = held(tmp_path, "database:\n  dsn_file: dsn\n")
    assert found["database.dsn"].value == "host=elsewhere"
    assert found["database.dsn"].source.startswith("database.dsn_file of ")


def test_of_a_file_that_is_not_taken_what_is_obeyed_is_shown(tmp_path):
    found = held(
        tmp_path,
        "monitoring:\n  enabled: false\n  rollout:\n    percent: 5\nagent:\n  batch_rows: many\ndatabase:\n  dsn: host=x\n",
    )
    assert found["monitoring.enabled"].value == "false" and found["monitoring.rollout.percent"].value == "5"
    assert found["database.dsn"].value == "not known" and found["agent.batch_rows"].source == "default"


def test_a_file_that_is_named_and_not_there_is_a_problem(tmp_path):
    found = effective.examine()
    assert "which is not there" in found.problems[0].message
    assert effective.examine("").problems == []
