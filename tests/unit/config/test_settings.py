"""Settings: right values, and wrong ones named with line and remedy."""

import pytest

from flightlog.config.quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount
from flightlog.config.reader import parse
from flightlog.config.settings import Settings, load, load_or_default
from flightlog.config.watch import Watch
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


def test_where_records_go(tmp_path):
    assert (Settings().to_database, Settings().to_files) == (True, False)
    for text, wanted in [
        ("logging:\n  file:\n    enabled: true\n", (True, True)),
        ("logging:\n  database:\n    enabled: false\n  file: {enabled: true}\n", (False, True)),
        ("logging:\n  database: {enabled: false}\n", (False, False)),
        ("monitoring:\n  database_logging: false\n  file_logging: true\n", (False, True)),
        ("logging:\n  database:\nmonitoring:\n  enabled: true\n", (True, False)),
    ]:
        found = load(given(tmp_path, text))
        assert (found.to_database, found.to_files) == wanted, text


def test_a_relative_directory_is_refused_and_a_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    found = load(given(tmp_path, "logging:\n  file:\n    directory: ~/logs/../logs/\n"))
    assert found.logging.file.directory == "/home/somebody/logs"
    for text, words in [
        ("logging:\n  file:\n    directory: logs\n", ":3: logging.file.directory = 'logs' is no absolute path"),
        ("logging:\n  file:\n    format: xml\n", ":3: logging.file.format = 'xml' is none of text, jsonl"),
        ("logging:\n  file: 5\n", ":2: logging.file = 5 is a section"),
        ("logging:\n  file:\n    totl: 5\n", ":3: logging.file.totl = 5 is no setting"),
        ("logging:\n  file:\n    total: 1MiB\n", "is not between"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(given(tmp_path, text))
        assert words in caught.value.message and caught.value.hint


def test_the_settings_follow_their_file_and_a_broken_one_changes_nothing(tmp_path):
    path = given(tmp_path, "logging:\n  file: {enabled: true}\n")
    watch = Watch(path)
    assert watch.look().to_files
    given(tmp_path, "logging:\n  file: {enabled: [\n")
    assert watch.look().to_files and watch.problem is not None
    given(tmp_path, "logging:\n  file: {enabled: nope}\n")
    assert watch.look().to_files and watch.problem is not None
    given(tmp_path, "logging:\n  file: {enabled: false}\n")
    assert not watch.look().to_files and watch.problem is None
    (tmp_path / "config.yml").unlink()
    assert watch.look() == Settings()
