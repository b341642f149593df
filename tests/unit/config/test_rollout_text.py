"""The scan of raw text finds the rollout that YAML finds, or says that it does not understand: never another one."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flightlog.config.rollout import EVERYBODY, UNCLEAR, Rollout
from flightlog.config.rollout_text import find
from flightlog.config.settings import examine


def by_yaml(tmp_path, text):
    path = tmp_path / "config.yml"
    path.write_bytes(text.encode())
    found = examine(str(path))
    return None if found.problems else found.settings.monitoring.rollout.rules


UNDERSTOOD = [
    ("monitoring:\n  rollout:\n    percent: 25\n", Rollout(25.0, (), (), True)),
    ("monitoring:\n  enabled: true\n  rollout:\n    percent: 12.5%  # this week\n", Rollout(12.5, (), (), True)),
    ("monitoring:\n  rollout:\n    percent: '50'\n    include: [a, 'b c', \"d\"]\n", Rollout(50.0, ("a", "b c", "d"), (), True)),
    ("monitoring:\n  rollout:\n    exclude:\n    - a\n    # why\n    - 'b#c'\n\n    - team/x  # no\n", Rollout(100.0, (), ("a", "b#c", "team/x"), True)),
    ("monitoring:\n  rollout:\n    exclude:\n        - a-[0-9]\n    include: []\n", Rollout(100.0, (), ("a-[0-9]",), True)),
    ("monitoring: {rollout: {percent: 5, include: [a, b]}}\n", Rollout(5.0, ("a", "b"), (), True)),
    ("monitoring:\n  rollout: {percent: 5,\n    include: [a,\n      b], exclude: [\"*-x\"]}\n  enabled: true\n", Rollout(5.0, ("a", "b"), ("*-x",), True)),
    ('{"monitoring": {"enabled": true, "rollout": {"percent": 25.0, "include": ["a", "b:c"]}}, "x": 1}', Rollout(25.0, ("a", "b:c"), (), True)),
    ("other:\n  rollout:\n    percent: 3\nmonitoring:\n  rollout:\n    percent: 4\nlogging:\n  level: info\n", Rollout(4.0, (), (), True)),
    ("monitoring:\n  rollout:\n    percent: 4\n    include: [a]\nmonitoring:\n  rollout:\n    percent: 8\n", Rollout(8.0, ("a",), (), True)),
    ("monitoring:\r\n  rollout:\r\n    percent: 7\r\n    include:\r\n    - a\r\n", Rollout(7.0, ("a",), (), True)),
    ("monitoring:\n  rollout:\n    include:\n      - a\nmonitoring:\\n  enabled: false\n", Rollout(100.0, ("a",), (), True)),
    ("monitoring:\n  rollout:\n", EVERYBODY),
    ("monitoring:\n  rollout:\n    percent: 100\n", EVERYBODY),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), UNDERSTOOD)
def test_what_is_understood(tmp_path, text, expected):
    assert find(text) == find("\ufeff" + text) == by_yaml(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "monitoring:\n  rollout: 25\n",
        "monitoring:\n  rollout:\n    percent: many\n",
        "monitoring:\n  rollout:\n    percent: 101\n",
        "monitoring:\n  rollout:\n    percent: -1\n",
        "monitoring:\n  rollout:\n    percnt: 25\n",
        "monitoring:\n  rollout:\n    percent: 25\n    include: orders\n",
        "monitoring:\n  rollout:\n    include: [5]\n",
        "monitoring:\n  rollout:\n    include: [true]\n",
        "monitoring:\n  rollout:\n    include: [a, [b]]\n",
        "monitoring:\n  rollout:\n    include:\n      a: b\n",
        "monitoring:\n  rollout:\n    include: [a\n    percent: 5\n",
        "monitoring:\n  rollout: [25]\n",
        "monitoring: {rollout: 25}\n",
        "monitoring: {rollout: {percent: 25, include: a}}\n",
        '{"monitoring": {"rollout": {"percent": 25, "whom": []}}}',
    ],
)
def test_what_is_wrong_is_wrong_for_both(tmp_path, text):
    assert find(text) == UNCLEAR and by_yaml(tmp_path, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "x: &r {percent: 5}\nmonitoring:\n  rollout: *r\n",
        "monitoring:\n  rollout:\n    percent: 010\n",
        "x: &p 5\nmonitoring:\n  rollout:\n    percent: *p\n",
        'monitoring:\n  rollout:\n    include: ["\\u0061"]\n',
        "monitoring:\n  rollout:\n    include: ['it''s']\n",
        "m: &m\n  rollout: {percent: 5}\nmonitoring: *m\n",
    ],
)
def test_what_only_yaml_understands_is_not_guessed(tmp_path, text):
    assert find(text) == UNCLEAR and by_yaml(tmp_path, text) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("monitoring:\n  rollout:\n    percent: 5\nagent: [\n", Rollout(5.0, (), (), True)),
        ("agent:\n\tx: 1\nmonitoring:\n  rollout:\n    percent: 5\n", Rollout(5.0, (), (), True)),
        ("monitoring:\n  rollout:\n    include: [*-x]\n", Rollout(100.0, ("*-x",), (), True)),
        ("monitoring:\n  rollout:\n    include:\n      - *daily\n", Rollout(100.0, ("*daily",), (), True)),
        ("monitoring:\n  rollout:\n    percent: 5monitoring:\n  enabled: false\n", Rollout(5.0, (), (), True)),
    ],
)
def test_what_yaml_refuses_is_understood_where_the_block_itself_is_plain(tmp_path, text, expected):
    assert find(text) == expected and by_yaml(tmp_path, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# monitoring:\n#   rollout:\n#     percent: 5\n",
        "rollout:\n  percent: 5\n",
        "monitoring:\n  note: rollout\n",
        "note: |\n  monitoring:\n    rollout:\n      percent: 5\n",
        "monitoring:\n  x:\n    rollout:\n      percent: 5\n",
        '{"x": {"monitoring": {"rollout": {"percent": 5}}}}',
        "monitoring_x:\n  rollout:\n    percent: 5\n",
    ],
)
def test_where_nothing_is_said(text):
    assert find(text) in (None, EVERYBODY)


@given(st.text(max_size=200), st.text(alphabet=" \n:-[]{},'\"#*&%?!~|>\\abr019", max_size=80))
def test_garbage_never_raises(before, inside):
    find(before + "monitoring:\n  rollout:\n    " + inside)
    find("monitoring: {rollout: {" + inside)
    find(before + "rollout" + inside)


def test_much_takes_no_time():
    for piece in (
        "monitoring:\n  rollout:\n",
        "monitoring: {rollout: {",
        "    - a\n",
        "[",
        "'",
        "rollout: {include: [a,",
    ):
        find("monitoring:\n  rollout:\n    include:\n" + piece * (300_000 // len(piece)))
        find("monitoring: {rollout: {include: [" + piece * (300_000 // len(piece)))


patterns = st.lists(st.text(alphabet="abz*?[]/-_. 09#:,äé'\"", min_size=1, max_size=8).filter(str.strip), max_size=3)


@given(
    st.integers(0, 10_000).map(lambda n: n / 100),
    patterns,
    patterns,
    st.sampled_from(["block", "flow", "mixed", "json", "json lines"]),
    st.integers(2, 6),
)
def test_whatever_yaml_and_json_write_is_understood_alike_or_not_at_all(percent, include, exclude, style, indent):
    value = {
        "a": {"rollout": {"percent": 1}},
        "monitoring": {"x": [{"rollout": 2}], "rollout": {"percent": percent, "include": include, "exclude": exclude}},
        "z": 1,
    }
    if style.startswith("json"):
        text = json.dumps(value, indent=indent if style == "json lines" else None, ensure_ascii=False)
    else:
        flow = {"block": False, "flow": True, "mixed": None}[style]
        text = yaml.safe_dump(value, default_flow_style=flow, indent=indent, sort_keys=False, allow_unicode=True)
    found = find(text)
    assert found in (Rollout(percent, tuple(include), tuple(exclude), True), UNCLEAR)
    if all(set(one) <= set("abz*?/-_.") and one[0] in "abz" and one[-1] in "abz" for one in include + exclude):
        assert found.clear, text
