"""The kill switch is found in every shape that the printed emergency line leaves behind."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.config.switch import enabled, file_enabled

BEFORE = [
    "",
    "logging:\n  level: info\n",
    "logging:\n  level: info",
    "monitoring:\n  enabled: true\n",
    "monitoring: {enabled: true}",
    "a: 1\r\n",
]


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("before", BEFORE)
def test_printed_line_switches_off(tmp_path, shell, before):
    config = tmp_path / "config.yml"
    config.write_text(before, newline="")
    line = 'echo "monitoring:\\n  enabled: false" >> config.yml'
    subprocess.run([shell, "-c", line], cwd=tmp_path, check=True)
    assert file_enabled(str(config)) is False


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
    ],
)
def test_what_counts(text, expected):
    assert enabled(text) is expected


@given(st.text(max_size=400))
def test_garbage_never_raises(text):
    enabled(text)
