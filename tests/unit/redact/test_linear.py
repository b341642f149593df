"""Time is linear in the text: the work on texts made to be hard is counted at two sizes, and no pattern can backtrack far."""

import re
import sys
from re import _constants as sre
from re import _parser as parser

import pytest

from flightlog import redact
from flightlog.redact import assigned, shapes

SOURCES = {
    f"{module.__name__}.{name}": value
    for module in (assigned, shapes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
SOURCES.update({f"shape {literal}": source for literal, _, source in shapes.SHAPES})
SOURCES.update({f"card {number}": source for number, source in enumerate(shapes.CARDS)})
HARD = [
    "a",
    "4",
    "4111 ",
    "@",
    "://",
    "a://b:",
    "a://b:c@",
    "password",
    "password=",
    "password='",
    'token="',
    "secret: [",
    "key: {(",
    "--token ",
    "--token=",
    "cookie: ",
    "authorization: ",
    "authorization: digest ",
    "<pwd>",
    "bearer ",
    "basic a",
    "eyJ",
    "-eyJaaaaaaaa",
    "eyJaaaaaaaa.",
    "-sk-",
    " ghp_",
    " gh",
    "xox",
    "AKIA",
    "-----BEGIN ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----\n-----END ",
    "\\",
    "password=\\'",
    "password='\\\\",
    "token" + "-._" * 30,
]


class Counted:
    """A pattern that counts the characters it went over."""

    def __init__(self, pattern, steps):
        self.pattern, self.steps = pattern, steps

    def match(self, value, position=0):
        found = self.pattern.match(value, position)
        self.steps[0] += 1 + (found.end() - position if found else 0)
        return found

    def finditer(self, value, *where):
        for found in self.pattern.finditer(value, *where):
            self.steps[0] += 1
            yield found


def count(text, monkeypatch):
    """Lines of our code executed, plus characters that patterns went over, while *text* is masked."""
    over = [0]
    for module in (assigned, shapes):
        monkeypatch.setattr(module, "compiled", lambda source: Counted(re.compile(source), over))
    steps = 0

    def trace(frame, event, _):
        nonlocal steps
        if "redact" not in frame.f_code.co_filename:
            return None
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        redact.text(text)
        redact.find(text)
    finally:
        sys.settrace(before)
        monkeypatch.undo()
    return steps + over[0]


@pytest.mark.parametrize("piece", HARD)
def test_ten_times_the_text_is_ten_times_the_work(piece, monkeypatch):
    small = piece * (4_000 // len(piece))
    assert count(small * 10, monkeypatch) <= 13 * count(small, monkeypatch) + 200


@pytest.mark.parametrize("piece", HARD)
def test_a_megabyte_ends(piece):
    """Within the test's timeout: quadratic work on a million characters would take an hour."""
    redact.text(piece * (1_000_000 // len(piece)) + "\npassword=x eyJ AKIA sk- bearer @ :// 4111 4111 4111")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_quantifier_has_a_bound_or_ends_its_pattern(name):
    source = SOURCES[name]
    _no_unbounded(list(parser.parse(source)), True, name)


def _no_unbounded(items, last_of_all, name):
    for index, (op, value) in enumerate(items):
        last = last_of_all and index == len(items) - 1
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, body = value
            assert high != sre.MAXREPEAT or (last and len(body) == 1), name
            _no_unbounded(list(body), False, name)
        elif op is sre.SUBPATTERN:
            _no_unbounded(list(value[3]), last, name)
        elif op is sre.BRANCH:
            for branch in value[1]:
                _no_unbounded(list(branch), last, name)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            _no_unbounded(list(value[1]), False, name)


def test_this_would_be_seen():
    with pytest.raises(AssertionError):
        _no_unbounded(list(parser.parse(r"a*b")), True, "")
    with pytest.raises(AssertionError):
        _no_unbounded(list(parser.parse(r"(?:a+){1,3}")), True, "")
