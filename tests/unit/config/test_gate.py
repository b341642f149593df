"""Which rollout holds for a process: what an agent has handed on, else what the file says, else what was understood before."""

import os

import pytest

from flightlog import identity, redact
from flightlog.config import compiled, compiling, gate
from flightlog.config.control import DISABLED, STATE, ControlPage, ControlReader
from flightlog.config.gate import Gate, is_monitored
from flightlog.config.rollout import EVERYBODY, UNCLEAR
from flightlog.errors import ConfigError
from unit.config.malformed import put

PLAIN = "monitoring:\n  rollout:\n    percent: %s\n"
ALIASED = "x: &p 7\nmonitoring:\n  rollout:\n    percent: *p\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLIGHTLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "home"))
    yield
    redact.configure(None)


@pytest.fixture
def config(tmp_path):
    return str(tmp_path / "config.yml")


def write(config, text):
    put(config, text.encode())


def gate_of(config):
    return Gate(compiled.path_for(identity.control_path(config)), config)


def test_without_an_agent_the_text_counts_and_then_what_was_understood(config):
    one = gate_of(config)
    found = []
    for text in ("", PLAIN % 5, PLAIN % "lots", ALIASED, PLAIN % 100, "agent: 5\n"):
        write(config, text)
        one.look()
        found.append((one.rollout, one.source))
    assert [rules.percent for rules, _ in found] == [100.0, 5.0, 0.0, 0.0, 100.0, 100.0]
    assert found[2] == found[3] == (UNCLEAR, gate.SCANNED) and found[5] == (EVERYBODY, gate.NOTHING)
    write(config, ALIASED)
    compiling.refresh(config)
    one.look()
    assert (one.rollout.percent, one.source) == (7.0, gate.COMPILED)
    write(config, PLAIN % "lots")
    one.look()
    assert (one.rollout.percent, one.source) == (7.0, gate.BEFORE)
    os.unlink(config)
    one.look()
    assert one.rollout == EVERYBODY


def test_an_agent_hands_on_what_a_broken_file_says_as_far_as_it_is_plain(config):
    """And nothing else of it: the other settings stay, and the file is looked at again."""
    write(config, PLAIN % 5 + "logging:\n  redact:\n    keys: [customer]\n")
    compiling.refresh(config)
    one = gate_of(config)
    one.look(owned=True)
    assert one.rollout.percent == 5.0
    for text, percent in ((PLAIN % 9 + "agent: [\n", 9.0), (PLAIN % "lots", 9.0), ("agent: [\n", 100.0)):
        write(config, text)
        with pytest.raises(ConfigError):
            compiling.refresh(config)
        one.look(owned=True)
        assert (one.rollout.percent, one.source) == (percent, gate.COMPILED)
        found = compiled.read(compiled.path_for(identity.control_path(config)))
        assert found["settings"]["logging"]["redact"]["keys"] == ["customer"]
        assert not compiled.is_current(compiled.path_for(identity.control_path(config)), config)


def test_a_broken_file_that_was_never_whole(config):
    write(config, PLAIN % "lots")
    with pytest.raises(ConfigError):
        compiling.refresh(config)
    assert not os.path.exists(identity.home())
    write(config, PLAIN % 0 + "agent: [\n")
    with pytest.raises(ConfigError):
        compiling.refresh(config)
    one = gate_of(config)
    one.look(owned=True)
    assert (one.rollout.percent, one.source) == (0.0, gate.COMPILED)
    mine = compiled.Compiled()
    mine.look(compiled.path_for(identity.control_path(config)))
    assert not mine.loaded  # it says nothing of redaction


def test_the_page_of_who_is_not_in_says_disabled_whatever_its_owner_says(config):
    write(config, PLAIN % 0)
    compiling.refresh(config)
    path = identity.control_path(config)
    page = ControlPage(path)
    page.set_state(2)
    readers = [ControlReader(path, config, "", name) for name in ("orders", "")]
    for reader in readers:
        reader.look()
    assert [bool(reader.page[STATE] & DISABLED) for reader in readers] == [True, False]
    assert (readers[0].pressure, readers[1].pressure) == (0, 2)
    write(config, PLAIN % 0 + "    include: [orders]\n")
    readers[0].look()
    assert readers[0].page[STATE] & DISABLED  # somebody beats: the file is his to read
    compiling.refresh(config)
    readers[0].look()
    assert readers[0].page[STATE] == 2
    readers[0].pipeline = "else"
    readers[0].look()
    assert readers[0].page[STATE] & DISABLED


def test_who_begins_is_told_in_one_word(config):
    for text, expected in (
        ("", True),
        (PLAIN % 0, False),
        (PLAIN % 0 + "    include: [or*]\n", True),
        (PLAIN % 100 + "  enabled: false\n", False),
    ):
        write(config, text)
        assert is_monitored(config, "orders") is expected
    assert is_monitored("", "orders")
