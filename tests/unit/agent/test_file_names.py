"""File names of text logs: safe for any pipeline's name, and never shared."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.agent import file_names
from flightlog.agent.file_names import active, parse_rotated, rotated, stem

NASTY = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a%2Fb",
    "a\0b",
    "a b",
    " ",
    "-rf",
    ".hidden",
    ".flightlog-positions",
    "é",
    "e\u0301",
    "\ud800",
    "a\nb",
    "orders",
    "Orders",
    "orders.log",
    "orders.log.000001",
    "orders.log.000001.gz",
    "orders.log.gz.tmp",
    "~",
    "%",
    "x" * 180,
    "x" * 181,
    "x" * 5000,
    "x" * 4999 + "y",
    "é" * 100,
    "/" * 60 + "a",
    "/" * 61,
]


def test_no_two_of_the_nasty_ones_share_a_file():
    names = [active(pipeline, form) for pipeline in NASTY for form in ("text", "jsonl")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("pipeline", NASTY)
def test_a_name_is_a_plain_visible_file_name_with_room_for_every_suffix(pipeline):
    name = active(pipeline, "jsonl")
    assert re.fullmatch(r"[A-Za-z0-9_%~][A-Za-z0-9._%~-]*", name)
    assert len(rotated(name, 10**17) + file_names.UNFINISHED) <= 255
    assert not re.search(r"%(?![0-9A-F]{2})", name.removeprefix("%"))  # an escape is never cut


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_names_never_share_a_file(one, other):
    if one != other:
        assert stem(one) != stem(other)
    assert "/" not in stem(one) and stem(one)[0] not in ".-"


@given(st.text(max_size=50), st.text(max_size=50), st.integers(1, 10**17))
def test_a_rotated_file_is_nobodys_active_one_and_says_whose_it_is(one, other, number):
    name = rotated(active(one, "text"), number)
    assert name not in (active(other, "text"), active(other, "jsonl"))
    assert parse_rotated(name) == (active(one, "text"), number, False)
    assert parse_rotated(name + ".gz") == (active(one, "text"), number, True)
    assert parse_rotated(active(one, "text")) is None


@pytest.mark.parametrize("name", ["orders.log.1", "orders.log.000001.xz", "syslog.000001", "orders.log.", "orders.log"])
def test_other_peoples_files_are_no_rotated_ones(name):
    assert parse_rotated(name) is None
