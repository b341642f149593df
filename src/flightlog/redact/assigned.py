r"""Secrets that are given away by the name in front of them: `password=x`, `"token": "x"`, `--api-key x`, `Cookie: a=b`, `<pwd>x</pwd>`.

Found by going from one occurrence of a word to the next, not by a pattern over the whole text; the name around the word is then judged as a
field's name is (`keys`), so that the configuration's words and exceptions count here as well. The work is linear: what was found is never looked
at again for the same word. Owns: where the value begins and ends. Leaves names to `keys`.
"""

from __future__ import annotations

from . import keys
from .shapes import compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .shapes import Spans

# Pieces of the secret words; each name that `keys` knows and that is looked for in text contains one of them.
TRIGGERS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "sessi")
MAX_NAME = 64
MAX_NESTED = 4096  # characters of a bracketed value; all of it is masked
MAX_QUOTED = 8192  # characters between two quotes; without the second one the value ends with the line
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
NAME_REST = r"[a-z0-9_.-]{0,64}"
# Between name and value: closing quotes, then a sign; in the text of a list or tuple, a comma between two quoted texts; blanks behind an option.
SIGN = r"[\"'\\\]]{0,5}[ \t]{0,3}(?:=>|:=|==|=|:(?!//)|%3[dD])[ \t]{0,3}"
PAIR = r"\\{0,3}[\"'][ \t]{0,3},[ \t\n]{0,3}(?=[bBuUrR]{0,2}\\{0,3}[\"'])"
BLANKS = r"[ \t=]{1,3}(?=[^\s-])"
OPENING = r"(?:[bBuUrRfF]{1,2}(?=\\{0,3}[\"'`]))?(\\{0,3}[\"'`])"
PLAIN = r"[^\s\"',;&]*"
ELEMENT = r"[^<]*"
LINE = r"[^\r\n\"']*"
BRACKETS = r"[\[\](){}]"
WHOLE_LINE = r"[^\r\n]*"
SCHEME = r"(?:basic|bearer|negotiate|ntlm|token|apikey|dpop|gss)"
SCHEME_WITH_FIELDS = r"(?:digest|hawk|oauth|aws4-|signature|scram|mutual|vapid)"
NO_SECRETS = frozenset(("", "none", "null", "nil", "true", "false", "undefined", "[redacted]"))


def find(value: str, low: str, triggers: tuple[str, ...], spans: Spans) -> None:
    """Find assigned secrets.

    Args:
        value: the text.
        low: the same in lower case, of the same length.
        triggers: the words to look for, in lower case.
        spans: what is found is added here.
    """
    rest = compiled(NAME_REST)
    for trigger in triggers:
        at = low.find(trigger)
        while at >= 0:
            before = low[max(0, at - MAX_NAME) : at]
            begin = at - len(before) + len(before.rstrip(_NAME))
            end = rest.match(low, at).end()  # type: ignore[union-attr]
            name = low[begin:end]
            if keys.is_secret_key(name):
                first, last, behind = _value(value, low, begin, end, name)
                if last > first:
                    spans.append((first, last, "assigned"))
                end = max(end, behind)
            at = low.find(trigger, end)


def _value(value: str, low: str, begin: int, end: int, name: str) -> tuple[int, int, int]:
    """Return where the value of a name at *begin* to *end* begins and ends, and where to go on looking; nothing found: (0, 0, 0)."""
    sign = compiled(SIGN).match(value, end)
    if sign is None:
        before = value[begin - 1] if begin else ""
        if value[end : end + 1] == ">" and before and before in "<:":
            last = compiled(ELEMENT).match(value, end + 1).end()  # type: ignore[union-attr]
            return (end + 1, last, last) if last < len(value) or last - end < MAX_NESTED else (0, 0, last)
        option = name[0] == "-"
        if before in ("'", '"') and (option or value[begin - 2 : begin - 1] in ("(", "[")):
            sign = compiled(PAIR).match(value, end)
        elif option:
            sign = compiled(BLANKS).match(value, end)
        if sign is None:
            return 0, 0, 0
    first = sign.end()
    opening = compiled(OPENING).match(value, first)
    if opening is not None:
        first = opening.end()
        last = _closing(value, first, opening.group(1))
    elif value[first : first + 1] in ("{", "[", "("):
        last = _balanced(value, first)
    else:
        last = _plain_end(value, low, first, name)
    told = low[first : min(last, first + 12)]
    if told in NO_SECRETS or (told.isdigit() and opening is None and keys.folded(name) in keys.EXACT):
        return 0, 0, last
    return first, last, last


def _closing(value: str, first: int, quote: str) -> int:
    """Return where a quoted value ends: at the same quote, not escaped once more; else at the end of the line."""
    limit = first + MAX_QUOTED
    last = value.find(quote, first, limit)
    while last >= 0:
        before = value[max(first, last - 64) : last]
        slashes = len(before) - len(before.rstrip("\\"))
        if slashes == 0 or (slashes % 2 == 0 and len(quote) == 1):
            return last
        last = value.find(quote, last + 1, limit)
    last = value.find("\n", first)
    return len(value) if last < 0 else last


def _balanced(value: str, first: int) -> int:
    """Return where a value in brackets ends; what is not closed within bounds ends there."""
    depth = 0
    limit = min(len(value), first + MAX_NESTED)
    for bracket in compiled(BRACKETS).finditer(value, first, limit):
        depth += 1 if bracket.group() in "{[(" else -1
        if depth == 0:
            return bracket.end()
    return limit


def _plain_end(value: str, low: str, first: int, name: str) -> int:
    """Return where a value without quotes ends; of the two kinds of headers that have blanks, at the end of the line."""
    if "authorization" in name:
        if compiled(SCHEME_WITH_FIELDS).match(low, first) is not None:
            return compiled(WHOLE_LINE).match(value, first).end()  # type: ignore[union-attr]
        if compiled(SCHEME).match(low, first) is not None:
            return compiled(LINE).match(value, first).end()  # type: ignore[union-attr]
    last = compiled(PLAIN).match(value, first).end()  # type: ignore[union-attr]
    if "cookie" in name and "=" in value[first:last]:
        return compiled(LINE).match(value, last).end()  # type: ignore[union-attr]
    if "authorization" in name and low[first:last].isalpha() and value[first:last].islower():
        return first  # "authorization: denied"
    while last - first > 1 and value[last - 1] in ")]}":
        last -= 1
    return last
