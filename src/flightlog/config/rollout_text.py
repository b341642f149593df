"""`monitoring.rollout` in the raw text of a config file, for processes that cannot read YAML, and where the rest of the file is broken.

    monitoring:
      rollout:
        percent: 25
        include: [orders, "*-nightly"]
        exclude:
          - ledger-*

Strict where it matters: within the block everything has to be understood, in blocks or in braces (JSON), else the answer is UNCLEAR; what stands
elsewhere may be anything. A plain word with a star in front, which YAML takes for an alias, is taken for the pattern that it was meant to be.
Of several blocks the later counts, key by key, as everywhere (DESIGN D14). Owns: this scan. Leaves the meaning to `rollout`, the switch to `switch`.
Standard library only; never raises; linear in the text.
"""

from __future__ import annotations

import re

from . import flow
from .rollout import MAX_PATTERN, MAX_PATTERNS, UNCLEAR, Rollout
from .switch import _ENTRY, _OPENING, _PRINTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = ("monitoring", "rollout")
_PERCENT = re.compile(r"(0|[1-9]\d{0,2})(\.\d{1,6})?[ \t]*%?")
_QUOTED = re.compile(r"\"([^\"\\\n]*)\"|'([^'\n]*)'")
_PLAIN = re.compile(r"[\w.*?][^\s,\[\]{}#:&!'\"]*(?:\[[^\s,\[\]{}#:&'\"]*\][^\s,\[\]{}#:&!'\"]*)*")
_PLAIN_IN_BRACES = re.compile(r"[\w.*?][^\s,\[\]{}#:&!'\"]*")
# What YAML takes for something else than a text, or may: a number, a date, true, nothing.
_NO_TEXT = re.compile(
    r"[-+.\d][-+.\d_:eExXobTZ,]*|0[xob]?[\da-fA-F_]+|[-+]?\.(inf|nan)|true|false|yes|no|on|off|y|n|null|~|\?|\.|<<|=",
    re.I,
)
_SPACE = re.compile(r"(?:\s+|(?:(?<=\s)|^)#[^\n]*)*")
_KEY = re.compile(r"[\"']?(percent|include|exclude)[\"']?[ \t]*:(?=[\s\"'\[\d])")
_VALUE = re.compile(r"\"[^\"\\\n]*\"|'[^'\n]*'|[^\s,\[\]{}#:&!'\"][^,\[\]{}#:\n&'\"]*")


class _Unclear(Exception):
    pass


def find(text: str) -> Rollout | None:
    """Return what *text* says of the rollout: None when nothing, UNCLEAR when something that is not understood."""
    if "rollout" not in text:
        return None
    try:
        said = _Scan(_straightened(text)).run()
    except (_Unclear, RecursionError):
        return UNCLEAR
    if said is None:
        return None
    return Rollout(said.get("percent", 100.0), said.get("include", ()), said.get("exclude", ()), True)


def _straightened(text: str) -> str:
    """Put printed lines (`switch`) that were glued to the line before on lines of their own; those with a literal \\n are not needed here."""

    def apart(found: re.Match[str]) -> str:
        written = found.group()
        if "\\n" in written:
            return "\n"
        alone = found.start() == 0 or text[found.start() - 1] in "\n \t#"
        return written if alone else "\n" + written

    return _PRINTED.sub(apart, text[1:] if text.startswith("\ufeff") else text)


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._said: dict[str, Any] | None = None

    def run(self) -> dict[str, Any] | None:
        text = self._text
        opening = _OPENING.match(text)
        position = self._braces(opening.end() - 1, ()) if opening else 0
        while position < len(text):
            lead, bare, position, start = self._line(position)
            entry = _ENTRY.match(bare) if bare and not lead else None
            if entry is None or entry.group("key") != PATH[0]:
                continue
            value = entry.group("value").strip()
            if value[:1] == "{":
                position = self._braces(text.index("{", start + entry.start("value")), PATH[:1])
            elif value[:1] == "*":
                raise _Unclear
            elif not value:
                position = self._monitoring(position)
        return self._said

    def _line(self, position: int) -> tuple[int, str, int, int]:
        """Return indentation, content, where the next line begins, and where the content does. The content of a comment is empty."""
        end = self._text.find("\n", position)
        end = len(self._text) if end < 0 else end + 1
        whole = self._text[position:end].rstrip("\r\n")
        bare = whole.lstrip(" \t")
        lead = len(whole) - len(bare)
        return lead, "" if bare[:1] == "#" else bare.rstrip(), end, position + lead

    def _monitoring(self, position: int) -> int:
        """Look through the lines below `monitoring:`; return where they end."""
        indent = 0
        while position < len(self._text):
            lead, bare, after, start = self._line(position)
            if bare and not lead:
                if bare[0] == "{" and not indent:
                    raise _Unclear
                return position
            position = after
            if not bare:
                continue
            if not indent and bare[0] == "{":
                return self._braces(start, PATH[:1])
            indent = indent or lead
            if lead != indent:
                continue
            if bare[:2] in ("<<", "? ", "*"):
                raise _Unclear
            entry = _ENTRY.match(bare)
            if entry is None or entry.group("key") != PATH[1]:
                continue
            value = entry.group("value").strip()
            if value[:1] == "{":
                position = self._strict(self._text.index("{", start + entry.start("value")))
            elif value in ("", "~", "null"):
                self._said = self._said or {}
                if not value:
                    position = self._rollout(position, lead)
            else:
                raise _Unclear
        return position

    def _rollout(self, position: int, outer: int) -> int:
        """Read the lines below `rollout:`."""
        said = self._said = self._said or {}
        indent, last, items = 0, "", None  # type: int, str, list[str] | None
        while position < len(self._text):
            lead, bare, after, start = self._line(position)
            if bare and lead <= outer:
                break
            position = after
            if not bare:
                continue
            if not indent and bare[0] == "{":
                return self._strict(start)
            indent = indent or lead
            if items is not None and lead >= indent and (bare == "-" or bare[:2] in ("- ", "-\t")):
                items.append(_item(_uncommented(bare[1:])))
                continue
            entry = _ENTRY.match(bare)
            if lead != indent or entry is None or bare.startswith("---"):
                raise _Unclear
            key, value = entry.group("key"), entry.group("value").strip()
            if items is not None:
                said[last] = _bounded(items)
                items = None
            if key == "percent":
                said[key] = _percent(value)
            elif key in ("include", "exclude"):
                last = key
                if value[:1] == "[":
                    found, position = self._list(self._text.index("[", start + entry.start("value")))
                    said[key] = _bounded(found)
                    position = self._rest(position)
                elif value in ("~", "null", ""):
                    said[key] = ()
                    items = [] if not value else None
                else:
                    raise _Unclear
            else:
                raise _Unclear
        if items is not None:
            said[last] = _bounded(items)
        return position

    def _braces(self, start: int, outer: tuple[str, ...]) -> int:
        """Look into braces, for `rollout` at its place; return where the line ends that they end in."""
        end = start
        for end, written in flow.values(self._text, start, outer, (PATH,)):
            if written == "{":
                self._strict(end)
            elif written and written.strip() not in ("null", "~"):
                raise _Unclear
        return self._rest(end, False)

    def _strict(self, start: int) -> int:
        """Read braces that hold the rollout and nothing else; return where the line ends that they end in."""
        said = self._said = self._said or {}
        text = self._text
        position = self._space(start + 1)
        while text[position : position + 1] != "}":
            key = _KEY.match(text, position)
            if key is None:
                raise _Unclear
            position = self._space(key.end())
            if key.group(1) == "percent":
                value, position = self._value(position)
                said["percent"] = _percent(value)
            elif text[position : position + 1] == "[":
                found, position = self._list(position)
                said[key.group(1)] = _bounded(found)
            else:
                raise _Unclear
            position = self._space(position)
            if text[position : position + 1] == ",":
                position = self._space(position + 1)
            elif text[position : position + 1] != "}":
                raise _Unclear
        return self._rest(position + 1, False)

    def _list(self, start: int) -> tuple[list[str], int]:
        position, found = self._space(start + 1), []  # type: int, list[str]
        while self._text[position : position + 1] != "]":
            value, position = self._value(position)
            found.append(_item(value, _PLAIN_IN_BRACES))
            position = self._space(position)
            if self._text[position : position + 1] == ",":
                position = self._space(position + 1)
            elif self._text[position : position + 1] != "]":
                raise _Unclear
        return found, position + 1

    def _value(self, position: int) -> tuple[str, int]:
        found = _VALUE.match(self._text, position)
        if found is None:
            raise _Unclear
        return found.group().strip(), found.end()

    def _space(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found else position

    def _rest(self, position: int, strict: bool = True) -> int:
        """Return where the line ends; where it is *strict*, nothing but a comment may stand there."""
        end = self._text.find("\n", position)
        end = len(self._text) if end < 0 else end + 1
        if strict and _uncommented(self._text[position:end]):
            raise _Unclear
        return end


def _uncommented(text: str) -> str:
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _percent(written: str) -> float:
    quoted = _QUOTED.fullmatch(written)
    found = _PERCENT.fullmatch((quoted.group(1) or quoted.group(2) or "").strip() if quoted else written)
    if found is None or float(found.group(1) + (found.group(2) or "")) > 100:
        raise _Unclear
    return float(found.group(1) + (found.group(2) or ""))


def _item(written: str, plain: re.Pattern[str] = _PLAIN) -> str:
    quoted = _QUOTED.fullmatch(written)
    if quoted:
        written = quoted.group(1) or quoted.group(2) or ""
    elif plain.fullmatch(written) is None or _NO_TEXT.fullmatch(written):
        raise _Unclear
    if not 0 < len(written) <= MAX_PATTERN or not written.strip():
        raise _Unclear
    return written


def _bounded(items: list[str]) -> tuple[str, ...]:
    if len(items) > MAX_PATTERNS:
        raise _Unclear
    return tuple(items)
