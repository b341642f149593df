"""No record is lost because of what is in it."""

import json

import pytest

from flightlog.journal.encode import encode
from flightlog.journal.format import MAX_PAYLOAD_BYTES


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"d": value}
    return value


def recursive():
    value = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "value",
    ["\ud800", "a\x00b", float("nan"), float("-inf"), 2**70, 10**5000, deep(10_000), recursive(), Hostile(), b"\xff\x00", {1: 2, None: 3, (1, 2): 4}, {Hostile(): 1}, "x" * 300_000, set("abc"), [object()] * 2000],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_any_value_becomes_bounded_json_that_a_database_accepts(value):
    data = encode({"k": "log", "t": 1, "m": "hello", "x": {"value": value}})
    assert len(data) <= MAX_PAYLOAD_BYTES
    record = json.loads(data, parse_constant=lambda token: pytest.fail(token))
    assert record["m"] == "hello"
    json.dumps(record, ensure_ascii=False).encode("utf-8")  # no lone surrogate left


def test_long_message_is_cut_and_says_so():
    record = json.loads(encode({"k": "log", "m": "é" * 300_000}))
    assert record["tr"] is True
    assert 0 < len(record["m"]) <= 65536
