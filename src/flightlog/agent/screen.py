r"""Bars over several rows in captured output: what stands on the screen in the end, instead of every state one below the other.

    "\rone 10%\n\rtwo 10%\x1b[A\rone 90%\n\rtwo 90%\x1b[A"   ->   "one 90%\ntwo 90%", {"bars": [{"percent": 90}, ...], "updates": 2}

Programs with several bars (tqdm, rich, docker) go up with the cursor and write over what stands there. Lines that do so are one record, with those that they
write over. A row that was written over and looks like no bar is kept above the rest: no word is lost. Invariant: whether lines belong together follows from the
lines alone. Pure. Owns: this. Leaves bars in one line to `bars`, stack traces to `traces`, bytes to `lines`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import bars

MAX_LINES = 500
MAX_ROWS = 200
MAX_COLUMNS = 1000
MAX_HEAD = 32  # rows that a program draws before it goes up for the first time
_UP = re.compile(rb"\x1b\[(\d{0,3})A")
_BACK = re.compile(rb"\r(?!\n)")
_HIDE = b"\x1b[?25l"
_LATIN = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_TOKEN = re.compile(r"(\n|\r|\x1b\[([0-?]*)[ -/]*([@-~])|\x1b(?:[\]PX^_][^\x1b\x07]*(?:\x1b\\|\x07)|[ -/]*[0-~]))")


class Extent(NamedTuple):
    """How far a drawing goes: lines up to `stop`; and whether that is certain."""

    stop: int
    certain: bool


def may_begin(data: bytes) -> bool:
    """Tell whether there can be a drawing, or the first row of one, in *data*."""
    return (b"\r" in data and _BACK.search(data) is not None) or moves(data)


def moves(data: bytes) -> bool:
    """Tell whether there is a drawing in *data*."""
    return b"\x1b[" in data and (_HIDE in data or _UP.search(data) is not None)


def _ups(raw: bytes) -> int:
    return sum(int(count or 1) for count in _UP.findall(raw)) if b"\x1b[" in raw else 0


def _may_be_head(raw: bytes) -> bool:
    """Tell whether a program may be about to draw: only for these is the next line waited for."""
    return _HIDE in raw or b"\r" in raw.rstrip(b"\r")


def extent(raws: Sequence[bytes], index: int) -> Extent | None:
    """Return how far the drawing goes that begins with line *index*; None when none does."""
    at = index
    if not _ups(raws[index]):
        if not _may_be_head(raws[index]):
            return None
        at += 1
        while at < len(raws) and at - index <= MAX_HEAD and not _ups(raws[at]):
            if not bars.is_state(_LATIN.sub(b"", raws[at]).decode("utf-8", "replace")):
                return None
            at += 1
        if at >= len(raws):
            return Extent(index + 1, False)
        if at - index > MAX_HEAD:
            return None
    below = 0  # rows below the one that a line begins on; -1: it begins a new one
    while at < len(raws) and at - index < MAX_LINES:
        ups = _ups(raws[at])
        if not ups and below < 0:  # the line begins on a row that nothing stood on
            return Extent(at, True)
        below = min(below + ups, MAX_ROWS) - 1  # the line's own end goes one down again
        at += 1
    return Extent(at, at - index >= MAX_LINES)


def fold(text: str) -> tuple[str, dict[str, Any] | None]:
    """Return what a drawing shows in the end and what its bars say; every word, and None, when it is no drawing of bars."""
    parts = [part for part in re.split(r"[\r\n]", re.sub(r"\x1b\[\d*A", "\n", text)) if _plain(part).strip()]
    words = [_plain(part).strip() for part in parts]
    states = sum(map(bars.is_state, words))
    if not states or states < bars.LEAST_SHARE * len(words):
        return "\n".join(words), None
    rows = _drawn(text)
    shown = "\n".join(rows)
    lost = dict.fromkeys(word for word in words if not bars.is_state(word) and word not in shown)
    said: dict[str, Any] = {"updates": max(0, states - len(rows))}
    figures = [found for found in map(bars.figures, rows) if found]
    if len(figures) == 1:
        said.update(figures[0])
    elif figures:
        said["bars"] = figures
    return "\n".join([*lost, *rows]), said


def _plain(text: str) -> str:
    return _TOKEN.sub("", text)


def _drawn(text: str) -> list[str]:
    """Return the rows that a terminal would show, without blank ones at their end."""
    rows, row, column, position = [""], 0, 0, 0
    for token in _TOKEN.finditer(text):
        column = _put(rows, row, column, text[position : token.start()])
        position = token.end()
        if token[1] == "\r":
            column = 0
        elif token[1] == "\n":
            row, column = row + 1, 0
            if row == len(rows):
                rows.append("")
        elif token[3]:
            row, column = _moved(rows, row, column, token[3], token[2])
    _put(rows, row, column, text[position:])
    shown = [line.rstrip() for line in rows]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def _put(rows: list[str], row: int, column: int, text: str) -> int:
    if text:
        line = rows[row]
        rows[row] = line[:column].ljust(column) + text + line[column + len(text) :]
    return column + len(text)


def _moved(rows: list[str], row: int, column: int, what: str, numbers: str) -> tuple[int, int]:
    """Do what a control sequence says; of those that do not move or erase there is nothing to be seen."""
    first = numbers.split(";")[0]
    count = min(int(first), MAX_COLUMNS) if first.isascii() and first.isdigit() else 0
    if what == "A":
        return max(0, row - max(1, count)), column
    if what == "B":
        return min(len(rows) - 1, row + max(1, count)), column
    if what == "C":
        return row, min(MAX_COLUMNS, column + max(1, count))
    if what == "D":
        return row, max(0, column - max(1, count))
    if what == "G":
        return row, max(1, count) - 1
    if what == "K":
        rows[row] = "" if count == 2 else rows[row][:column] if count == 0 else rows[row][column:].rjust(len(rows[row]))
    elif what == "J" and count == 0:
        rows[row] = rows[row][:column]
        del rows[row + 1 :]
    return row, column
