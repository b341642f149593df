"""Mappings in braces, JSON for one, in raw text: what they say about one key, without YAML.

    {"monitoring": {"interval": 3, "enabled": false}}

Linear in the text; anything may be broken. Owns: tokens and nesting. Leaves what a word means to `switch`. Standard library only; never raises.
"""

from __future__ import annotations

import re

from .. import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator, Sequence

_TOKEN = later.pattern(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<mark>[{}\[\],:])|(?P<comment>(?<![^\s])\#[^\n]*)|(?P<space>\s+)|"""
    r"""(?P<property>[!&][^\s{}\[\],]*)|(?P<plain>[^\s{}\[\],:][^{}\[\],:\n]*)""",
    re.S,
)


def values(
    text: str, start: int, outer: Sequence[str], wanted: Collection[tuple[str, ...]]
) -> Iterator[tuple[int, str]]:
    """Yield (position, scalar as written) for each value of a key that is *wanted* in the braces that open at *start*; at last (end, "").

    Of a value in braces or brackets the opening one is what is written.

    Args:
        text: the whole text.
        start: where the brace stands.
        outer: the keys that lead to it.
        wanted: paths of keys from the top.
    """
    path: list[str] = list(outer)  # of the innermost open container; a list counts as a key that nobody has
    opened: list[str] = []
    key, after_colon, quoted, position = "", False, False, start
    longest = max([len(keys) for keys in wanted])
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:  # a lone quote
            position += 1
            continue
        kind, written = token.lastgroup, token.group()
        position = token.end()
        if written == ":" and not after_colon:
            after_colon = quoted or text[position : position + 1] in ("", " ", "\t", "\n", "\r", "{", "[", '"', "'")
        elif kind == "mark" and written in "{[":
            if opened:
                if after_colon and key and len(path) < longest and (*path, key) in wanted:
                    yield token.start(), written
                path.append(key if after_colon else "")
            opened.append(written)
            key, after_colon, quoted = "" if written == "{" else "[", written == "[", False
        elif kind == "mark" and written in "}]":
            opened.pop()
            if not opened:
                yield position, ""
                return
            path.pop()
            key, after_colon = "", opened[-1] == "["
        elif written == ",":
            key, after_colon = "", opened[-1] == "["
        elif kind in ("text", "plain"):
            if not after_colon:
                key, quoted = _bare(written), kind == "text"
            elif opened[-1] == "{" and key:
                if len(path) < longest and (*path, key) in wanted:
                    yield token.start(), written
                key = ""
    yield position, ""


def _bare(written: str) -> str:
    return written[1:-1] if written[:1] in ("'", '"') else written.strip()
