"""Payloads as fields: the fast way and the patient one agree, and nothing that is JSON is refused."""

import json

import pytest

from flightlog.agent.decode import clean, decode
from flightlog.agent.sites import Sites
from flightlog.errors import PoisonRecord


def test_the_patient_way_agrees_with_the_fast_one():
    record = {
        "k": "log",
        "t": 5,
        "lv": 30,
        "lg": "a",
        "m": "hé \n",
        "r": "R",
        "s": "x",
        "f": "f.py",
        "ln": 3,
        "x": {"a": 1},
    }
    fast = decode(json.dumps(record).encode())
    slow = decode(json.dumps(record, indent=1).encode())  # raw newlines: the patient way
    for name in fast.__struct_fields__:
        if name not in ("x", "e"):
            assert getattr(fast, name) == getattr(slow, name), name
    assert json.loads(bytes(fast.x)) == json.loads(bytes(slow.x)) == {"a": 1}


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"k":"log","m":"a\\u0000b"}', "a\\x00b"),
        ('{"k":"log","m":"\\ud83d\\ude00"}', "😀"),
        ('{"k":"log","m":"lone \\ud83d"}', "lone \\ud83d"),
        ('{"k":"log","m":["not","text"]}', '["not","text"]'),
        ('{"k":"log","m":null,"ln":"x","t":"y"}', ""),
        ('{"k":"log"}', ""),
    ],
)
def test_strange_payloads_become_records(text, message):
    assert decode(text.encode()).m == message


@pytest.mark.parametrize(
    "form", [b'{"k":"log","x":%s}', b'{"z":%s,"k":"log"}', b'{"k":"log","lv":20,"fn":"f","t":1,"x":%s}']
)
@pytest.mark.parametrize("depth", [900, 1_100, 20_000, 100_000])
def test_nesting_without_end_is_poison_at_most(form, depth):
    nested = form % (b"[" * depth + b"]" * depth)
    for read in (decode, Sites().read):
        try:
            read(nested)
        except PoisonRecord as problem:
            assert problem.message == "nested too deep"


@pytest.mark.parametrize("payload", [b"", b"[]", b"nonsense", b'"text"', b"\xff{}", b"[" * 100_000])
def test_what_is_no_object_is_poison(payload):
    with pytest.raises(PoisonRecord):
        decode(payload)


def test_clean_keeps_what_can_be_kept():
    deep = value = {}
    for _ in range(200):
        value["x"] = {}
        value = value["x"]
    assert "deeper than" in json.dumps(clean(deep))
    assert clean({"a\0": ["b\0", 1.5, None, True]}) == {"a\\x00": ["b\\x00", 1.5, None, True]}
    assert clean(float("nan")) == "nan"
