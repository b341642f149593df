"""The kill switch is found in every shape that the printed emergency line leaves behind."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.config.settings import load
from flightlog.config.switch import FALSE, TRUE, enabled, file_enabled
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
