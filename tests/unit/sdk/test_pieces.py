"""The fast way says what the slow way says, and never lets a secret through that the slow way would stop."""

import json

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
    slow = json.loads(encode({"x": values}))["x"]
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


def test_secret_in_a_name_in_a_long_value_and_inside_a_value():
    values = {
        "postgres://u:hunter2@h/db": 1,
        "long": "x" * 32_760 + " --token hunter2 hunter2",
        "deep": [{"pwd": "hunter2"}],
    }
    assert "hunter2" not in pieces.fields(values)
    assert "hunter2" not in pieces.thread("worker token=hunter2")


def test_patterns_that_were_added_hold_for_short_values_and_for_names_seen_before():
    from flightlog import redact as rules

    values = {"customer": "4711", "id": "123-45-6789"}
    assert pieces.fields(values) == ',"customer":"4711","id":"123-45-6789"'
    try:
        rules.configure({"keys": ["customer"], "patterns": [{"pattern": r"\d{3}-\d{2}-\d{4}", "literal": ""}]})
        pieces._rules_changed()
        assert json.loads("{%s}" % pieces.fields(values)[1:]) == {"customer": redact.MASK, "id": redact.MASK}
    finally:
        rules.configure(None)
        pieces._rules_changed()
    assert pieces.fields(values) == ',"customer":"4711","id":"123-45-6789"'


def test_texts_are_remembered_masked_bounded_and_forgotten_with_the_rules():
    pieces._rules_changed()
    first = pieces.fields({"state": "token=abcdef123"})
    assert first == pieces.fields({"state": "token=abcdef123"}) == ',"state":"token=[redacted]"'
    for number in range(3 * pieces.MAX_TEXTS):
        assert pieces.fields({"id": f"text {number}"}) == f',"id":"text {number}"'
    assert len(pieces._texts) <= pieces.MAX_TEXTS
    for _ in range(9):  # one in eight is remembered now
        pieces.fields({"state": "again"})
    assert pieces._texts["again"] == '"again"'
    pieces.fields({"long": "x" * (pieces.SHORT + 1)})
    assert not any(len(text) > pieces.SHORT for text in pieces._texts)
    pieces._rules_changed()
    assert not pieces._texts
