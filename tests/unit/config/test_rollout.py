"""The rollout: who is in is a function of the name alone, everywhere the same, and nobody who was in goes out when the percentage rises."""

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flightlog
from acceptance import interpreters
from flightlog.config.rollout import EVERYBODY, UNCLEAR, Rollout, bucket, decide, from_data, matches, to_data

SOURCE = os.path.dirname(os.path.dirname(flightlog.__file__))
NAMES = ["orders", "orders-etl", "nightly/load", "Ünïcode-ä", "日本語", "a b", "x" * 512, "udc\udc80name"]
percents = st.floats(0, 100)


def inside(percent, name, include=(), exclude=()):
    return decide(Rollout(percent, include, exclude, True), name).inside


def test_buckets_are_those_that_were_given_once():
    """A change here moves pipelines in and out of a rollout that is under way."""
    given_once = {
        "orders": 5911,
        "orders-etl": 3736,
        "nightly/load": 2626,
        "Ünïcode-ä": 604,
        "日本語": 6844,
        "": 0,
    }
    assert {name: bucket(name) for name in given_once} == given_once


@given(st.text(max_size=60), percents, percents)
def test_who_is_in_stays_in_when_the_percentage_rises(name, one, other):
    low, high = sorted((one, other))
    assert inside(high, name) or not inside(low, name)
    assert inside(100, name) and not inside(0, name)


@given(st.text(max_size=30))
def test_blanks_around_a_name_and_the_case_of_ascii_letters_do_not_matter(name):
    ascii_upper = "".join(c.upper() if c.isascii() else c for c in name)
    assert bucket(f" {name}\t") == bucket(name) == bucket(ascii_upper)
    assert decide(Rollout(0, (ascii_upper.replace("[", "?"),), (), True), name).inside or not name.strip()


@pytest.mark.parametrize("form", ["pipeline-%d", "team/orders_%04d", "etl.%d.daily", "%d", "p%dq%d"])
def test_names_that_look_alike_are_spread(form):
    names = [form % ((n,) * form.count("%")) for n in range(4000)]
    for percent in (1, 10, 25, 50, 90):
        share = sum(inside(percent, name) for name in names) / len(names) * 100
        assert abs(share - percent) < 3, (form, percent, share)


def test_exclude_stands_above_include_and_include_above_percent():
    rules = Rollout(0.0, ("orders", "team/*"), ("team/secret*", "ORDERS-old"), True)
    found = {name: decide(rules, name)[:3] for name in ("orders", "team/a", "team/secret-1", "orders-old", "else")}
    assert found == {
        "orders": (True, "include", "orders"),
        "team/a": (True, "include", "team/*"),
        "team/secret-1": (False, "exclude", "team/secret*"),
        "orders-old": (False, "exclude", "ORDERS-old"),
        "else": (False, "percent-out", ""),
    }
    assert not inside(100, "orders", ("orders",), ("orders",))
    assert decide(EVERYBODY, "x")[:2] == (True, "off") and decide(UNCLEAR, "x")[:2] == (False, "unclear")


@pytest.mark.parametrize(
    "pattern, fits, not_",
    [
        ("orders", ["orders"], ["order", "orders-1", "my orders"]),
        ("*", ["", "a", "a/b"], []),
        ("*-nightly", ["a-nightly", "-nightly", "x-nightly-nightly"], ["nightly", "a-nightly-2"]),
        ("a*b*c", ["abc", "aXbYc", "abbcc"], ["acb", "ab"]),
        ("load-?", ["load-1", "load-ä"], ["load-", "load-12"]),
        ("load-[0-9a]", ["load-5", "load-a"], ["load-b", "load-"]),
        ("load-[!0-9]*", ["load-a", "load-ab"], ["load-1", "load-"]),
        ("a[]]b", ["a]b"], ["ab"]),
        ("[", ["["], ["a"]),
        ("a[b", ["a[b"], ["ab"]),
        ("", [""], ["a"]),
        ("**a**", ["a", "bab"], ["b"]),
    ],
)
def test_patterns(pattern, fits, not_):
    assert all(matches(pattern, name) for name in fits)
    assert not any(matches(pattern, name) for name in not_)


def test_a_pattern_of_many_stars_takes_no_time():
    assert not matches("*a" * 100 + "b", "a" * 5000)


@given(st.text(alphabet="ab[]!-*?", max_size=12), st.text(alphabet="ab[]!-", max_size=12))
def test_no_pattern_raises(pattern, name):
    matches(pattern, name)


def test_what_is_handed_on_comes_back():
    rules = Rollout(12.5, ("a", "*b"), ("c",), True)
    assert from_data(json.loads(json.dumps(to_data(rules)))) == rules
    for wrong in (None, 5, [], {}, {**to_data(rules), "percent": 101}, {**to_data(rules), "include": [5]}):
        assert from_data(wrong) == UNCLEAR
    assert from_data({**to_data(rules), "clear": 1}) == UNCLEAR


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_each_python_decides_alike(version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    code = (
        "import json, sys; from flightlog.config import rollout, rollout_text\n"
        "text = json.loads(sys.argv[2]); rules = rollout_text.find(text)\n"
        "print(json.dumps([[rollout.bucket(n), rollout.decide(rules, n).by] for n in json.loads(sys.argv[1])] + [list(rules)]))"
    )
    text = (
        "monitoring:\n  rollout:\n    percent: 25\n    include: [orders, '*JP*', 日本語]\n    exclude:\n      - a?b\n"
    )
    rules = Rollout(25.0, ("orders", "*JP*", "日本語"), ("a?b",), True)
    expected = [[bucket(name), decide(rules, name).by] for name in NAMES] + [json.loads(json.dumps(list(rules)))]
    env = {"PYTHONPATH": SOURCE, "PYTHONHASHSEED": "random", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-c", code, json.dumps(NAMES), json.dumps(text)], env=env, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == expected
