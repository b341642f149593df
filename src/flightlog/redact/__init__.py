"""Secrets are taken out before a text becomes a record, a row, a page or a line of our own log.

    text(value)       a text, masked            fields(value)   a tree of fields, argument lists: names and values
    cut(value, n)     a text cut to n           raw(data)       bytes that could not be read
    find(value)       where, and by which rule  is_secret_key(name)
    around(...)       a text as a part          configure(...)  what `logging.redact` says
    divide(value, n)  where not to tear one

Linear time, standard library only, Python 3.8; never raises. Owns: what looks like a secret, and the mask. Leaves when to ask to the makers of
records (`journal.encode` asks for every record it encodes) and the settings to `config`. docs/reference/redaction.md lists the rules.
"""

from __future__ import annotations

import re

from . import keys, scan, shapes
from .keys import folded, is_secret_key
from .scan import HARMLESS_LENGTH, MASK, around, cut, divide, find, harmless_length, text
from .trees import fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "HARMLESS_LENGTH",
    "MASK",
    "KeyBlock",
    "around",
    "configure",
    "cut",
    "divide",
    "fields",
    "find",
    "folded",
    "harmless_length",
    "is_secret_key",
    "listing",
    "raw",
    "text",
]


def raw(data: bytes) -> bytes:
    """Return bytes with secrets masked. Every byte stands for one character: the literals looked for are ASCII."""
    return text(data.decode("latin-1")).encode("latin-1")


class KeyBlock:
    """A private key that comes line by line, as captured output does: remembers that a text ended in its midst."""

    __slots__ = ("inside",)

    def __init__(self) -> None:
        self.inside = False

    def text(self, value: str) -> str:
        """Return the next line, masked. A line that no key has ends it, whether its last line came or not."""
        if self.inside:
            end = value.find("-----END ")
            if end < 0 and shapes.compiled(shapes.KEY_LINE).match(value) is not None:
                return MASK if value.strip() else value
            self.inside = False
            if end >= 0:
                return MASK + self.text(value[shapes.key_end(value, 0) :])
        if "PRIVATE KEY" in value:
            self.inside = value.rfind("-----BEGIN ") > value.rfind("-----END ")
        return text(value)


def configure(data: Any) -> list[str]:
    """Take the settings of `logging.redact`, as compiled: {enabled, keys, allow, patterns: [{pattern, literal}]}. Anything else is the default.

    Patterns have been judged when they were compiled; one that does not compile here (an older Python) is left out. Returns what was left out,
    and why.
    """
    left_out = [] if data is None or isinstance(data, dict) else ["redact: no mapping"]
    data = data if isinstance(data, dict) else {}
    left_out += [
        name + ": no list" for name in ("keys", "allow", "patterns") if not isinstance(data.get(name, []), list)
    ]
    on = data.get("enabled") is not False
    names = _texts(data.get("keys"))
    added = []
    items = data.get("patterns")
    for number, item in enumerate(items if isinstance(items, list) else (), 1):
        try:
            added.append(("pattern-%d" % number, str(item.get("literal") or ""), re.compile(item["pattern"])))
        except Exception as problem:
            left_out.append("pattern-%d: %s" % (number, problem))
    triggers = [max(re.split(r"[-_. ]", name.casefold()), key=len) for name in names]
    scan.configure(on, added, [word for word in triggers if word.isascii()])
    keys.configure(on, names, _texts(data.get("allow")))  # last: it forgets what was remembered
    return left_out


def listing() -> list[tuple[str, str]]:
    """Return the built-in rules: (rule, what it finds)."""
    found = [("key", word) for word in keys.WORDS]
    found += [("key-exact", word) for word in sorted(keys.EXACT)]
    found += [("key-allowed", word) for word in sorted(keys.ALLOWED)]
    found += [
        ("assigned", 'NAME=x, NAME: x, "NAME": "x", --NAME x, <NAME>x</NAME> with a key\'s name'),
        ("url-userinfo", "scheme://user:x@host"),
        ("bearer-auth", "Bearer x"),
        ("basic-auth", "Basic x"),
        ("private-key", "-----BEGIN ... PRIVATE KEY----- to its end"),
        ("jwt", "eyJ... with two parts or more"),
        ("card-number", "13 to 19 digits with a right check digit"),
    ]
    found += [(rule, literal + "...") for literal, rule, _ in shapes.SHAPES]
    return found


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []
