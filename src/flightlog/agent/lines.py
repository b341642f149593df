"""Lines out of captured bytes: where each ends, what level it claims, which belong together.

Invariants: each raw byte is in exactly one line; console copies of journalled records (verified marks) are in none; the same bytes from the
same position give the same lines, however they came, except where a line is given up waiting for. Pure: no files, no clock.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from .. import records
from ..journal.mark import find_copies
from . import loggers, screen, traces
from .bars import fold, is_state
from .decode import clean, clean_text

MAX_LINE_BYTES = 64 << 10
MAX_NULS = 256
_NEWLINE = b"\n"
_TRACEBACK = traces.TRACEBACK.decode()
Claim = tuple[int, str, dict[str, Any] | None, str | None]
# ECMA-48 control sequences, and strings (OSC, APC, ...) up to their end
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x1b\x07]*(?:\x1b\\|\x07)|[ -/]*[0-~])")
# A word has no bar in it, or a row of empty columns could be taken apart in more ways than there is time for.
_LEVEL = re.compile(
    r"(?:[\[(]?\d\S*[\s|]+(?:([^\s|]+)[\s|]+){0,4}?)?[\[<(|]?\s?(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERR|ERROR|CRIT|CRITICAL|FATAL)\b(?=[\]>)|:\s]|$)"
    r"(?=(\W{0,6}(?:[A-Za-z_$][\w$]{0,40}\.\w|\[)|:[A-Za-z_])?)"  # something is behind it that may be a logger
)
_JSON_MESSAGE = ("message", "msg", "event", "log", "short_message", "@message", "text")
_JSON_LEVEL = ("level", "levelname", "severity", "lvl", "log.level", "@level")
# RFC 5424, emergency to debug
_SYSLOG = (
    records.CRITICAL,
    records.CRITICAL,
    records.CRITICAL,
    records.ERROR,
    records.WARNING,
    records.INFO,
    records.INFO,
    records.DEBUG,
)


class Line(NamedTuple):
    """One record's worth of raw bytes.

    Attributes:
        raw: the bytes, without console copies that stood between them, without the last line end.
        end: index in the buffer behind them.
        partial: whether no line end came.
    """

    raw: bytes
    end: int
    partial: bool


def split(data: bytes, final: bool, patient: bool = True) -> tuple[list[Line], int]:
    """Return the lines of *data*, and how far it is used up.

    Args:
        data: captured bytes from the beginning of a line on.
        final: nothing comes any more: the rest is a line, too.
        patient: whether to wait for the end of a line or traceback that is not there yet.
    """
    copies, certain = find_copies(data, final or not patient)
    lines: list[Line] = []
    pieces: list[bytes] = []
    used = position = size = 0
    first_open = -1
    new_line = tuple.__new__  # twice as fast, and there are many
    spans = [(begin, end) for begin, _, end, _ in copies]
    for begin, end in [*spans, (certain, certain)]:
        while position < begin:
            stop = data.find(_NEWLINE, position, begin)
            room = position + MAX_LINE_BYTES - size
            if first_open < 0:
                first_open = position
            if (stop < 0 or stop > room) and begin > room:
                pieces.append(data[position:room])
                lines.append(Line(b"".join(pieces), room, True))
                pieces, size, used, position, first_open = [], 0, room, room, -1
            elif stop < 0:
                pieces.append(data[position:begin])
                size += begin - position
                position = begin
            else:
                raw = data[position:stop]
                if pieces:
                    raw = b"".join([*pieces, raw])
                    pieces, size = [], 0
                used = position = stop + 1
                lines.append(new_line(Line, (raw, used, False)))
                first_open = -1
        position = end
        if first_open < 0:
            used = end
    if first_open >= 0 and (final or not patient):
        lines.append(Line(b"".join(pieces), certain, True))
        used = certain
    told, drawn = traces.may_begin(data), screen.may_begin(data)
    return _joined(lines, used, final or not patient, drawn) if told or drawn else (lines, used)


def _joined(lines: list[Line], used: int, final: bool, drawn: bool) -> tuple[list[Line], int]:
    """Put stack traces together, and what a program has drawn over several rows."""
    result: list[Line] = []
    raws = [line.raw for line in lines]
    index = 0
    while index < len(lines):
        stop, certain = (screen.extent(raws, index) if drawn else None) or traces.extent(raws, index)
        if not certain and not final:
            return result, result[-1].end if result else 0  # more of it may come: begin here again
        group = lines[index:stop]
        if len(group) == 1:
            result += group
        else:
            result.append(Line(b"\n".join(line.raw for line in group), group[-1].end, group[-1].partial))
        index = stop
    return result, used


def interpret(raw: bytes) -> tuple[int, str, dict[str, Any] | None]:
    """Return (level, message, fields) of a line; see `claim`."""
    return claim(raw)[:3]


def claim(raw: bytes) -> Claim:
    """Return (level, message, fields, logger) of a line: what it says about itself, else INFO, its text, nothing.

    The message is without terminal sequences; bytes that are no UTF-8 are shown as \\xNN. A JSON object's message becomes the
    message, and the whole object the fields. Bars are their last state, with what that says as the field `progress`. A long run of NUL bytes is counted: a file with a hole holds any number of them.
    """
    nul = b"\0" in raw
    if nul:
        if len(raw) > MAX_NULS and not raw.strip(b"\0"):
            return records.INFO, f"({len(raw)} NUL bytes)", None, None
        raw = _narrow(raw)
    text = raw.decode("utf-8", "backslashreplace")
    several = _NEWLINE in raw
    fields: dict[str, Any] | None = None
    if "\x1b" in text:
        if several and screen.moves(raw):
            text, bar = screen.fold(text)
            return records.INFO, clean_text(text), None if bar is None else {"progress": bar}, None
        text = _ANSI.sub("", text)
    bar = None
    if "\r" in text:
        text, bar = fold(text.removesuffix("\r"))
        text = clean_text(text)
    elif not text.isascii() or nul:
        text = clean_text(text)
    first = text[:1]
    if several or (first in "T \t" and text.lstrip().startswith(_TRACEBACK)):
        return records.ERROR, text, None, None
    if first == "{" and text.endswith("}"):
        found = _from_json(text)
        if found is not None:
            return found
    if bar is not None:
        fields = {"progress": bar}
        if is_state(text):
            return records.INFO, text, fields, None
    match = _LEVEL.match(text, 0, 200)
    if match is None:
        return records.INFO, text, fields, None
    word, level, hint = match.groups()
    logger = None
    # Most lines name no logger, and there is no time to look closely at each.
    if hint is not None:
        logger = loggers.behind(text, match.start(2), match.end())
    if logger is None and word is not None and not "0" <= word < ":":
        logger = loggers.before(text, word, match.start(2))
    return records.LEVEL_NUMBERS[level], text, fields, logger


def _narrow(raw: bytes) -> bytes:
    """Return UTF-16 as UTF-8, where every other byte is NUL and none of the rest; anything else as it is. A line end in between leaves half of its two bytes on each side."""
    inner = raw.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    inner = inner if len(inner) == len(raw) or inner[:1] != b"\0" else inner[1:]
    inner = inner.removeprefix(b"\0").removesuffix(b"\0")
    if len(inner) < 5 or inner[1::2].strip(b"\0") or b"\0" in inner[::2] or not inner[::2].isascii():
        return raw
    return inner[::2]


def _from_json(text: str) -> Claim | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    inner = data.get("record")
    claims = inner if isinstance(inner, dict) and "message" in inner else data  # loguru's `serialize`
    message = next((claims[key] for key in _JSON_MESSAGE if isinstance(claims.get(key), str)), None)
    if message is None:
        return None
    level = next((claims[key] for key in _JSON_LEVEL if key in claims), None)
    logger = loggers.of_json(claims)
    return _json_level(level, data), clean_text(message), clean(data), None if logger is None else clean_text(logger)


def _json_level(level: Any, data: dict[str, Any]) -> int:
    """Return a level as ours. Numbers mean different things: GELF has syslog's (3 is an error), bunyan and pino count 10 higher than Python (30 is info)."""
    if isinstance(level, dict):
        level = str(level.get("name"))
    if isinstance(level, str):
        return records.LEVEL_NUMBERS.get(level.upper(), records.INFO)
    if not isinstance(level, int) or isinstance(level, bool) or not 0 <= level <= 100:
        return records.INFO
    if "short_message" in data:
        return _SYSLOG[level] if level < len(_SYSLOG) else records.INFO
    if "hostname" in data and "pid" in data:
        return max(records.TRACE, level - 10) if level > 10 else records.TRACE
    return level
