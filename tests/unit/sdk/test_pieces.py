"""The fast way says what the slow way says, and never lets a secret through that the slow way would stop."""

import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flightlog.journal.encode import encode
from flightlog.sdk import pieces, redact

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=9)
VALUES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
)


@given(st.dictionaries(st.text(max_size=12), VALUES, max_size=5))
@example({"password": "x", "n": 1})
@example({"a": 2**63, "b": -(2**63) - 1, "c": float("nan"), "d": float("-inf"), "e": True})
@example({"u": "\ud800", "v": "é", "w": "x" * 40_000})
def test_fields_are_what_the_encoder_makes_of_them(values):
    fast = json.loads("{%s}" % pieces.fields(values)[1:])
    slow = json.loads(encode({"x": redact.fields(json.loads(encode({"x": values}))["x"])}))["x"]
    unsure = {key for key, value in values.items() if type(value) is int and not -(2**63) <= value < 2**63}
    assert {k: v for k, v in fast.items() if k not in unsure} == {k: v for k, v in slow.items() if k not in unsure}
    assert all(type(fast[key]) is str for key in unsure)


def test_secret_name_is_masked_each_time_and_absence_is_told():
    for _ in range(3):
        assert json.loads("{%s}" % pieces.fields({"db_password": "x", "Api-Key": 5, "token": None})[1:]) == {
            "db_password": redact.MASK,
            "Api-Key": redact.MASK,
            "token": None,
        }


SECRETS = [
    "password=hunter2",
    "pwd: hunter2",
    "postgres://u:hunter2@h/db",
    "Authorization Bearer abcdefghijk",
    "BASIC dXNlcjpwYXNz",
    "AKIAABCDEFGHIJKLMNOP",
    "ASIAABCDEFGHIJKLMNOP",
    "ghp_abcdefghijklmnopqrstuv",
    "xoxb-1234567890ab",
    "sk-abcdefghijklmnop",
    "sk_live_abcdefghijklmnop",
    "eyJhbGciOiJI.eyJzdWIi.sig",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
]
AROUND = st.text(alphabet=string.ascii_lowercase + " /.", max_size=20)


@given(AROUND, st.sampled_from(SECRETS), AROUND)
def test_cheap_tests_let_no_pattern_slip(before, secret, after):
    text = f"{before} {secret} {after}"
    always = text
    for pattern, mask in (
        (redact._ASSIGNED, r"\1" + redact.MASK),
        (redact._USERINFO, r"\1" + redact.MASK + r"\3"),
        (redact._HEADER, r"\1" + redact.MASK),
        (redact._PEM, redact.MASK),
        (redact._SHAPES, redact.MASK),
    ):
        always = pattern.sub(mask, always)
    assert redact.text(text) == always
    assert redact.MASK in always


SHORTEST = [
    "Basic 12345678",
    "xoxb-1234567890",
    "eyJ12345678.1234.",
    "sk-1234567890123456",
    "AKIA1234567890ABCDEF",
    "ghp_12345678901234567890",
    "-----BEGIN PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", SHORTEST)
def test_shortest_text_of_each_pattern_is_longer_than_what_counts_as_harmless(text):
    patterns = (redact._HEADER, redact._PEM, redact._SHAPES)
    assert any(pattern.search(text) for pattern in patterns)
    assert not any(pattern.search(text[:-1]) for pattern in patterns)
    assert len(text) > redact.HARMLESS_LENGTH
    assert json.loads("{%s}" % pieces.fields({"x": text})[1:]) == {"x": redact.text(text)} != {"x": text}
