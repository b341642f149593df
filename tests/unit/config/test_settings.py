"""Settings: right values, and wrong ones named with line and remedy."""

import pytest

from flightlog.config.quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount
from flightlog.config.reader import parse
from flightlog.config.settings import Settings, load, load_or_default
from flightlog.errors import ConfigError


@pytest.fixture(autouse=True)
def no_dsn(monkeypatch):
    monkeypatch.delenv("FLIGHTLOG_DSN", raising=False)


def given(tmp_path, text):
    path = tmp_path / "config.yml"
    path.write_text(text)
    return str(path)


def test_nothing_said_means_defaults(tmp_path):
    assert load(given(tmp_path, "")) == load(str(tmp_path / "missing.yml")) == load("") == Settings()


def test_units(tmp_path):
    path = given(
        tmp_path, "agent:\n  batch_bytes: 1MiB\n  flush_interval: 250ms\n  idle_exit: 10m\nspool:\n  quota: 3 GB\n"
    )
    found = load(path)
    assert (found.agent.batch_bytes, found.agent.flush_interval, found.agent.idle_exit) == (1 << 20, 0.25, 600.0)
    assert found.spool.quota == Amount(3 * 10**9, 0.0)


@pytest.mark.parametrize(
    "text, quota, keep, block",
    [
        ("spool:\n  quota: 1MB\n  keep_free: 0\nlogging:\n  on_full: shed\n", Amount(10**6, 0.0), Amount(0, 0.0), 0.0),
        (
            "spool:\n  quota: 12.5%\n  keep_free: 5 %\nlogging:\n  on_full: block\n",
            Amount(0, 0.125),
            Amount(0, 0.05),
            5.0,
        ),
        ("logging:\n  on_full: block(250ms)\n", DEFAULT_QUOTA, DEFAULT_KEEP_FREE, 0.25),
    ],
)
def test_room(tmp_path, text, quota, keep, block):
    found = load(given(tmp_path, text))
    assert (found.spool.quota, found.spool.keep_free, found.logging.on_full) == (quota, keep, block)


def test_the_environment_stands_above_the_file(tmp_path, monkeypatch):
    path = given(tmp_path, "database:\n  dsn: host=file\n")
    assert load(path).database.dsn == "host=file"
    monkeypatch.setenv("FLIGHTLOG_DSN", "host=environment")
    assert load(path).database.dsn == "host=environment"


@pytest.mark.parametrize(
    "text, words",
    [
        ("agent:\n  batch_rows: many\n", ["config.yml:2", "agent.batch_rows", "'many'", "whole number"]),
        ("agent:\n  batch_rows: 0\n", [":2", "not between 1 and"]),
        ("agent:\n  bach_rows: 5\n", [":2", "agent.bach_rows", "no setting"]),
        ("\nspool:\n  quota: lots\n", [":3", "a size such as"]),
        ("spool:\n  quota: 120%\n", [":2", "not between 0 and 100"]),
        ("spool:\n  quota: 1kB\n", [":2", "spool.quota", "not between"]),
        ("logging:\n  on_full: wait\n", [":2", "neither shed nor block"]),
        ("logging:\n  on_full: block(2h)\n", [":2", "not between"]),
        ("monitoring:\n  enabled: 7\n", [":2", "neither true nor false"]),
        ("logging:\n  level: LOUD\n", [":2", "none of TRACE"]),
        ("agent: 5\n", [":1", "is a section"]),
        ("agent:\n  - a\n b: c\n", ["config.yml:3"]),
        ("- a\n", [":1", "sections"]),
    ],
)
def test_wrong_values_are_named(tmp_path, text, words):
    path = given(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert load_or_default(path)[0] == Settings() and load_or_default(path)[1] is not None


def test_a_near_name_is_offered(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(given(tmp_path, "agent:\n  bach_rows: 5\n"))
    assert "agent.batch_rows" in caught.value.hint


def test_a_dsn_is_not_repeated_in_an_error(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(given(tmp_path, "database:\n  dsn: [host=x password=secret]\n"))
    assert "secret" not in caught.value.message


def test_other_programs_sections_are_left_alone(tmp_path):
    assert load(given(tmp_path, "orders:\n  batch: 5\nlogging:\n  level: info\n")).logging.level == "INFO"


def test_two_blocks_merge_and_the_later_wins(tmp_path):
    text = "monitoring:\n  enabled: true\n  file_logging: true\nmonitoring:\n  enabled: false\n"
    found = load(given(tmp_path, text)).monitoring
    assert (found.enabled, found.file_logging) == (False, True)


@pytest.mark.parametrize("before", ["", "agent:\n  batch_rows: 5\n", "agent:\n  batch_rows: 5"])
def test_the_line_as_bash_leaves_it_does_not_break_the_rest(tmp_path, before):
    found = load(given(tmp_path, before + "monitoring:\\n  enabled: false\n"))
    assert not found.monitoring.enabled
    assert found.agent.batch_rows == (5 if before else 20_000)


def test_lines_are_those_of_the_file():
    assert parse("a:\n  b: 1\n\n  c: 2\n")["a.c"].line == 4
