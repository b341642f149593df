r"""One record as text for a file: in a line for people, or as JSON (the log line contract of `flightlog logs -o jsonl`, without `pos`).

    2026-11-25T10:03:22.123456Z ERROR    orders 5X8FFQ extract/merge etl.load: cannot load  rows=3 path="a b"
        | Traceback (most recent call last):

Invariants: a record begins exactly one line that does not begin with four spaces and a bar, whatever is in it; each further line of it begins
so. Only printable characters and tabs are written (delivery.md 5.2, 5.3: an allow-list); JSON is ASCII. A time that cannot be believed is that of
writing, with what was claimed beside it; what is said here in our own words is masked, records are already. Owns: these forms, as `intake.Rows`.
Leaves files to `file_log`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote
from typing import Any

import msgspec

from .. import identity, records, redact
from .copytext import AHEAD_SECONDS, OLDEST_SECONDS
from .decode import NOTHING, Record, clean, json_text
from .rows import PARTIAL_LINE, REDACTED, TRUNCATED
from .sites import Site
from .text_exception import traceback_lines

FURTHER = "    | "
PIPELINE = "\0"  # where the pipeline's name will stand; never in a record's own text
_MEMO_SIZE = 4096
# Printable is what str.isprintable says, and these: joiners that scripts and emoji need, spaces other than U+0020, private use.
_ALSO_SAFE = re.compile("[\t\u00a0\u1680\u2000-\u200a\u200c\u200d\u202f\u205f\u3000\ue000-\uf8ff]")
_WORD = re.compile(r"[^\s\"=\\]+")


def safe(text: str) -> str:
    """Return *text* in one line: what is not printable becomes a visible escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _ALSO_SAFE.match(c) else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if character in "\n\r":
        return "\\n" if character == "\n" else "\\r"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def column(text: str | None) -> str:
    """Return *text* as one column: without spaces, never empty."""
    return safe(text).replace(" ", "\\x20").replace("\t", "\\x09") if text else "-"


class TextClock:
    """Times as text, and which are believed: the same ones as `copytext.Clock`'s."""

    def __init__(self) -> None:
        self._prefixes: dict[int, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look at the clock again: before each batch."""
        self.now_ns = time.time_ns()
        now = self.now_ns // 1_000_000_000
        self._low, self._high = now - OLDEST_SECONDS, now + AHEAD_SECONDS

    def text(self, ns: int) -> tuple[str, str]:
        """Return the time as RFC 3339, and what was claimed when that is not believed, else an empty string."""
        second = ns // 1_000_000_000
        if not self._low <= second <= self._high:
            return self.plain(self.now_ns), self.plain(ns) or str(ns)
        return self.plain(ns), ""

    def plain(self, ns: int) -> str:
        """Return a time as RFC 3339, UTC, microseconds; empty when no calendar has it."""
        second = ns // 1_000_000_000
        prefix = self._prefixes.get(second)
        if prefix is None:
            try:
                moment = time.gmtime(second)
            except (OverflowError, ValueError, OSError):
                return ""
            if not 1 <= moment.tm_year <= 9999:
                return ""
            prefix = f"{moment.tm_year:04d}" + time.strftime("-%m-%dT%H:%M:%S", moment)
            if len(self._prefixes) > _MEMO_SIZE:
                self._prefixes.clear()
            self._prefixes[second] = prefix
        return f"{prefix}.{ns // 1000 % 1_000_000:06d}Z"


class TextRows:
    """Makes the lines of one writer, and puts each where it belongs.

    Args:
        writer: 32 hexadecimal digits.
        node: name of this node.
        pid: of the writing process, 0 when unknown.
        clock: shared by all writers.
        as_json: JSON instead of a line for people.
        put: takes a run, the writer and a line, in which PIPELINE stands for the run's pipeline: a later record may name it.
    """

    def __init__(
        self,
        writer: str,
        node: str,
        pid: int,
        clock: TextClock,
        as_json: bool,
        put: Callable[[str, str, str], None],
    ) -> None:
        self._writer, self._node, self._pid = writer, node, pid
        self._clock, self._as_json = clock, as_json
        self._put = put
        self._heads: dict[tuple[Any, ...], str] = {}

    def line(self, site: Site, record: Record, run: str, pos: int, seq: int) -> str:
        """Return one record as it stands in a file, with its line end."""
        ts, claimed = self._clock.text(record.t)
        flags = TRUNCATED if record.tr else 0
        if self._as_json:
            return self._json(
                (ts, claimed, site.lv, record.m, site.lg, run, record.s, record.th, seq, record.src),
                (site.f, site.ln, site.fn, _embedded(record.x), _embedded(record.e), flags),
            )
        head = self._head(site.lv, site.lg or record.src, run, record.s)
        further = more = ""
        try:
            error = None if record.e is NOTHING else _parsed(record.e)
            if isinstance(error, dict):
                further = "".join(f"{FURTHER}{safe(part)}\n" for part in traceback_lines(error))
            more = "" if record.x is NOTHING else _fields(_parsed(record.x))
        except RecursionError:
            more = "  <nested too deep>"
        return self._done(run, _text(ts + head, record.m, more + _flags(claimed, flags), further))

    def captured(
        self,
        run: str,
        ns: int,
        pos: int,
        seq: int,
        level: int,
        message: str,
        source: str,
        fields: str | None,
        flags: int,
        logger: str | None = None,
    ) -> str:
        """Return one captured line as it stands in a file; *fields* is JSON text."""
        ts, claimed = self._clock.text(ns)
        if self._as_json:
            return self._json(
                (ts, claimed, level, message, logger, run, None, None, seq, source),
                (None, None, None, fields or "null", "null", flags),
            )
        return self._done(run, _text(ts + self._head(level, source, run, None), message, _flags(claimed, flags), ""))

    def event(self, run: str, ns: int, pos: int, seq: int, name: str, stage: str | None, data: str) -> str:
        """Return what an event has to say to a reader of logs; empty when that is nothing."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return ""
        level, message = _told(name, found) if isinstance(found, dict) else (0, "")
        return self.own(run, ns, level, message, seq, stage) if message else ""

    def own(self, run: str, ns: int, level: int, message: str, seq: int, stage: str | None = None) -> str:
        """Return a line of flightlog's own, its secrets masked: it is put together of what stood apart when each part was masked."""
        message = redact.text(message)
        ts, claimed = self._clock.text(ns)
        if self._as_json:
            return self._json(
                (ts, claimed, level, message, "flightlog", run, stage, None, seq, "flightlog"),
                (None, None, None, "null", "null", 0),
            )
        return self._done(run, _text(ts + self._head(level, "flightlog", run, stage), message, _flags(claimed, 0), ""))

    def _done(self, run: str, text: str) -> str:
        self._put(run, self._writer, text)
        return text

    def _head(self, level: int, logger: str, run: str, stage: str | None) -> str:
        key = (level, logger, run, stage)
        head = self._heads.get(key)
        if head is None:
            name = records.level_name(level).ljust(8)
            head = f" {name} {PIPELINE} {identity.short(run)} {column(stage)} {column(logger)}: "
            if len(self._heads) > _MEMO_SIZE:
                self._heads.clear()
            self._heads[key] = head
        return head

    def _json(self, known: tuple[Any, ...], rest: tuple[Any, ...]) -> str:
        ts, claimed, level, message, logger, run, stage, thread, seq, source = known
        file, line, func, fields, error, flags = rest
        number = max(-32768, min(32767, level))
        text = (
            f'{{"v":1,"ts":"{ts}","level":"{records.level_name(level)}","levelno":{number},"message":{quote(message)},"logger":{_quoted(logger)},'
            f'"pipeline":{PIPELINE},"run":"{run}","stage":{_quoted(stage)},"node":{quote(self._node)},"pid":{self._pid or "null"},'
            f'"thread":{_quoted(thread)},"writer":"{self._writer}","seq":{seq},"source":{quote(source)},"file":{_quoted(file)},'
            f'"line":{"null" if line is None else line},"func":{_quoted(func)},"fields":{fields},"exception":{error}'
        )
        if claimed:
            text += f',"ts_claimed":{quote(claimed)}'
        for bit, name in ((TRUNCATED, "truncated"), (PARTIAL_LINE, "partial"), (REDACTED, "redacted")):
            if flags & bit:
                text += f',"{name}":true'
        return self._done(run, text + "}\n")


def _text(head: str, message: str, more: str, further: str) -> str:
    """Return head, message and *more* as one line, the message's further lines below, then *further*."""
    if message.isprintable():
        return f"{head}{message}{more}\n{further}"
    first, *rest = message.rstrip("\n").split("\n")
    return f"{head}{safe(first)}{more}\n" + "".join(f"{FURTHER}{safe(part)}\n" for part in rest) + further


def _flags(claimed: str, flags: int) -> str:
    """Return what is odd about a record."""
    if not claimed and not flags & (TRUNCATED | PARTIAL_LINE):
        return ""
    words = [f"claimed {claimed}"] if claimed else []
    words += [name for bit, name in ((TRUNCATED, "truncated"), (PARTIAL_LINE, "partial")) if flags & bit]
    return "".join(f"  <{word}>" for word in words)


def _fields(fields: Any) -> str:
    """Return fields as ` key=value`, a value that is no plain word as JSON."""
    if not isinstance(fields, dict):
        return f"  {safe(json.dumps(fields, ensure_ascii=False))}" if fields is not None else ""
    return "  " + " ".join(f"{_shown(key)}={_shown(value)}" for key, value in fields.items()) if fields else ""


def _shown(value: Any) -> str:
    plain = isinstance(value, str) and _WORD.fullmatch(value) is not None
    return safe(value if plain else json.dumps(value, ensure_ascii=False))


def _parsed(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return str(memoryview(raw), "utf-8", "replace")


def _embedded(raw: msgspec.Raw) -> str:
    """Return JSON text to be put into JSON, ASCII only."""
    data = bytes(raw)
    if not data:
        return "null"
    if data.isascii():
        text = data.decode("ascii")
        if (
            text.isprintable()
        ):  # line ends may stand between tokens, where they mean nothing; here they would end the record
            return text
    try:
        return json_text(clean(json.loads(data)))
    except (ValueError, RecursionError):
        return quote(data.decode("utf-8", "replace"))


def _quoted(text: str | None) -> str:
    return "null" if text is None else quote(text)


def _told(name: str, data: dict[str, Any]) -> tuple[int, str]:
    """Return (level, message) of the events that a reader of a log has to know of; an empty message for the others."""
    if name == records.RUN_STARTED:
        command = data.get("command")
        words = " ".join(str(part) for part in command) if isinstance(command, list) else ""
        return records.INFO, "run started" + (f": {redact.cut(words, 1000)}" if words else "")
    if name == records.RUN_ENDED:
        if data.get("status") == "ok":
            return records.INFO, "run ended: ok"
        signal, code = data.get("term_signal"), data.get("exit_code")
        how = f"killed by {signal}" if signal else f"exit code {code}" if code is not None else "failed"
        return records.ERROR, f"run ended: {how}"
    return 0, ""
