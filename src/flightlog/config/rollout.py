"""The staged rollout: which pipelines are monitored, decided by their names alone (`monitoring.rollout`).

    exclude > include > percent         a name in `exclude` is out, whatever else is said; one in `include` is in; of the rest, *percent* of a hundred

Invariants: the same answer on every node, in every Python and process: the bucket of a name is a fixed function of its text; who is in at 25 percent is
in at 50 percent. Surrounding blanks and the case of ASCII letters make no other name. Patterns take time linear in the name for each of their stars.
Nothing said means that everybody is in; something said that nobody understands means that everybody is out: a pipeline that is not watched runs as it
did before. Owns: names, buckets, patterns, the decision. Leaves where the rules come from to `gate`. Standard library only; never raises.
"""

from __future__ import annotations

import zlib
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BUCKETS = 10_000  # hundredths of a percent
MAX_PATTERNS, MAX_PATTERN = 1000, 200
EXCLUDED, INCLUDED, BELOW, ABOVE, NOT_SAID, UNCLEAR_WORD = (
    "exclude",
    "include",
    "percent",
    "percent-out",
    "off",
    "unclear",
)

# What `monitoring.rollout` says. `clear`: whether it was understood.
Rollout = namedtuple("Rollout", ("percent", "include", "exclude", "clear"))
EVERYBODY = Rollout(100.0, (), (), True)
UNCLEAR = Rollout(0.0, (), (), False)  # said, and not understood
# `inside`: monitored. `by`: one of the words above. `pattern`: the one that decided, or empty.
Decision = namedtuple("Decision", ("inside", "by", "pattern", "bucket", "threshold"))


def normal(name: str) -> str:
    """Return the form of a pipeline's name by which it is compared: no blanks around it, ASCII letters small."""
    return name.encode("utf-8", "surrogateescape").strip().lower().decode("utf-8", "surrogateescape")


def bucket(name: str) -> int:
    """Return which of the 10,000 buckets a pipeline is in: CRC-32 of its normal form in UTF-8, spread by Fibonacci hashing."""
    crc = zlib.crc32(normal(name).encode("utf-8", "surrogateescape")) & 0xFFFFFFFF
    return ((crc * 0x9E3779B1 & 0xFFFFFFFF) * BUCKETS) >> 32


def threshold(percent: float) -> int:
    """Return below which bucket names are in."""
    return round(percent * BUCKETS / 100)


def decide(rollout: Rollout, name: str) -> Decision:
    """Tell whether the pipeline *name* is monitored, and why."""
    mine, limit = bucket(name), threshold(rollout.percent)
    if not rollout.clear:
        return Decision(False, UNCLEAR_WORD, "", mine, limit)
    plain = normal(name)
    for by, patterns in ((EXCLUDED, rollout.exclude), (INCLUDED, rollout.include)):
        for pattern in patterns:
            if matches(normal(pattern), plain):
                return Decision(by == INCLUDED, by, pattern, mine, limit)
    if rollout == EVERYBODY:
        return Decision(True, NOT_SAID, "", mine, limit)
    return Decision(mine < limit, BELOW if mine < limit else ABOVE, "", mine, limit)


def matches(pattern: str, name: str) -> bool:
    """Tell whether *name* is what *pattern* means: `*` any text, `?` any character, `[a-z]` one of these, `[!a-z]` none of these. Whole names only."""
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(name):
        width = _one(pattern, at, name[position]) if at < len(pattern) and pattern[at] != "*" else 0
        if width:
            at += width
            position += 1
        elif at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif star >= 0:  # the last star takes one more
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return pattern[at:].strip("*") == ""


def _one(pattern: str, at: int, character: str) -> int:
    """Return how long the part of *pattern* at *at* is, if it stands for *character*, else 0."""
    if pattern[at] == "?":
        return 1
    end = pattern.find("]", at + (3 if pattern[at + 1 : at + 2] == "!" else 2)) if pattern[at] == "[" else -1
    if end < 0:
        return int(pattern[at] == character)
    inside = pattern[at + 1 : end]
    negated = inside[:1] == "!"
    inside = inside[1:] if negated else inside
    found = False
    index = 0
    while index < len(inside):
        if inside[index + 1 : index + 2] == "-" and index + 2 < len(inside):
            found = found or inside[index] <= character <= inside[index + 2]
            index += 3
        else:
            found = found or inside[index] == character
            index += 1
    return end + 1 - at if found != negated else 0


def to_data(rollout: Rollout) -> dict[str, Any]:
    """Return it as it lies in the compiled settings."""
    return {
        "percent": rollout.percent,
        "include": list(rollout.include),
        "exclude": list(rollout.exclude),
        "clear": rollout.clear,
    }


def from_data(data: Any) -> Rollout:
    """Read what `to_data` made; anything else is unclear."""
    try:
        include, exclude = tuple(data["include"]), tuple(data["exclude"])
        percent = float(data["percent"])
        if data["clear"] is True and 0 <= percent <= 100 and all(type(one) is str for one in include + exclude):
            return Rollout(percent, include, exclude, True)
    except (TypeError, KeyError, ValueError):
        pass
    return UNCLEAR
