"""The kill switch is found in every shape that the printed emergency line leaves behind."""

import json
import os
import shutil
import subprocess

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from flightlog import identity
from flightlog.config.settings import load
from flightlog.config.switch import FALSE, TRUE, enabled, file_enabled, find_config
from flightlog.errors import ConfigError

BEFORE = {
    "no text": "",
    "another block": "logging:\n  level: info\n",
    "no final newline": "logging:\n  level: info",
    "switched on": "monitoring:\n  enabled: true\n  interval: 3\n",
    "switched on, no final newline": "monitoring:\n  interval: 3\n  enabled: true",
    "flow style": "monitoring: {enabled: true, interval: 3}\n",
    "flow style, no final newline": "monitoring: {enabled: true}",
    "lines of Windows": "monitoring:\r\n  enabled: true\r\n",
    "lines of Windows, no final newline": "a: 1\r\nmonitoring:\r\n  enabled: true",
    "ends with a comment": "logging:\n  level: info  # or debug",
    "switched on again after it was off": "monitoring:\\n  enabled: false\nmonitoring:\n  enabled: true\n",
}
COMMAND = 'echo "monitoring:\\n  enabled: %s" >> config.yml'
# What the command appends, by shell: bash leaves backslash and n, the others write two lines.
APPENDS = {
    "bash": "monitoring:\\n  enabled: %s\n",
    "sh": "monitoring:\n  enabled: %s\n",
    "zsh": "monitoring:\n  enabled: %s\n",
}


def write(config, text):
    config.write_bytes(text.encode())


@pytest.mark.parametrize("shell", APPENDS)
@pytest.mark.parametrize("before", BEFORE)
def test_printed_line_switches_off_and_on_again(tmp_path, shell, before):
    """The 33 combinations of three shells and what may stand in the file; a shell that is not there is played."""
    config = tmp_path / "config.yml"
    text = BEFORE[before]
    write(config, text)
    assert file_enabled(str(config))
    for word, expected in (("false", False), ("true", True), ("false", False)):
        text += APPENDS[shell] % word
        if shutil.which(shell):
            subprocess.run([shell, "-c", COMMAND % word], cwd=tmp_path, check=True)
            if shell != "sh" or not os.path.realpath(shutil.which("sh")).endswith("bash"):
                assert config.read_bytes().decode() == text
        else:
            write(config, text)
        assert file_enabled(str(config)) is expected
        assert enabled(text) is expected


def test_there_are_33_combinations():
    assert len(BEFORE) * len(APPENDS) == 33


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("monitoring:\n  enabled: off\n", False),
        ("monitoring:\n  enabled: 'false'\n", False),
        ("monitoring:\n  interval: 3\n  enabled: no  # for now\n", False),
        ("monitoring:\n  rollout:\n    enabled: false\n", None),
        ("other:\n  enabled: false\n", None),
        ("monitoring:\n  enabled: false\nmonitoring:\n  enabled: true\n", True),
        ("# monitoring:\\n  enabled: false\n", None),
        ("monitoring: {interval: 2, enabled: false}\n", False),
        ("monitoring: {\n  interval: 2,\n  enabled: false\n}\n", False),
        ("monitoring: {\n  interval: 2\n}\nother:\n  enabled: false\n", None),
        ('"monitoring":\n  "enabled": false\n', False),
        ("'monitoring': {'enabled': false}\n", False),
        ("monitoring:\n\n  # why\n  interval: 1\n\n  enabled: FALSE\n", False),
        ("monitoring:\n  enabled: falsehood\n", None),
        ("monitoring_enabled: false\nmonitoring2:\n  enabled: false\n", None),
        ("  monitoring:\n    enabled: false\n", None),
        ("a:\n  monitoring:\n    interval: 2\n    enabled: false\n", None),
        ('# echo "monitoring:\\n  enabled: false" >> config.yml\n', None),
        ("# append 'monitoring:\\n  enabled: false'\n", None),
        ("gpu_monitoring:\n  enabled: false\n", None),
        ("a:\n  gpu_monitoring:\n    enabled: false\n", None),
        ("a:\n  monitoring:\n    enabled: false\n", None),
        ("a:\n  - bmonitoring:\n  enabled: false\n", False),
        ("a:monitoring:\n  enabled: false\n", False),
        ("#monitoring:\n  enabled: false\n", None),
        ("# see the wikimonitoring:\n  enabled: false\n", False),
        ("# see the wikimonitoring:\\n  enabled: false\n", False),
        ("monitoring:\n  enabled: true\nmonitoring:\n  interval: 2\n", True),
        ("monitoring:\n  enabled: 0\n", False),
        ("monitoring:\n  enabled: n\n", False),
        ("monitoring:\n  enabled: 1\n", True),
        ("monitoring:\n  enabled: 10\n", None),
        ("monitoring: false\n", False),
        ("monitoring: 'off'  # for now\nlogging:\n  level: info\n", False),
        ("monitoring: true\n", True),
        ("monitoring: falsehood\n", None),
        ('{"monitoring": {"enabled": false}}', False),
        ('{"monitoring": {"interval": {"s": 2}, "enabled": false}, "logging": {"file": {"enabled": true}}}', False),
        ('{"logging": {"enabled": false}, "monitoring": {"interval": 2}}', None),
        ('{\n  "monitoring": {\n    "enabled": false\n  }\n}\n', False),
        ('{"monitoring": false}', False),
        ('{"gpu_monitoring": false}', None),
        ('{"monitoring": {"enabled": true}}\nmonitoring:\n  enabled: false\n', False),
    ],
)
def test_what_counts(text, expected):
    assert enabled(text) is expected


def test_byte_order_mark_and_foreign_bytes_do_not_hide_it(tmp_path):
    config = tmp_path / "config.yml"
    for data in (
        b"\xef\xbb\xbfmonitoring:\n  x: 1\n  enabled: false\n",
        b"name: caf\xe9\nmonitoring: {enabled: off}\n",
    ):
        config.write_bytes(data)
        assert file_enabled(str(config)) is False


@given(st.text(max_size=400))
def test_garbage_never_raises(text):
    enabled(text)


def test_long_lines_do_not_matter():
    """A megabyte of printed lines glued to each other is read in one go, and the last one counts."""
    text = "monitoring:\\n  enabled: false\\n" * 30_000
    assert enabled(text) is False
    assert enabled(text + "monitoring:\\n  enabled: true") is True


@pytest.mark.parametrize(
    "text", ["monitoring:\n  enabled: %s\n", "monitoring: %s\n", '{"monitoring": {"enabled": %s}}']
)
@pytest.mark.parametrize("word", [*TRUE, *FALSE])
def test_the_settings_say_what_the_switch_says(tmp_path, text, word):
    for shown in (word, word.upper(), f'"{word}"'):
        config = tmp_path / "config.yml"
        config.write_text(text % shown)
        assert file_enabled(str(config)) is load(str(config)).monitoring.enabled is (word in TRUE)


@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path, kind):
    path = str(tmp_path / "it")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        path = os.devnull
    assert file_enabled(path)
    with pytest.raises(ConfigError, match="not a regular file"):
        load(path)


OFF_SPELLINGS = [
    '{"monitoring":{"enabled":false}}',
    '{"agent": {"batch_rows": 5}, "monitoring": {"file_logging": true, "enabled": false}}',
    '{"monitoring": {"enabled": true}, "monitoring": {"enabled": false}}',
    "{'monitoring': {'enabled': false}}",
    "{monitoring: {enabled: off}, other: [1, {enabled: true}]}",
    '{"note": "monitoring: {enabled: true}", "monitoring": {"enabled": false}}',
    '--- {"monitoring": {"enabled": false}}\n',
    '---\n{"monitoring": {"enabled": false}}\n',
    '# ours\n{"monitoring": {"enabled": false}}\n',
    "%YAML 1.1\n---\nmonitoring: {enabled: false}\n",
    "monitoring: {\n  file_logging: true,\n  enabled: false\n}\n",
    "monitoring:\n  {enabled: false}\n",
    "monitoring:\n  { file_logging: true,\n    enabled: false }\n",
    "monitoring:\n  enabled:\n    false\n",
    "monitoring:\n  enabled: |-\n    false\n",
    "monitoring: !!map\n  enabled: false\n",
    "monitoring: &m\n  enabled: false\n",
    "monitoring:\n  enabled: !!bool false\n",
    "monitoring:\n  enabled: &off false\n",
    "monitoring :\n  enabled : false\n",
    "monitoring:\n    # why\n    file_logging: true\n    enabled: false\n",
    "monitoring: {file_logging: true, enabled: 0}\nagent:\n  batch_rows: 5\n",
    "monitoring:\n  enabled: 00\n",
]
ON_SPELLINGS = [
    '{"monitoring": {}, "other": {"enabled": false}}',
    '{"other": {"monitoring": {"enabled": false}}}',
    '{"other": [{"monitoring": {"enabled": false}}]}',
    '{"note": "monitoring: false"}',
    '{"note": "\\"monitoring\\": false"}',
    '{"monitoring": {"enabled": true}} # {"monitoring": false}\n',
    "note: |\n  monitoring: false\n",
    "list:\n  - monitoring: false\n",
    "monitoring: {enabled: true} # enabled: false\n",
    "monitoring: # enabled: false\n  enabled: true\n",
    "monitoring: false\nmonitoring: true\n",
    "monitoring: false\nmonitoring:\n  enabled: true\n",
]


@pytest.mark.parametrize("text", [*OFF_SPELLINGS, *ON_SPELLINGS])
def test_both_readers_find_the_same(tmp_path, text):
    config = tmp_path / "config.yml"
    for data in (text, "\ufeff" + text, text.replace("\n", "\r\n")):
        config.write_bytes(data.encode())
        assert file_enabled(str(config)) is load(str(config)).monitoring.enabled is (text in ON_SPELLINGS)


@pytest.mark.parametrize("word", ["off-peak", "no thanks", "falsehood", "0.5", "10", "~", "", "[]"])
@pytest.mark.parametrize(
    "text", ["monitoring:\n  enabled: %s\n", '{"monitoring": {"enabled": "%s"}}', "monitoring: {enabled: %s}\n"]
)
def test_what_is_no_answer_is_wrong_for_both(tmp_path, text, word):
    config = tmp_path / "config.yml"
    config.write_text(text % word)
    assert enabled(text % word) is None
    with pytest.raises(ConfigError, match="enabled"):
        load(str(config))


names = st.sampled_from(["monitoring", "enabled", "other", "note", "list"])
scalars = st.sampled_from(
    [True, False, "monitoring: false", "enabled: false", '{"enabled": false}', "a # b", "'", 5, None]
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)


@given(
    st.dictionaries(names.filter(lambda name: name != "monitoring"), trees, max_size=3),
    st.dictionaries(st.sampled_from(["note", "other", "zeta"]), trees, max_size=2),
    st.booleans(),
    st.sampled_from(["block", "flow", "mixed", "json", "json lines"]),
    st.integers(1, 8),
)
def test_whatever_stands_around_it_and_however_it_is_written(before, beside, word, style, indent):
    """What PyYAML and json write; the keys in their order, ours in the middle."""
    value = {**before, "monitoring": {**beside, "enabled": word}, "after": {"enabled": not word, **before}}
    if style.startswith("json"):
        text = json.dumps(value, indent=indent if style == "json lines" else None)
    else:
        flow = {"block": False, "flow": True, "mixed": None}[style]
        text = yaml.safe_dump(value, default_flow_style=flow, indent=max(2, indent), sort_keys=False)
        assume("*id" not in text)  # PyYAML shares equal objects
    assert enabled(text) is word


def test_deep_braces_do_not_matter():
    """Much of what might be nested, closed or not."""
    for piece in (
        '{"monitoring": ',
        '{"monitoring": {"a": {}, ',
        "[{'",
        '{"',
        "monitoring: {",
        "{a: !!x &y ",
        "---\n{",
    ):
        enabled("{" + piece * (300_000 // len(piece)))
        enabled("monitoring:\n  " + piece * (300_000 // len(piece)))
        enabled((piece + "\n") * (300_000 // (len(piece) + 1)))


def test_a_file_in_braces_in_the_working_directory_is_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLIGHTLOG_CONFIG", raising=False)
    config = tmp_path / "config.yml"
    config.write_text('{"orders": 1, "monitoring": {"enabled": false}}')
    assert find_config() == str(config) and not file_enabled(str(config))
    config.write_text('{"orders": {"batch": 5}}')
    assert find_config() != str(config)


def test_what_only_yaml_understands_is_told(tmp_path):
    config = tmp_path / "config.yml"
    for text in ("x: &b false\nmonitoring:\n  enabled: *b\n", "monitoring:\n  ? enabled\n  : false\n"):
        config.write_text(text)
        assert file_enabled(str(config))
        (warning,) = load(str(config)).warnings
        assert "nobody obeys" in warning and "write `enabled: false` below `monitoring:`" in warning


def test_a_system_config_that_is_a_fifo_is_not_waited_for(tmp_path, monkeypatch):
    """It is read for the place of the spool that all users share."""
    os.mkfifo(tmp_path / "config.yml")
    monkeypatch.setattr(identity, "SYSTEM_CONFIG", str(tmp_path / "config.yml"))
    assert identity.shared_spool() == ""


def test_the_printed_line_makes_a_file_ours_wherever_it_was_appended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLIGHTLOG_CONFIG", raising=False)
    config = tmp_path / "config.yml"
    for shell in APPENDS:
        for before in ("orders:\n  batch: 5\n", "orders:\n  batch: 5", "orders: [\n  'open"):
            write(config, before)
            assert find_config() != str(config)
            write(config, before + APPENDS[shell] % "false")
            assert find_config() == str(config) and not file_enabled(str(config))
