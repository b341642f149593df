"""Lines out of captured bytes: each raw byte once, copies never, whatever the cuts."""

import random

import pytest

from flightlog.agent.lines import MAX_LINE_BYTES, claim, interpret, split
from flightlog.journal import mark

WRITER = "0123456789abcdef" * 2


def texts(data, final=True, patient=True):
    lines, used = split(data, final, patient)
    return [line.raw for line in lines], used


def marked(text, n=1):
    return mark.make(WRITER, n, text) + text


def test_lines_end_with_newlines_and_the_rest_waits():
    assert texts(b"a\nbb\nrest", final=False) == ([b"a", b"bb"], 5)
    assert texts(b"a\nbb\nrest", final=True) == ([b"a", b"bb", b"rest"], 9)
    assert texts(b"", final=True) == ([], 0)
    assert texts(b"\n\n", final=False) == ([b"", b""], 2)


def test_copies_are_left_out_and_lines_go_on_around_them():
    data = b"one" + marked(b"log line\n") + b"two\n" + marked(b"x\n", 2)
    assert texts(data, final=False) == ([b"onetwo"], len(data))
    assert texts(marked(b"only\n"), final=False) == ([], len(marked(b"only\n")))


def test_an_open_line_before_a_copy_is_begun_again():
    data = b"a\nopen" + marked(b"copy\n")
    lines, used = texts(data, final=False)
    assert (lines, used) == ([b"a"], 2)
    assert texts(data[used:] + b"end\n")[0] == [b"openend"]


def test_a_mark_that_lies_stays_raw():
    broken = marked(b"text\n").replace(b"text\n", b"tex!\n")
    lines, _ = texts(broken)
    assert lines == [broken[:-1]]


def test_an_unfinished_mark_waits_unless_nothing_comes_any_more():
    data = b"a\n" + marked(b"whole line\n")[:-3]
    assert texts(data, final=False) == ([b"a"], 2)
    lines, used = texts(data, final=True)
    assert b"".join(lines) in data.replace(b"\n", b"") and used == len(data)


def test_a_line_without_end_is_cut_and_nothing_of_it_is_lost():
    data = b"x" * (2 * MAX_LINE_BYTES + 10)
    lines, used = split(data, False)
    assert [len(line.raw) for line in lines] == [MAX_LINE_BYTES] * 2 and all(line.partial for line in lines)
    assert used == 2 * MAX_LINE_BYTES
    again, _ = split(data[used:] + b"\n", False)
    assert [len(line.raw) for line in again] == [10]


@pytest.mark.parametrize("seed", range(40))
def test_however_it_is_cut_the_same_bytes_come_out(seed):
    choose = random.Random(seed)
    stream, raw = b"", b""
    for n in range(60):
        piece = choose.choice(
            [b"word ", b"\n", b"line\n", b"\x1b[31mred\x1b[0m\n", b"\x1b_fl;", b"longer text here", b"\r\n"]
        )
        if choose.random() < 0.3:
            stream += marked(choose.choice([b"copy\n", b"a\nb\n", b""]), n)
        stream += piece
        raw += piece
    whole = b"".join(line.raw + (b"" if line.partial else b"\n") for line in split(stream, True)[0])
    position, buffer, got = 0, b"", b""
    while position < len(stream):
        step = choose.randrange(1, 40)
        buffer += stream[position : position + step]
        position += step
        lines, used = split(buffer, position >= len(stream))
        got += b"".join(line.raw + (b"" if line.partial else b"\n") for line in lines)
        buffer = buffer[used:]
    assert got == whole == raw


TRACEBACK = b"Traceback (most recent call last):\n  File 'x', line 1\n    f()\nValueError: no\n"


def test_a_traceback_is_one_record():
    assert texts(b"before\n" + TRACEBACK + b"after\n", final=False)[0] == [b"before", TRACEBACK[:-1], b"after"]
    assert texts(b"before\n" + TRACEBACK[:-15], final=False) == ([b"before"], 7)
    assert texts(TRACEBACK[:-15], final=False) == ([], 0)
    lines, used = split(TRACEBACK[:60], False, patient=False)
    assert used == 60 and len(lines) == 1


@pytest.mark.parametrize(
    "raw, level, message",
    [
        (b"plain words with ERROR in them", 20, "plain words with ERROR in them"),
        (b"ERROR: no such file", 40, "ERROR: no such file"),
        (b"WARNING:root:careful", 30, "WARNING:root:careful"),
        (b"2026-11-24 10:00:00,123 etl.load WARNING slow", 30, "2026-11-24 10:00:00,123 etl.load WARNING slow"),
        (b"[10:00:00] [CRITICAL] gone", 50, "[10:00:00] [CRITICAL] gone"),
        (b"ERRORS: 0", 20, "ERRORS: 0"),
        (b"\x1b[31mERROR\x1b[0m red", 40, "ERROR red"),
        (b"\xff\xfe bytes\r", 20, "\\xff\\xfe bytes"),
        (b"nul \x00 here", 20, "nul \\x00 here"),
        (TRACEBACK[:-1], 40, TRACEBACK[:-1].decode()),
    ],
)
def test_what_a_line_claims(raw, level, message):
    assert interpret(raw) == (level, message, None)


def test_a_json_line_is_taken_apart():
    level, message, fields = interpret(b'{"level": "warning", "msg": "slow", "rows": 3}')
    assert (level, message, fields) == (30, "slow", {"level": "warning", "msg": "slow", "rows": 3})
    assert interpret(b'{"a": 1}')[2] is None and interpret(b"{broken}")[0] == 20


@pytest.mark.parametrize(
    ("raw", "logger"),
    [
        (b"WARNING:etl.load:slow", "etl.load"),
        (b"WARNING:root:careful", "root"),
        (b"2026-11-24 10:00:00,123 etl.load WARNING slow", "etl.load"),
        (b"2026-11-24 10:00:00,123 - etl - WARNING - slow", "etl"),
        (b"2026-11-24 10:00:00,123 | INFO | etl.x | m", "etl.x"),
        (b"10:00:00.123 [main] INFO  com.acme.Job - up", "com.acme.Job"),
        (b"[2026-11-24 10:00:00] [ERROR] [etl] no", "etl"),
        (b"INFO  [alembic.runtime] up", "alembic.runtime"),
        (b"2026-11-24 10:00:00 UTC ERROR no", None),
        (b"INFO loaded: 5", None),
        (b"ERROR: no such file", None),
        (b"etl.load: slow", None),
        (b'{"message":"m","levelname":"INFO","name":"python.json"}', "python.json"),
        (b'{"msg":"m","level":30,"pid":1,"hostname":"n","name":"pino"}', "pino"),
        (b'{"event":"m","logger":"structlog"}', "structlog"),
        (b'{"text":"m\\n","record":{"message":"m","name":"loguru","function":"f","level":{"no":20}}}', "loguru"),
        (b'{"message":"m","name":"somebody"}', None),
        (b'{"message":"m","logger":7}', None),
    ],
)
def test_the_logger_that_a_line_names(raw, logger):
    assert claim(raw)[3] == logger


@pytest.mark.parametrize("order", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_as_text_and_no_byte_of_it_is_lost(order):
    data = "ERROR: first\r\nsecond\r\n".encode(order)
    lines, used = split(data, True)
    assert used == len(data) and b"".join(line.raw + (b"" if line.partial else b"\n") for line in lines) == data
    said = [interpret(line.raw)[:2] for line in lines if line.raw.strip(b"\0")]
    assert said == [(40, "ERROR: first"), (20, "second")]


@pytest.mark.parametrize("raw", [b"a\0b", b"a\0b\0\xff\0", b"\0\0a", b"\0", b"\xff\xfe\0", b"a\0b\0c\0d\0\0\0e\0"])
def test_what_is_no_utf_16_shows_its_nuls(raw):
    assert "\\x00" in interpret(raw)[1]


def test_a_character_in_two_pieces_is_one():
    data = "größer\n".encode()
    for cut in range(len(data)):
        lines, used = split(data[:cut], False)
        assert (lines, used) == ([], 0)
    assert interpret(split(data, False)[0][0].raw)[1] == "größer"
