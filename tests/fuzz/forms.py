"""Each form that a record takes on its way, and what has to hold of it: a COPY line, a line of a text log, what a run is known by.

Owns: these checks. Leaves making records to the decoder's test.
"""

import json

from flightlog import redact
from flightlog.agent.copytext import Clock, DayMissing
from flightlog.agent.decode import clean, raw_text
from flightlog.agent.facts import RunFacts
from flightlog.agent.journal_tail import _dropped
from flightlog.agent.rows import EVENT_COLUMNS, LOG_COLUMNS, LogRows, identity_of, level_of
from flightlog.agent.text_line import FURTHER, PIPELINE, TextClock, TextRows
from flightlog.cli.journal import _decode as shown_record
from flightlog.cli.journal import _text as shown
from flightlog.errors import PoisonRecord
from fuzz import corpus

UNESCAPED = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
DAYS = set(range(20_000, 21_200))


def column(text):
    """Return a COPY field as PostgreSQL reads it."""
    if text == "\\N":
        return None
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t") for part in parts)


def is_line(text, columns):
    """Assert that *text* is one COPY line; return its fields."""
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "\r" not in text
    assert "\0" not in text
    text.encode()
    fields = text[:-1].split("\t")
    assert len(fields) == len(columns)
    return [column(field) for field in fields]


def is_json(text):
    """Assert that *text* is JSON, as strict readers take it; however deep, and with numbers of any length."""
    try:
        json.loads(text, parse_constant=_never, parse_int=str)
    except RecursionError:
        pass  # only this reader's


def _never(token):
    raise AssertionError(f"{token} is no JSON")


class Forms:
    """Makes all forms of the records it is given."""

    def __init__(self):
        self.dead = self.events = 0
        self.clock = Clock(DAYS)
        self.rows = LogRows(corpus.WRITER, "node", 7, self.clock)
        self.texts = [
            TextRows(corpus.WRITER, "node", 7, TextClock(), as_json, lambda *_: None) for as_json in (False, True)
        ]

    def refused(self, payload, problem):
        """A payload that is no record."""
        self.dead += 1
        assert isinstance(redact.raw(payload), bytes)
        self.command(payload)

    def made(self, site, record, frame, payload):
        """A record as it was read."""
        if record.k == "log":
            self.log(site, record)
        elif record.k == "event":
            self.event(frame)
        else:
            counts = _dropped(payload)
            assert json.dumps(counts).encode()
            assert 0 <= sum(counts.values()) < 2**63
        self.command(payload)

    def log(self, site, record):
        for rows in self.texts:
            self.text(rows.line(site, record, corpus.RUN, 1, 2), rows is self.texts[1])
        try:
            line = self.rows.line(site, record, corpus.RUN, 1, 2)
        except (DayMissing, PoisonRecord) as problem:
            assert isinstance(problem, DayMissing) or "UTF-8" in problem.message
            return
        fields = dict(zip(LOG_COLUMNS, is_line(line, LOG_COLUMNS)))
        assert fields["message"] == record.m.replace("\0", "\\x00")
        assert (fields["stage"], fields["thread"], fields["source"]) == (record.s, record.th, record.src)
        assert (fields["logger"], fields["file"], fields["func"]) == (site.lg, site.f, site.fn)
        assert identity_of(line.encode()) == (corpus.RUN, 2, corpus.WRITER)
        assert level_of(line.encode()) == int(fields["levelno"]) == max(-32768, min(32767, site.lv))
        for key in ("fields", "exception"):
            assert fields[key] is None or min(fields[key]) >= " "

    def event(self, frame):
        self.events += 1
        try:
            text = raw_text(frame.x) or "{}"
            line = self.rows.event(corpus.RUN, frame.t, 1, 2, frame.ev or "unnamed", frame.s, text)
        except (DayMissing, PoisonRecord):
            return
        for rows in self.texts:
            told = rows.event(corpus.RUN, frame.t, 1, 2, frame.ev, frame.s, text)
            if told:
                self.text(told, rows is self.texts[1])
        is_line(line, EVENT_COLUMNS)
        try:
            data = clean(json.loads(text))
        except (ValueError, RecursionError):
            return
        facts = RunFacts(corpus.RUN, 1, "p")
        facts.event(frame.ev, frame.t, frame.s, data if isinstance(data, dict) else {})
        for row in (facts.row("node", self.clock.now_ns), facts.bare_row("node", self.clock.now_ns)):
            stored = json.dumps(row, allow_nan=False)
            assert "\\u0000" not in stored
            assert len(row["pipeline"].encode("utf-8", "replace")) <= 2000

    def text(self, text, as_json):
        """A record of a text log: one line, and further ones that say so."""
        assert text.endswith("\n")
        assert text.count(PIPELINE) == 1
        first, *further = text[:-1].split("\n")
        assert not first.startswith(FURTHER)
        if as_json:
            assert not further
            assert first.isascii()
            is_json(first.replace(PIPELINE, '"p"'))
        else:
            assert all(line.startswith(FURTHER) for line in further)
            assert "\x1b" not in text

    def command(self, payload):
        """What `flightlog journal cat` makes of it."""
        record = dict(shown_record(payload), writer=corpus.WRITER, n=1)
        line = shown(record, "short")
        assert "\n" not in line
        assert "\x1b" not in line
        is_json(shown(record, "jsonl"))
