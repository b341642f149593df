r"""The kill switch: what the raw text of a config file says last about `monitoring.enabled`.

Found by a scan of the text, before and independent of YAML, because a broken file must not keep a pipeline from being
switched off, and because of what the printed emergency line leaves behind (ADR: DESIGN D14):

    echo "monitoring:\n  enabled: false" >> config.yml
    sh, zsh   two lines            bash   one line with a backslash and an n            no final newline   glued to the last line

Last match wins. Standard library only; never raises.
"""

from __future__ import annotations

import os
import re

from .. import identity, later
from . import flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generator, Iterator

TRUE, FALSE = ("true", "yes", "on", "1", "y"), ("false", "no", "off", "0", "n")
_WORDS = "(%s)" % "|".join(TRUE + FALSE)
_PRINTED = later.pattern(
    r"monitoring:(?:\\n|\r?\n)[ \t]+enabled:[ \t]*[\"']?" + _WORDS + r"\b[\"']?[ \t]*(?:#[^\n]*)?(?:\r?\n|\\n|$)", re.I
)
# A key, what YAML may put before its value (a tag, an anchor), and the value up to a comment.
_ENTRY = later.pattern(
    r"(?:---[ \t]+)?(?P<quote>[\"']?)(?P<key>[\w.-]+)(?P=quote)[ \t]*:(?:(?:[ \t]+[!&][^\s{]*)*[ \t]*)(?P<value>(?:(?!(?<![^\s])#).)*)"
)
_OPENING = later.pattern(r"\s*(?:#[^\n]*\n\s*|%[^\n]*\n\s*|---(?=[\s{])\s*)*\{")
_SCALAR = later.pattern(r"[\"']?(?:" + _WORDS + r"|0+)[\"']?[\s,;.\0]*", re.I)  # lenient: it was typed in a hurry
_WORD = later.pattern(r"[\w.-]*")
_OURS = later.pattern(rb"^[\"']?(monitoring|logging|database)[\"']?[ \t]*:|monitoring:\\n", re.M)
_OURS_INSIDE = later.pattern(rb"[{,]\s*[\"']?(monitoring|logging|database)[\"']?\s*:")
PATH = ("monitoring", "enabled")
MAX_LINE = 4096  # characters looked at before a printed line
MAX_BYTES = 1 << 20  # a larger file is not a config file


def enabled(text: str) -> bool | None:
    """Return what *text* says last about `monitoring.enabled`; None when it says nothing. Linear in the text."""
    best = -1
    answer: bool | None = None
    for match in _PRINTED.finditer(text):
        line_start = text.rfind("\n", max(0, match.start() - MAX_LINE), match.start()) + 1
        if not _is_printed(text[line_start or max(0, match.start() - MAX_LINE) : match.start()]):
            continue
        best, answer = match.start(), _truth(match.group(1))
    for position, written in _written(text):
        found = _SCALAR.fullmatch(written.strip())
        if found and position > best:
            best, answer = position, _truth(found.group(1) or "0")
    return answer


def _written(text: str) -> Iterator[tuple[int, str]]:
    """Yield (position, value as written) wherever `monitoring` or `monitoring.enabled` stands at its place, by lines and braces."""
    text = text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text
    opening = _OPENING.match(text)
    position = 0
    if opening:
        position = yield from _flow(text, opening.end() - 1, ())
        position = _line_end(text, position)
    inside, indent, pending = (
        False,
        "",
        False,
    )  # below `monitoring:`; of its keys; `enabled:` has its value on a later line
    while position < len(text):
        start, end = position, _line_end(text, position)
        position = end
        content = text[start:end].rstrip("\r\n")
        bare = content.lstrip(" \t")
        if not bare or bare[0] == "#":
            continue
        entry = _ENTRY.match(bare)
        value = entry.group("value").strip() if entry else ""
        if bare == content:
            inside, indent, pending = bool(entry and entry.group("key") == PATH[0] and not value), "", False
            if entry and entry.group("key") == PATH[0] and value:
                position = yield from _value(text, start, entry, PATH[:1], end)
        elif inside:
            lead = content[: len(content) - len(bare)]
            if pending and len(lead) > len(indent):
                yield start, bare.partition(" #")[0]
            pending = False
            if not indent and bare[0] == "{":
                position = _line_end(text, (yield from _flow(text, start + len(lead), PATH[:1])))
            indent = indent or lead
            if entry and lead == indent and entry.group("key") == PATH[1]:  # deeper keys belong to somebody else
                pending = value in ("", "|", "|-", ">", ">-")
                if not pending:
                    yield start, value


def _value(
    text: str, start: int, entry: re.Match[str], path: tuple[str, ...], end: int
) -> Generator[tuple[int, str], None, int]:
    """Yield what the value of *entry*, at *path*, says; return where to go on."""
    value = entry.group("value").strip()
    if value[0] != "{":
        yield start, value
        return end
    return _line_end(text, (yield from _flow(text, text.index("{", start + entry.start("value")), path)))


def _flow(text: str, start: int, outer: tuple[str, ...]) -> Generator[tuple[int, str], None, int]:
    end = start
    for end, written in flow.values(text, start, outer, (PATH[:1], PATH)):
        if written:
            yield end, written
    return end


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _is_printed(before: str) -> bool:
    """Tell whether a printed line that stands behind *before*, in the same line, was appended there.

    Appended to a last line without an end it is; but a comment that speaks of it, somebody's `gpu_monitoring:`, and a block
    of that name inside another one are none of ours.
    """
    if not before:
        return True
    if "#" in before:
        return before[-1] not in " \t#\"'`("
    return _WORD.fullmatch(before.strip()) is None


def _truth(word: str) -> bool:
    return word.lower() in TRUE


def file_enabled(path: str) -> bool:
    """Tell whether the config file *path* leaves monitoring on: yes when there is none, or it cannot be read."""
    if not path:
        return True
    try:
        text = identity.read_plain(path).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        return True
    return enabled(text) is not False


def find_config() -> str:
    """Return the path of the config file that applies here, or an empty string.

    FLIGHTLOG_CONFIG, else ./config.yml when it is ours (has a `monitoring:`, `logging:` or `database:` block at its
    beginning of a line, or the printed line somewhere), else the XDG one, else the system's.
    """
    chosen = os.environ.get("FLIGHTLOG_CONFIG")
    if chosen:
        return identity.absolute(chosen)
    local = identity.absolute("config.yml")
    if os.path.isfile(local) and _is_ours(local):
        return local
    xdg = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    for path in (os.path.join(xdg, "flightlog", "config.yml"), "/etc/flightlog/config.yml"):
        if os.path.isfile(path):
            return path
    return ""


def _is_ours(path: str) -> bool:
    try:
        text = identity.read_plain(path)
    except (OSError, ValueError):
        return False
    if _OURS.search(text):
        return True
    words = text.decode("utf-8-sig", "replace")
    if _OURS_INSIDE.search(text) and _OPENING.match(words):
        return True
    return b"monitoring:" in text and enabled(words) is not None  # the printed line, glued to what was the last one
