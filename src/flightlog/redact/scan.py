"""Texts: cheap substring tests that tell which finders are worth calling, the finders' answers, and the mask.

Invariants: `text` costs a few tenths of a microsecond where nothing hits; time is linear in the text; what is masked stays as it is when masked
again; never raises. Patterns that the configuration added are matched in pieces of 8 KB that overlap by as much as they can match, because how they
behave is not ours to prove. Owns: when to look. Leaves where secrets are to `shapes` and `assigned`.
"""

from __future__ import annotations

from . import assigned, shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Pattern, Tuple

    from .shapes import Spans

    Added = Tuple[str, str, Pattern[str]]  # name, literal that must be there (or empty), pattern

MASK = "[redacted]"
# A text of at most so many characters that has neither "=" nor ":" holds nothing that is looked for.
HARMLESS_LENGTH = 13
PIECE, OVERLAP = 8192, 4096  # of the passes of added patterns; none of them can match more than OVERLAP characters
DIVIDE_WITHIN, DIVIDE_STEP = (
    16384,
    1024,
)  # how far from where a text should be divided, and in which steps, a harmless place is looked for
ASSIGNED, USERINFO, AUTH, KEYS, JWT, CARDS = 1, 2, 4, 8, 16, 32
CAPITALS, DASHED, GITHUB, UNDERLINED = 64, 128, 256, 512
SHAPES, ALL = CAPITALS | DASHED | GITHUB | UNDERLINED, 1023
_SHAPES = (
    (CAPITALS, shapes.CAPITALS),
    (DASHED, shapes.DASHED),
    (GITHUB, shapes.GITHUB),
    (UNDERLINED, shapes.UNDERLINED),
)
# Every digit a 0, what may stand between a card number's groups a dash: what the shortest one without groups, and every one with them, then has.
_DIGITS = bytes(48 if 48 <= c < 58 else 45 if c in b" -" else 120 for c in range(256))
_CARD, _GROUPS = "0" * 13, "0000-0000"
_on = True
_custom = False  # whether the configuration added anything
_added: tuple[Added, ...] = ()
_words: tuple[str, ...] = ()  # triggers of names that the configuration added


def text(value: str) -> str:
    """Return *value* with what looks like a secret masked. Cheap when nothing does."""
    if len(value) <= HARMLESS_LENGTH and "=" not in value and ":" not in value and not _added:
        return value
    # One character is found two to four times as fast as two, so each literal is asked for by its rarest character first.
    hits = 0
    if "=" in value or ":" in value or "'" in value or '"' in value:
        low = value.lower()
        if (
            "pass" in low
            or ("k" in low and ("key" in low or "token" in low or "cookie" in low))
            or "cre" in low
            or ("w" in low and "pwd" in low)
            or ("z" in low and "authorization" in low)
            or "sessi" in low
        ):
            hits = ASSIGNED
        if "@" in low and "://" in low:
            hits |= USERINFO
    if "-" in value:
        if "--" in value:
            low = value.lower()
            if "pass" in low or "key" in low or "token" in low or "cre" in low or "pwd" in low:
                hits |= ASSIGNED
            if "PRIVATE KEY" in value:
                hits |= KEYS
        if "sk-" in value or ("x" in value and ("xox" in value or "xapp-" in value)) or "glpat-" in value:
            hits |= DASHED
    if "_" in value:
        if "gh" in value or "b_pat_" in value:
            hits |= GITHUB
        if "k_live_" in value or "k_test_" in value or "hf_" in value:
            hits |= UNDERLINED
    if "I" in value and ("AKIA" in value or "ASIA" in value or "AIza" in value):
        hits |= CAPITALS
    if "J" in value and "eyJ" in value:
        hits |= JWT
    if "b" in value or "B" in value:
        low = value.lower()
        if "bearer " in low or "basic " in low:
            hits |= AUTH
    if "4" in value or "3" in value or "5" in value or "6" in value or "2" in value:
        data = value.encode("ascii", "replace")
        if len(data) - len(data.translate(None, b"0123456789")) >= len(_CARD):
            digits = data.translate(_DIGITS).decode()  # looked for as text: four times as fast
            if _GROUPS in digits or _CARD in digits:
                hits |= CARDS
    if hits or _custom:
        low = value.lower()
        for word in _words:
            if word in low:
                hits |= ASSIGNED
        if _on:
            return masked(value, spans(value, low, hits))
    return value


def find(value: str) -> Spans:
    """Return what is masked in *value*: (begin, end, rule), in order, not overlapping."""
    return merged(spans(value, value.lower(), ALL)) if text(value) != value else []


def spans(value: str, low: str, hits: int) -> Spans:
    """Return what the finders that *hits* names have found, and the added patterns; in no order, perhaps overlapping."""
    found: Spans = []
    if len(low) != len(value):  # a few characters have two in lower case; only ASCII matters here
        low = "".join([c.lower() if c.isascii() else c for c in value])
    if hits & ASSIGNED:
        assigned.find(value, low, assigned.TRIGGERS + _words, found)
    if hits & USERINFO:
        shapes.find_userinfo(value, found)
    if hits & AUTH:
        shapes.find_auth(value, low, found)
    if hits & KEYS:
        shapes.find_keys(value, found)
    if hits & SHAPES:
        for bit, known in _SHAPES:
            if hits & bit:
                shapes.find_shapes(value, known, found)
    if hits & JWT:
        shapes.find_jwt(value, found)
    if hits & CARDS:
        shapes.find_cards(value, found)
    for name, literal, pattern in _added:
        if not literal or literal in value:
            _find_added(value, name, pattern, found)
    return found


def _find_added(value: str, name: str, pattern: Pattern[str], found: Spans) -> None:
    group = 1 if pattern.groups else 0
    position = 0
    for begin in range(0, len(value), PIECE):
        limit = begin + PIECE + OVERLAP
        for match in pattern.finditer(value, max(begin, position), limit):
            if match.start() >= begin + PIECE:
                break  # the next piece sees all of it
            if match.end() == limit:  # one whose end has no bound, in a long run
                match = pattern.match(value, match.start()) or match
            first, last = match.span(group)
            if last > first:
                found.append((first, last, name))
            position = match.end()


def merged(found: Spans) -> Spans:
    """Return spans in order; those that overlap as one, under the name of the first."""
    found.sort()
    result: Spans = []
    for begin, end, rule in found:
        if result and begin < result[-1][1]:
            if end > result[-1][1]:
                result[-1] = (result[-1][0], end, result[-1][2])
        else:
            result.append((begin, end, rule))
    return result


def masked(value: str, found: Spans) -> str:
    """Return *value* with the mask in place of each span."""
    if not found:
        return value
    pieces = []
    position = 0
    for begin, end, _ in merged(found):
        pieces.append(value[position:begin])
        pieces.append(MASK)
        position = end
    pieces.append(value[position:])
    return "".join(pieces)


def cut(value: str, limit: int) -> str:
    """Return *value* cut to *limit* characters and masked: also the first half of a secret that the cut goes through."""
    if len(value) <= limit:
        return text(value)
    ahead = value[: limit + OVERLAP]
    inside = [(begin, min(end, limit), rule) for begin, end, rule in find(ahead) if begin < limit]
    return masked(ahead[:limit], inside) + "..."


def divide(value: str, limit: int) -> int:
    """Return the last place up to *limit* where *value* can be divided so that no secret is torn from what gives it away; 0: none is near."""
    for place in range(limit, max(limit - DIVIDE_WITHIN, 0), -DIVIDE_STEP):
        before, after = value[:place], value[place : place + OVERLAP]
        if text(before + after) == text(before) + text(after):
            return place
    return 0


def configure(on: bool, added: Iterable[Added], words: Iterable[str]) -> None:
    """Take new settings."""
    global _added, _custom, _on, _words
    _added, _words, _on = tuple(added), tuple(words), on
    _custom = bool(_added or _words)


def harmless_length() -> int:
    """Return how long a text without "=" and ":" may be that needs no look: none, when patterns were added that might fit."""
    return -1 if _added else HARMLESS_LENGTH


def around(before: str, value: str, after: str) -> str:
    """Return *value* masked as what it is between *before* and *after*: also the part of a secret that goes through its ends."""
    low, high = len(before), len(before) + len(value)
    inside = [
        (max(begin, low) - low, min(end, high) - low, rule)
        for begin, end, rule in find(before + value + after)
        if begin < high and end > low
    ]
    return masked(value, inside)
