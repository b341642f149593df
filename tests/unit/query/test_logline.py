"""How log lines look."""

import builtins
import io
import json
from datetime import datetime, timedelta, timezone

import pytest

from flightlog.cli.logline import Printer, as_json, traceback_lines
from flightlog.cli.output import Paint
from flightlog.query.logs import Line
from flightlog.records import exception

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


def today():
    """Asked anew each time: a session may begin before midnight and end after it."""
    return datetime.now(timezone.utc).replace(hour=6, minute=7, second=8, microsecond=9000)


def line(message="loaded", **more):
    values = dict.fromkeys(Line._fields)
    values.update(
        ts=today(),
        level="INFO",
        levelno=20,
        message=message,
        pipeline="orders",
        run=RUN,
        node="n1",
        pid=7,
        writer="ab" * 16,
    )
    values.update(seq=3, pos=4, source="sdk", flags=0)
    values.update(more)
    return Line(**values)


def printed(*lines, form="short", many=False, color="never"):
    stream = io.StringIO()
    printer = Printer(form, Paint(color), utc=True, many=many)
    printer.begin(stream)
    for one in lines:
        printer.write(one)
    printer.end()
    assert printer.count == len(lines)
    return stream.getvalue()


def failed():
    try:
        try:
            int("x")
        except ValueError as problem:
            raise RuntimeError("two\nlines") from problem
    except RuntimeError as problem:
        return exception(problem)


def test_short():
    assert printed(line()) == "06:07:08.009 INFO   loaded\n"
    assert printed(line(level="WARNING", stage="a/b")) == "06:07:08.009 INFO  a/b  loaded\n".replace("INFO ", "WARN ")
    assert printed(line(), many=True) == "06:07:08.009 INFO  orders X8FFQ  loaded\n".replace("X8FFQ", RUN[-6:])
    old = line(ts=today() - timedelta(400))
    assert printed(old).startswith(f"{old.ts:%Y-%m-%d} 06:07:08.009 INFO")


def test_fields_of_calls_are_shown_and_those_of_captured_lines_are_in_their_text():
    fields = {"path": "a b", "rows": 3, "key": "v", "e": "", "n": None, "d": {"x": "\x1b"}, "k\x1b": "q\u202e"}
    assert printed(line(fields=fields)).endswith(
        '  path="a b" rows=3 key=v e="" n=null d={"x": "\\u001b"} k\\x1b=q\\u202e\n'
    )
    assert printed(line('{"a":1}', source="stdout", fields={"a": 1})).endswith('  {"a":1}\n')


def test_further_lines_are_indented():
    assert printed(line("a\nb\n\n\tc\n")).split("\n")[1:] == ["    b", "", "        c", ""]


def test_names_stand_below_each_other():
    text = printed(line(), line(pipeline="a"), line(pipeline="x" * 60), line(pipeline=None), many=True)
    assert [one.index(RUN[-6:]) for one in text.splitlines()] == [26, 26, 68, 26]


def test_an_exception_is_one_line_in_short_and_a_traceback_in_full():
    error = failed()
    assert printed(line("bad", level="ERROR", exception=error)).split("\n")[1] == "    RuntimeError: two\\nlines"
    assert printed(line("RuntimeError: two\nlines", exception=error)).count("RuntimeError") == 1
    full = printed(line("bad", exception=error, thread="T", logger="etl", file="x.py", line=3), form="full")
    assert full.startswith(
        f"{today():%Y-%m-%d} 06:07:08.009 INFO  n1/7/T sdk etl x.py:3  bad\n    Traceback (most recent"
    )
    for part in (
        '        int("x")',
        "    ValueError: invalid literal",
        "The above exception was the direct",
        "    RuntimeError: two\n    lines",
    ):
        assert part in full


def test_a_traceback_reads_as_python_prints_it():
    import traceback

    try:
        try:
            int("x")
        except ValueError:
            {}["key"]
    except KeyError as problem:
        expected = "".join(traceback.format_exception(problem)).splitlines()
        found = traceback_lines(exception(problem))
    marks = [text for text in expected if set(text.strip()) <= {"^", "~"} and text.strip()]
    assert found == [text for text in expected if text not in marks]


def test_the_members_of_a_group_are_shown():
    group = builtins.ExceptionGroup
    data = exception(group("two failed", [ValueError("a\nb"), group("inner", [KeyError("k")])]))
    assert [member["type"] for member in data["group"]] == ["ValueError", "ExceptionGroup"]
    assert data["group"][1]["group"][0]["message"] == "'k'"
    assert "group" not in data["group"][0]
    assert traceback_lines(data) == [
        "ExceptionGroup: two failed (2 sub-exceptions)",
        "  -- 1 of 2 --",
        "  ValueError: a",
        "  b",
        "  -- 2 of 2 --",
        "  ExceptionGroup: inner (1 sub-exception)",
        "    -- 1 of 1 --",
        "    KeyError: 'k'",
    ]


def test_a_group_of_groups_is_bounded():
    many = builtins.ExceptionGroup("leaf", [ValueError(n) for n in range(99)])
    for _ in range(8):
        many = builtins.ExceptionGroup(
            "node", [builtins.ExceptionGroup("x", [ValueError(n)]) for n in range(9)] + [many]
        )
    assert json.dumps(exception(many)).count('"type"') <= 50


@pytest.mark.parametrize(
    "error",
    [
        {"group": "x"},
        {"group": [1, {"group": 3}]},
        {},
        {"type": None},
        {"frames": "x", "cause": 3},
        {"frames": [1, None, {}], "context": {"type": "\x1b[31m"}},
        {"message": "m"},
    ],
)
def test_strange_exceptions_are_printed_all_the_same(error):
    for form in ("short", "full", "jsonl"):
        assert "\x1b" not in printed(line(exception=error), form=form)


def test_nothing_in_a_record_steers_the_terminal():
    evil = "\x1b]0;x\x07\u202e\x9b"
    values = dict.fromkeys(
        ("message", "logger", "pipeline", "stage", "node", "thread", "source", "file", "func", "level"), evil
    )
    values.update(
        fields={evil: evil},
        exception={"type": evil, "message": evil, "module": evil, "frames": [{"file": evil, "code": evil}]},
    )
    one = line()._replace(**values)
    for form in ("short", "full", "cat", "json", "jsonl"):
        for many in (False, True):
            text = printed(one, form=form, many=many)
            assert not set(text) & {"\x1b", "\x07", "\u202e", "\x9b"}


def test_json_is_the_contract():
    one = line(fields={"rows": 3}, logger="etl", file="x.py", line=12)
    data = json.loads(printed(one, form="jsonl"))
    assert list(data) == [
        "v", "ts", "level", "levelno", "message", "logger", "pipeline", "run", "stage", "node", "pid", "thread", "writer", "seq", "pos",
        "source", "file", "line", "func", "fields", "exception",
    ]  # fmt: skip
    assert (data["v"], data["ts"]) == (1, f"{today():%Y-%m-%d}T06:07:08.009000Z")
    assert printed(one, form="jsonl").startswith('{"v":1,"ts":"')
    document = json.loads(printed(one, one, form="json"))
    assert document == {"v": 1, "lines": [data, data]}
    assert json.loads(printed(form="json")) == {"v": 1, "lines": []}


def test_json_says_what_is_odd_about_a_line():
    assert not {"truncated", "ts_claimed"} & set(as_json(line()))
    data = as_json(line()._replace(flags=15, ts_claimed=today()))
    assert all(data[name] is True for name in ("truncated", "partial", "redacted", "after_end"))
    assert data["ts_claimed"] == data["ts"]


def test_cat_is_the_message():
    assert printed(line("a\tb\n  c"), form="cat") == "a\tb\n  c\n"


def test_colour_is_beside_words():
    text = printed(line(level="ERROR"), color="always")
    assert "\x1b[31mERROR\x1b[0m" in text
