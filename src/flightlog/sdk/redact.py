"""Secrets are taken out before a record is made: cheap tests first, a pattern only where one of them hits.

Owns: which keys and texts look like secrets, and the mask. Linear time; never raises. The list is the first one;
delivery's full set builds on these two functions.
"""

from __future__ import annotations

import re

MASK = "[redacted]"
_KEYS = (
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
    "sessionid",
    "connectionstring",
)
_KEYS_ALLOWED = frozenset(
    ("tokencount", "maxtokens", "tokens", "numtokens", "totaltokens", "prompttokens", "completiontokens", "tokenizer")
)
# A text of at most so many characters that has neither "=" nor ":" fits none of the patterns below.
HARMLESS_LENGTH = 13
_DROP = str.maketrans("", "", "-_. ")
_known: dict[str, bool] = {}

# Cheap substring tests for dynamic text; each tells which of the patterns below is worth running.
_ASSIGNED = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?)([^\s\"',;&]{1,512})"
)
_USERINFO = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@]{0,128}:)([^\s@/]{1,256})(@)")
_HEADER = re.compile(r"(?i)\b((?:bearer|basic)\s{1,3})([A-Za-z0-9._~+/=-]{8,2048})")
_SHAPES = re.compile(
    r"\b(?:A(?:KIA|SIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,255}|xox[abp]-[A-Za-z0-9-]{10,255}|sk(?:-|_live_)[A-Za-z0-9_-]{16,255}|eyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]{4,4096}\.[A-Za-z0-9_-]{0,2048})"
)
_PEM = re.compile(
    r"-----BEGIN ([A-Z ]{0,20})PRIVATE KEY-----.{0,8192}?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z)", re.S
)


def is_secret_key(key: str) -> bool:
    """Tell whether a field of this name is masked whatever it holds. Cached; a program has few field names."""
    answer = _known.get(key)
    if answer is None:
        bare = key.casefold().translate(_DROP)
        answer = bare not in _KEYS_ALLOWED and any(word in bare for word in _KEYS)
        if len(_known) < 4096:
            _known[key] = answer
    return answer


def text(value: str) -> str:
    """Return *value* with what looks like a secret masked. Cheap when nothing does."""
    if "=" in value or ":" in value:
        low = value.lower()
        if "pass" in low or "pwd" in low or "secret" in low or "token" in low or "key" in low:
            value = _ASSIGNED.sub(r"\1" + MASK, value)
        if "://" in value and "@" in value:
            value = _USERINFO.sub(r"\1" + MASK + r"\3", value)
    # One character is found three times as fast as two, so each pattern is asked for by its rarest character first.
    if ("b" in value or "B" in value) and (
        "earer " in value or "asic " in value or "EARER " in value or "ASIC " in value
    ):
        value = _HEADER.sub(r"\1" + MASK, value)
    if "K" in value and "PRIVATE KEY" in value:
        value = _PEM.sub(MASK, value)
    if (
        ("J" in value and "eyJ" in value)
        or ("x" in value and "xox" in value)
        or ("k" in value and ("sk-" in value or "sk_" in value))
        or ("_" in value and "gh" in value)
        or ("I" in value and ("AKIA" in value or "ASIA" in value))
    ):
        value = _SHAPES.sub(MASK, value)
    return value


def fields(value: object, depth: int = 0) -> object:
    """Return *value* (a tree of dicts, lists, tuples and leaves) with secrets masked; the tree itself is not changed."""
    kind = type(value)
    if kind is str:
        return text(value)  # type: ignore[arg-type]
    if depth > 32:
        return value
    if isinstance(value, dict):
        return {
            key: MASK if type(key) is str and is_secret_key(key) and item is not None else fields(item, depth + 1)
            for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return [fields(item, depth + 1) for item in value]  # type: ignore[attr-defined]
    return value
