"""Which regular expressions may be added to redaction: those whose time is linear in the text, whatever the text is.

A pattern is read as the parser reads it and refused when a text can be thought of that makes it slow: a quantifier without a bound anywhere but at the end
(each position of a long run would be tried to the run's end), repeats in which the same text can be divided in many ways, backreferences. Also
what older Pythons do not know: pipelines run on 3.8. Owns: this judgement, and the literal by which a cheap test skips the pattern. Leaves running it to
`redact`. Python 3.11 or later: it reads `re._parser`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_PATTERNS = 32
MAX_LENGTH = 256
MAX_WIDTH = 4096  # characters a match may have: passes overlap by as many
MAX_STEPS = (
    4096  # at one place of a text: the ways in which it can be divided among repeats, times the width of a match
)
_OTHER = 128  # stands for everything that is not ASCII
_ANYTHING = frozenset(range(_OTHER + 1))
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)


def literal_of(pattern: str) -> str:
    """Return a text that each match of *pattern* contains, empty when none is known. Raises ValueError when the pattern may not be added."""
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(pattern)
            tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as problem:
        raise ValueError(f"is no regular expression: {problem}") from problem
    if compiled.match("") is not None:
        raise ValueError("matches the empty text, so that it would match everywhere")
    items = list(tree)
    width = _check_bounds(items, True)
    ways = _ways(items, frozenset())
    if ways > 1 and ways * width > MAX_STEPS:
        raise ValueError(
            "can be slow: its repeats can divide one text among them in many ways; put something between them that neither matches, or give smaller bounds"
        )
    if compiled.flags & re.IGNORECASE:
        return ""
    return _longest_literal(items)


def _check_bounds(items: Sequence[Any], last_of_all: bool) -> int:
    """Return the longest match without the unbounded end. Raises ValueError."""
    width = 0
    for index, (op, value) in enumerate(items):
        last = last_of_all and index == len(items) - 1
        if op in _REPEATS:
            low, high, body = value
            if high == sre.MAXREPEAT:
                if not last or len(body) != 1 or not _is_character(body[0][0]):
                    raise ValueError(
                        "can be slow: a quantifier without a bound (*, +, {n,}) may only stand at the end, behind one character or set; "
                        "give it a bound, such as {1,64}"
                    )
                high = low
            width += high * _check_bounds(list(body), False)
        elif op is sre.SUBPATTERN:
            width += _check_bounds(list(value[3]), last)
        elif op is sre.BRANCH:
            width += max(_check_bounds(list(branch), last) for branch in value[1])
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            _check_bounds(list(value[1]), False)
        elif op is sre.AT:
            continue
        elif _is_character(op):
            width += 1
        elif op in (getattr(sre, "POSSESSIVE_REPEAT", None), getattr(sre, "ATOMIC_GROUP", None)):
            raise ValueError("has a possessive quantifier or an atomic group, which Python before 3.11 does not know")
        else:
            raise ValueError("has a backreference or a condition, which can be slow")
    if width > MAX_WIDTH:
        raise ValueError(f"can match more than {MAX_WIDTH} characters")
    return width


def _is_character(op: Any) -> bool:
    return op in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY)


def _ways(items: Sequence[Any], after: frozenset[int]) -> int:
    """Return in how many ways one text can be matched, at most; *after*: the characters that may follow. Never above a million."""
    ways = 1
    for index, (op, value) in enumerate(items):
        following, may_be_empty = _first(items[index + 1 :])
        if may_be_empty:
            following |= after
        if op in _REPEATS:
            low, high, body = list(value[:2]) + [list(value[2])]
            high = low if high == sre.MAXREPEAT else high
            start = _first(body)[0]
            inside = _ways(body, start | following if high > 1 else following)
            ways *= inside if high <= 1 else min(inside ** min(high, 64), 1_000_000)
            if high > low and start & following:
                ways *= high - low + 1
        elif op is sre.SUBPATTERN:
            ways *= _ways(list(value[3]), following)
        elif op is sre.BRANCH:
            branches = [list(branch) for branch in value[1]]
            ways *= max(_ways(branch, following) for branch in branches)
            starts = [_first(branch)[0] for branch in branches]
            if any(one & other for number, one in enumerate(starts) for other in starts[:number]):
                ways *= len(branches)
        ways = min(ways, 1_000_000)
    return ways


def _first(items: Sequence[Any]) -> tuple[frozenset[int], bool]:
    """Return the characters a match may begin with, and whether it may be empty."""
    found: frozenset[int] = frozenset()
    for op, value in items:
        if _is_character(op):
            return found | _characters(op, value), False
        if op in _REPEATS:
            more, empty = _first(list(value[2]))
            empty = empty or value[0] == 0
        elif op is sre.SUBPATTERN:
            more, empty = _first(list(value[3]))
        elif op is sre.BRANCH:
            parts = [_first(list(branch)) for branch in value[1]]
            more, empty = frozenset().union(*[part[0] for part in parts]), any(part[1] for part in parts)
        elif op is sre.AT:
            continue
        else:
            return _ANYTHING, True
        found |= more
        if not empty:
            return found, False
    return found, True


def _characters(op: Any, value: Any) -> frozenset[int]:
    """Return what one item matches among ASCII; everything else counts as one more character that may match. Case is not told apart."""
    if op is sre.ANY:
        return _ANYTHING
    if op is sre.LITERAL:
        return _both_cases({min(value, _OTHER)})
    if op is sre.NOT_LITERAL:
        return _ANYTHING - ({value} if value < _OTHER else set())
    found: set[int] = set()
    negated = False
    for kind, item in value:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            found.add(min(item, _OTHER))
        elif kind is sre.RANGE:
            found.update(range(min(item[0], _OTHER), min(item[1], _OTHER) + 1))
        else:
            found |= _CATEGORIES.get(item, _ANYTHING)
    return (_ANYTHING - found) | {_OTHER} if negated else _both_cases(found)


def _both_cases(codes: set[int]) -> frozenset[int]:
    letters = {ord(c) for code in codes if code < _OTHER for c in (chr(code).lower(), chr(code).upper())}
    return frozenset(letters | codes)


def _category(pattern: str) -> frozenset[int]:
    return frozenset(code for code in range(_OTHER) if re.match(pattern, chr(code))) | {_OTHER}


_CATEGORIES = {
    sre.CATEGORY_DIGIT: _category(r"\d"),
    sre.CATEGORY_NOT_DIGIT: _category(r"\D"),
    sre.CATEGORY_SPACE: _category(r"\s"),
    sre.CATEGORY_NOT_SPACE: _category(r"\S"),
    sre.CATEGORY_WORD: _category(r"\w"),
    sre.CATEGORY_NOT_WORD: _category(r"\W"),
}


def _longest_literal(items: Sequence[Any]) -> str:
    """Return the longest run of literals that is in every match."""
    best = run = ""
    for op, value in items:
        if op is sre.LITERAL:
            run += chr(value)
        elif op is not sre.AT:
            if op is sre.SUBPATTERN and not value[1] and not value[2]:
                best = max(best, _longest_literal(list(value[3])), key=len)
            run = ""
        best = max(best, run, key=len)
    return best if len(best) > 1 else ""
