"""The compiled settings: written from a valid file only, read by anybody, never a reason to fail."""

import json
import os
import stat
import subprocess
import sys

import pytest

from accounts import as_account, needs_root
from flightlog import identity, redact
from flightlog.config import compiled, compiling
from flightlog.errors import ConfigError

RULES = "logging:\n  redact:\n    keys: [customer]\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLIGHTLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "home"))
    yield
    redact.configure(None)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(RULES)
    return str(path)


def path_of(config):
    return compiled.path_for(identity.control_path(config))


def test_compiled_once_for_each_state_of_the_file(config):
    made = compiling.refresh(config)
    path = path_of(config)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert compiled.read(path)["settings"] == made
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert compiling.refresh(config) is None and compiled.is_current(path, config)
    with open(config, "a") as file:
        file.write("    allow: [tokenbudget]\n")
    assert not compiled.is_current(path, config)
    assert compiling.refresh(config)["logging"]["redact"]["allow"] == ["tokenbudget"]
    os.unlink(config)
    assert compiling.refresh(config)["logging"]["redact"]["keys"] == []
    assert compiling.refresh("") is None


def test_a_broken_file_takes_no_rule_away(config):
    compiling.refresh(config)
    with open(config, "a") as file:
        file.write("  oops\n")
    with pytest.raises(ConfigError):
        compiling.refresh(config)
    rules = compiling.Rules(config)
    assert "config.yml:" in rules.look()
    assert rules.look() == ""  # said once
    assert redact.fields({"customer": "x"}) == {"customer": redact.MASK}


def test_where_nothing_can_be_written_the_rules_hold_for_this_process(config, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path / "file" / "home"))
    assert "reach no other process" in compiling.Rules(config).look()
    assert redact.is_secret_key("customer")


def test_a_process_takes_changes_at_its_next_look(config):
    mine = compiled.Compiled()
    path = path_of(config)
    assert mine.look(path) is False  # nothing there: the defaults hold, nobody needs to forget anything
    compiling.refresh(config)
    assert mine.look(path) is True and redact.is_secret_key("customer")
    assert mine.look(path) is False
    os.unlink(path)
    assert mine.look(path) is True and not redact.is_secret_key("customer")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"v":2,"settings":{}}',
        b'{"v":1,"settings":5}',
        b'{"v":1,"settings":{"logging":7}}',
        b'{"v":1,"settings":{"logging":{"redact":[]}}}',
        b'{"v":1,"settings":{"logging":{"redact":{"patterns":[{"pattern":"["}],"keys":7}}}}',
        b'{"v":1,"settings":{"x":' + b"[" * 100_000,
        b" " * (compiled.MAX_BYTES + 1),
    ],
)
def test_a_broken_compiled_file_is_the_defaults(config, content):
    compiling.refresh(config)
    path = path_of(config)
    mine = compiled.Compiled()
    mine.look(path)
    with open(path, "wb") as file:
        file.write(content)
    mine.look(path)
    assert redact.text("password=x") == f"password={redact.MASK}" and not redact.is_secret_key("customer")
    assert path in mine.problem and "do not hold" in mine.problem
    assert compiling.refresh(config) is not None  # made anew
    assert mine.look(path) and redact.is_secret_key("customer") and mine.problem == ""


@pytest.mark.parametrize(
    "content", [b"{", b'{"v":2,"settings":{}}', b'{"v":1,"settings":{"logging":{"redact":{"keys":5}}}}']
)
def test_whoever_begins_with_a_broken_file_knows(config, content):
    compiling.refresh(config)
    path = path_of(config)
    with open(path, "wb") as file:
        file.write(content)
    mine = compiled.Compiled()
    mine.look(path)
    assert path in mine.problem and "hold" in mine.problem
    assert compiling.Rules(config).look() == ""  # makes it anew
    mine.look(path)
    assert mine.problem == ""


def test_a_pattern_that_this_python_does_not_know_is_told(config):
    path = path_of(config)
    rules = {"patterns": [{"pattern": "acct-[0-9]+", "literal": "acct-"}, {"pattern": "(?Z)", "literal": "z"}]}
    compiled.write(path, compiled.state_of(config), {"logging": {"redact": rules}})
    mine = compiled.Compiled()
    assert mine.look(path) and redact.text("acct-5") == redact.MASK
    assert "pattern-2: " in mine.problem


@needs_root
def test_what_cannot_be_read_any_more_takes_no_rule_away(config, tmp_path):
    """A daemon that has given up being root."""
    compiling.refresh(config)
    path = path_of(config)
    mine = compiled.Compiled()
    mine.look(path)
    os.utime(path)

    def later():
        mine.look(path)
        return redact.is_secret_key("customer"), mine.problem

    for parent in [tmp_path, *list(tmp_path.parents)[:2]]:
        parent.chmod(0o755)
    for mode in (0o700, 0o755):
        os.chmod(tmp_path / "home", mode)
        os.chmod(os.path.dirname(path), mode)
        held, problem = as_account("nobody", later)
        assert held and "Permission denied" in problem and "those of before do" in problem


def test_what_nobody_compiled_is_told(config):
    path = path_of(config)
    assert "has not been taken" in compiled.unheeded(path, config)
    compiling.refresh(config)
    assert compiled.unheeded(path, config) == ""
    with open(config, "a") as file:
        file.write("    oops: 5\n")
    assert "the rules of before hold" in compiled.unheeded(path, config)
    with open(config, "w") as file:
        file.write("agent: {oops: 5}\n")
    assert compiled.unheeded(path, config) == "" and compiled.unheeded(path, "") == ""


def test_settings_that_find_no_room_replace_nothing(config):
    compiling.refresh(config)
    before = compiled.read(path_of(config))
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
    code += "from flightlog.config import compiled\n"
    code += f"compiled.write({path_of(config)!r}, compiled.state_of({config!r}), {{'logging': {{}}}})\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert b"OSError" in done.stderr and compiled.read(path_of(config)) == before


def test_no_link_is_followed_and_no_pipe_waited_for(config, tmp_path):
    path = path_of(config)
    os.makedirs(os.path.dirname(path))
    os.mkfifo(path)
    assert compiled.read(path) is None
    os.unlink(path)
    (tmp_path / "other").write_text(json.dumps({"v": 1, "settings": {}}))
    os.symlink(tmp_path / "other", path)
    assert compiled.read(path) is None
    compiling.refresh(config)
    assert compiled.read(path) is not None and (tmp_path / "other").read_text().startswith('{"v": 1, "settings": {}}')
