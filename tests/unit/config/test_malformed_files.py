"""Whatever a config file holds: what comes is settings or words about what is wrong, soon, and never another database."""

import os

import pytest

from flightlog import identity, redact
from flightlog.config import compiled, compiling, effective, settings
from flightlog.config.control import DISABLED, STATE, ControlReader
from flightlog.config.keys import KEYS
from flightlog.config.watch import Watch
from flightlog.errors import ConfigError
from unit.config.malformed import MALFORMED, put

NAMED = b"database:\n  dsn: host=named\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLIGHTLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield
    redact.configure(None)


@pytest.fixture
def config(tmp_path):
    return str(tmp_path / "config.yml")


@pytest.mark.parametrize("name", MALFORMED)
def test_it_is_told_and_changes_nothing(config, name):
    good = (
        NAMED
        + b"agent:\n  batch_rows: 77\nlogging:\n  redact:\n    keys: [customer]\nmonitoring:\n  rollout:\n    percent: 30\n"
    )
    put(config, good)
    watch, rules = Watch(config), compiling.Rules(config)
    assert rules.look() == ""
    before = watch.look()
    put(config, MALFORMED[name])
    found = settings.examine(config)
    assert found.problems and all(one.reason and one.remedy and len(one.message) < 1000 for one in found.problems)
    with pytest.raises(ConfigError) as caught:
        settings.load(config)
    assert config in caught.value.message and caught.value.hint
    assert watch.look() == before and watch.problem is not None
    assert rules.look() and redact.is_secret_key("customer")
    assert {one.key for one in effective.values(found)} == set(KEYS)
    assert compiled.read(compiled.path_for(identity.control_path(config)))["settings"]["metrics"] == {"interval": 5.0}
    assert not os.path.exists("pwned")


@pytest.mark.parametrize("name", MALFORMED)
def test_where_a_database_was_named_none_is_taken(config, name):
    for data in (NAMED + MALFORMED[name], MALFORMED[name] + b"\n" + NAMED):
        put(config, data)
        chosen, problem = settings.load_or_default(config)
        if problem is not None:
            assert chosen.database.dsn == "" and chosen.database.problem
        else:
            assert chosen.database.dsn == "host=named"


@pytest.mark.parametrize("name", MALFORMED)
def test_a_pipeline_goes_on_being_recorded(config, name):
    put(config, MALFORMED[name])
    reader = ControlReader(identity.control_path(config), config, "", "orders")
    reader.look()
    unclear = name == "wrong everywhere"  # its rollout: nobody is in
    assert bool(reader.page[STATE] & DISABLED) is unclear


def test_what_stands_in_blocks_of_others_is_theirs(config):
    text = "orders: {when: 2024-99-99, what: !orders 5, self: &s [*s]}\nunknown: &u {u: *u}\nagent:\n  batch_rows: 5\n"
    put(config, text.encode())
    assert settings.load(config).agent.batch_rows == 5


@pytest.mark.parametrize(
    ("text", "line", "words", "remedy"),
    [
        ("agent:\n\tbatch_rows: 5\n", 2, "cannot start any token", "indent with blanks"),
        ("a: 1\nagent:\n  batch_rows: 'five\nspool:\n  keep: 1h\n", 6, "that begins in line 3", "quotes"),
        ("monitoring:\n  rollout:\n    include: [*-x]\n", 3, "", "put quotes around a text that begins with a star"),
        ("agent:\n    a: 5\n  b: 6\n", 3, "", "indentation"),
    ],
)
def test_yaml_that_is_none_is_named_by_line_and_remedy(config, text, line, words, remedy):
    put(config, text.encode())
    (one,) = settings.examine(config).problems
    assert one.line == line and words in one.message and f"config.yml:{line}: " in one.message and remedy in one.remedy


def test_all_that_is_wrong_is_named_in_one_go(config):
    text = """agent:
  bach_rows: 5
  batch_rows: 0
  flush_interval: 5 minutes
  idle_exit: 1h
  idle_exit: 2h
logging:
  file: 5
  on_full: wait
  redact:
    keys:
      - ok_name
      - 5
loging:
  level: info
spool:
  quota: 5 MB/s
  percent: 25
monitoring:
  enabled: perhaps
  rollout: {percent: 250}
"""
    put(config, text.encode())
    found = settings.examine(config)
    told = {(one.line, one.key): (one.value, one.reason, one.remedy) for one in found.problems}
    assert list(told) == [
        (2, "agent.bach_rows"),
        (3, "agent.batch_rows"),
        (4, "agent.flush_interval"),
        (8, "logging.file"),
        (9, "logging.on_full"),
        (13, "logging.redact.keys"),
        (17, "spool.quota"),
        (18, "spool.percent"),
        (20, "monitoring.enabled"),
        (21, "monitoring.rollout.percent"),
    ]
    assert told[2, "agent.bach_rows"][2] == "did you mean agent.batch_rows?"
    assert told[3, "agent.batch_rows"] == (
        "0",
        "is not between 1 and 1000000",
        "write a whole number (1 to 1000000), for instance batch_rows: 5000",
    )
    assert "the units are ms, s, m, h, d" in told[4, "agent.flush_interval"][1]
    assert told[18, "spool.percent"][2] == "did you mean monitoring.rollout.percent?"
    assert [(one.line, one.key) for one in found.warnings] == [(14, "loging"), (6, "agent.idle_exit")]
    assert found.settings.agent.idle_exit == 7200.0
    with pytest.raises(ConfigError) as caught:
        settings.load(config)
    assert "9 more: flightlog config check" in caught.value.hint
