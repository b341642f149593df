"""Secrets that give themselves away by their look: tokens with a known beginning, URLs with a password, private keys, card numbers.

Invariants: each finder is called only when a cheap substring test has hit; it goes from one occurrence of a literal to the next (`str.find`) and
matches a pattern there, never searches with one, so that the work is linear in the text: what follows a literal is looked at once. Patterns are compiled
at their first use: most programs never need them. Owns: finding spans. Leaves when to look, and the mask, to the package.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Pattern, Tuple

    Spans = List[Tuple[int, int, str]]

# Literal, rule, what must follow from the literal's beginning on. An unbounded quantifier may only end a pattern.
CAPITALS = (
    ("AKIA", "aws-key", r"AKIA[A-Z0-9]{16}"),
    ("ASIA", "aws-key", r"ASIA[A-Z0-9]{16}"),
    ("AIza", "google-key", r"AIza[A-Za-z0-9_-]{30}[A-Za-z0-9_-]*"),
)
DASHED = (
    ("sk-", "api-key", r"sk-[A-Za-z0-9_-]{16}[A-Za-z0-9_-]*"),
    ("xox", "slack-token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10}[A-Za-z0-9-]*"),
    ("xapp-", "slack-token", r"xapp-[A-Za-z0-9-]{10}[A-Za-z0-9-]*"),
    ("glpat-", "gitlab-token", r"glpat-[A-Za-z0-9_-]{16}[A-Za-z0-9_.-]*"),
)
GITHUB = (
    ("gh", "github-token", r"gh[pousr]_[A-Za-z0-9]{20}[A-Za-z0-9]*"),
    ("github_pat_", "github-token", r"github_pat_[A-Za-z0-9_]{20}[A-Za-z0-9_]*"),
)
UNDERLINED = (
    ("k_live_", "stripe-key", r"k_live_[A-Za-z0-9_-]{16}[A-Za-z0-9_-]*"),
    ("k_test_", "stripe-key", r"k_test_[A-Za-z0-9_-]{16}[A-Za-z0-9_-]*"),
    ("hf_", "huggingface-token", r"hf_[A-Za-z0-9]{20}[A-Za-z0-9]*"),
)
SHAPES = CAPITALS + DASHED + GITHUB + UNDERLINED
# (?i) would fold non-ASCII characters as well; the text is lower case where this is used.
AUTH_WORD = r"[a-z0-9._~+/=-]{8}[a-z0-9._~+/=-]*"
KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_LINE = r"[ \t]{0,64}(?:[A-Za-z0-9+/=]{1,200}|[A-Z][A-Za-z-]{1,40}: .{0,200})?[ \t\r]{0,8}\Z"
JWT_PART = r"[A-Za-z0-9_-]*"
JWT_REST = r"[A-Za-z0-9_.-]*"
# A word of its own: one in a thousand random ids of 32 hexadecimal digits has as many decimal ones in a row, with the right check digit.
CARDS = (
    r"(?:[3-6][0-9]|2[2-7])[0-9]{11,17}(?![0-9A-Za-z_])",
    r"(?:[3-6][0-9]|2[2-7])[0-9]{2}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?![0-9A-Za-z_])",
    r"3[47][0-9]{2}[ -][0-9]{6}[ -][0-9]{5}(?![0-9A-Za-z_])",
)
FOUR_DIGITS = r"[0-9]{4}"
_BEFORE_AT = 2048  # characters of user and password in a URL, at most
_ENDS = frozenset(" \t\r\n\"'<>`|\\^")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_LUHN_TWICE = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_compiled: dict[str, Pattern[str]] = {}


def compiled(source: str) -> Pattern[str]:
    """Return a pattern, compiled once."""
    pattern = _compiled.get(source)
    if pattern is None:
        pattern = _compiled[source] = re.compile(source)
    return pattern


def find_shapes(value: str, known: tuple[tuple[str, str, str], ...], spans: Spans) -> None:
    """Find tokens with a *known* beginning."""
    for literal, rule, source in known:
        at = value.find(literal)
        while at >= 0:
            begin = at - 1 if literal[0] == "k" and at and value[at - 1] in "srp" else at
            end = at + 1
            if not begin or value[begin - 1] not in _WORD:
                match = compiled(source).match(value, at)
                if match is not None:
                    end = match.end()
                    spans.append((begin, end, rule))
            at = value.find(literal, end)


def find_jwt(value: str, spans: Spans) -> None:
    """Find JSON web tokens: two parts at least, of which the first begins with an opening brace in base64."""
    part, rest = compiled(JWT_PART), compiled(JWT_REST)
    at = value.find("eyJ")
    while at >= 0:
        end = part.match(value, at).end()  # type: ignore[union-attr]
        if end - at >= 11 and value[end : end + 1] == "." and (not at or value[at - 1] not in _WORD):
            second = part.match(value, end + 1).end()  # type: ignore[union-attr]
            if second - end > 4:
                end = second
                if value[end : end + 1] == ".":
                    end = rest.match(value, end).end()  # type: ignore[union-attr]
                spans.append((at, end, "jwt"))
        at = value.find("eyJ", end)  # none can begin inside the part that was looked at: it would end where that ends


def find_auth(value: str, low: str, spans: Spans) -> None:
    """Find what follows `Bearer` and `Basic`."""
    word = compiled(AUTH_WORD)
    for scheme in ("bearer ", "basic "):
        at = low.find(scheme)
        while at >= 0:
            end = begin = at + len(scheme)
            while begin - end < 2 and low[begin : begin + 1] == " ":
                begin += 1
            match = word.match(low, begin)
            if match is not None and (not at or low[at - 1] not in _WORD):
                end = match.end()
                told = value[begin:end]
                # "basic authentication failed" is no secret
                harmless = told.isalpha() and told.islower() if scheme == "basic " else told.startswith("auth")
                if not harmless:
                    spans.append((begin, end, scheme.strip() + "-auth"))
            at = low.find(scheme, max(end, at + 1))


def find_userinfo(value: str, spans: Spans) -> None:
    """Find passwords in URLs: `scheme://user:password@host`, and long tokens in the place of the user."""
    done = 0
    at = value.find("@")
    while at >= 0:
        begin = value.rfind("://", max(done, at - _BEFORE_AT), at)
        done = at
        if begin > 0 and value[begin - 1] in _WORD:
            begin += 3
            user, colon, password = value[begin:at].partition(":")
            if not _ENDS.isdisjoint(user) or "/" in user or not _ENDS.isdisjoint(password):
                pass
            elif not colon:
                if len(user) >= 16 and not user.isalpha() and "." not in user:
                    spans.append((begin, at, "url-userinfo"))
            elif password and not _is_port(password):
                end = _last_at(value, at)
                spans.append((begin + len(user) + 1, end, "url-userinfo"))
                done = at = end
        at = value.find("@", at + 1)


def _is_port(password: str) -> bool:
    """Tell whether it is no password but a port with a path behind it, in which an @ stands."""
    port, slash, _ = password.partition("/")
    return bool(slash) and port.isdigit() and len(port) <= 5


def _last_at(value: str, at: int) -> int:
    """Return the last @ of a password that has some itself: `user:p@ss@host`."""
    following = value.find("@", at + 1, at + 256)
    if following < 0 or not frozenset(value[at + 1 : following]).isdisjoint(_ENDS | frozenset("/?#,;:")):
        return at
    return following


def find_keys(value: str, spans: Spans) -> None:
    """Find private keys in PEM armour, from their first line to their last, or to the end when that is missing."""
    at = value.find("-----BEGIN ")
    while at >= 0:
        match = compiled(KEY_BEGIN).match(value, at)
        end = at + 1
        if match is not None:
            end = key_end(value, match.end())
            spans.append((at, end, "private-key"))
        at = value.find("-----BEGIN ", end)


def key_end(value: str, position: int) -> int:
    """Return where the private key ends in whose midst *position* is: behind its last line, or at the end of the text."""
    last = value.find("-----END ", position)
    if last < 0:
        return len(value)
    behind = value.find("-----", last + 9)
    return len(value) if behind < 0 else behind + 5


def find_cards(value: str, spans: Spans) -> None:
    """Find card numbers: 13 to 19 digits, in a card's groups or in none, beginning like a card's, with the right check digit; a word of its own."""
    position = 0
    for start in compiled(FOUR_DIGITS).finditer(value):
        at = start.start()
        if at < position or (at and (value[at - 1] in _WORD or value[at - 1] == ".")):
            continue
        for source in CARDS:
            match = compiled(source).match(value, at)
            if match is not None and _checks(match.group().replace(" ", "").replace("-", "")):
                position = match.end()
                spans.append((at, position, "card-number"))
                break


def _checks(digits: str) -> bool:
    """Tell whether the check digit is right (Luhn, ISO/IEC 7812-1)."""
    numbers = [ord(c) - 48 for c in digits]
    return (sum(numbers[-1::-2]) + sum(_LUHN_TWICE[n] for n in numbers[-2::-2])) % 10 == 0
