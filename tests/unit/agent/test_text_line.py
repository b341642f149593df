"""Lines of text logs: one record, one line that can be taken for a record; nothing in it steers a terminal."""

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog import records
from flightlog.agent.sites import Sites
from flightlog.agent.text_exception import traceback_lines
from flightlog.agent.text_line import FURTHER, PIPELINE, TextClock, TextRows
from flightlog.cli.logline import traceback_lines as as_the_command_line_does
from flightlog.errors import PoisonRecord
from flightlog.journal.encode import encode

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
NOW = time.time_ns() // 1000 * 1000
EVIL = [
    "a\nb",
    "a\rb",
    "a\r\n2026-11-25T10:00:00.000000Z ERROR    forged 15X8FFQ - x: y",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\u202egnp.exe\u2066x\u2069",
    "\x7f\x08\x00",
    "\n\n\n",
    "tab\there",
    PIPELINE,
]


def made(as_json=False, **frame):
    put = []
    rows = TextRows("ab" * 16, "n1", 7, TextClock(), as_json, lambda *what: put.append(what))
    payload = encode(dict({"k": "log", "t": NOW, "lv": 20, "lg": "etl.load", "m": "loaded", "r": RUN}, **frame))
    text = rows.line(*Sites().read(payload), RUN, 1, 42)
    assert put == [(RUN, "ab" * 16, text)]
    return text


def stamp(ns=NOW):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns // 1000 % 10**6:06d}Z"


def test_the_parts_of_a_line():
    text = made(s="extract/merge", x={"rows": 3, "path": "a b", "deep": {"a": [1, None]}, "word": "plain"})
    assert text == (
        f"{stamp()} INFO     {PIPELINE} 5X8FFQ extract/merge etl.load: loaded  "
        'rows=3 path="a b" deep={"a": [1, null]} word=plain\n'
    )


def test_without_stage_and_logger():
    assert made(lg=None) == f"{stamp()} INFO     {PIPELINE} 5X8FFQ - sdk: loaded\n"


def check_text(text):
    """One line begins a record, all others begin with the bar; nothing but printable characters and tabs."""
    assert text.endswith("\n")
    first, *rest = text[:-1].split("\n")
    assert first.startswith(stamp()) and all(line.startswith(FURTHER) for line in rest)
    body = text.replace("\n", "").replace("\t", "").replace(PIPELINE, "", 1)
    steering = [
        c for c in body if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\u200c\u200d"
    ]
    assert steering == []
    assert len(text.splitlines()) == text.count("\n")
    return rest


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("where", ["m", "lg", "s", "th", "src", "x", "key", "e"])
def test_nothing_forges_a_line(evil, where):
    frame = {where: evil}
    if where == "x":
        frame = {"x": {"k": evil, "deep": {"a": [evil]}}}
    elif where == "key":
        frame = {"x": {evil: 1}}
    elif where == "e":
        broken = {"type": evil, "module": evil, "message": evil, "frames": [{"file": evil, "line": evil, "func": evil}]}
        frame = {"e": {**broken, "cause": broken}}
    check_text(made(**frame))
    line = made(as_json=True, **frame)
    assert line.count("\n") == 1 and line.endswith("}\n") and line.replace(PIPELINE, "", 1).isascii()
    assert all(" " <= c <= "~" for c in line[:-1].replace(PIPELINE, "", 1))
    assert line.count(PIPELINE) == 1
    json.loads(line.replace(PIPELINE, '"orders"', 1))


@given(st.text(max_size=200))
def test_no_message_forges_a_line(message):
    check_text(made(m=message))
    data = json.loads(made(as_json=True, m=message).replace(PIPELINE, '"orders"', 1))
    assert data["message"] == Sites().read(encode({"k": "log", "m": message}))[1].m


def read(payload, as_json):
    rows = TextRows("ab" * 16, "n1", 7, TextClock(), as_json, lambda *_: None)
    return rows.line(*Sites().read(payload), RUN, 1, 42)


@pytest.mark.parametrize(
    "value", ['{"a":\n1,\r\t"b":2}', '{"é":1e400}', '{"é":\n-1e999}', "[1,\n2]", '{"a":"\\n\x7f"}']
)
def test_json_that_others_wrote_stays_json_in_one_line(value):
    for key in ("x", "e"):
        line = read(f'{{"k":"log","m":"m","{key}":{value}}}'.encode(), True)
        assert line.count("\n") == 1
        assert line.isascii()
        json.loads(line.replace(PIPELINE, '"orders"', 1), parse_constant=pytest.fail)


@pytest.mark.parametrize("depth", [100, *range(900, 1000, 3), 5_000])
def test_deep_nesting_makes_a_line(depth):
    for key in ("x", "e"):
        nested = "[" * depth + "]" * depth
        payload = f'{{"k":"log","m":"m","{key}":{{"message":{nested},"frames":[{{"file":{nested},"code":{nested}}}]}}}}'
        for as_json in (False, True):
            try:
                assert read(payload.encode(), as_json).endswith("\n")
            except PoisonRecord:
                assert depth > 900


def test_columns_stay_columns():
    text = made(lg="a b: c", s="x y")
    assert text.split(" ")[-4:] == ["5X8FFQ", "x\\x20y", "a\\x20b:\\x20c:", "loaded\n"]


def test_an_exception_stands_below_with_its_chain():
    try:
        try:
            raise KeyError("inner\nforged")
        except KeyError as problem:
            raise ValueError("outer") from problem
    except ValueError as problem:
        error = records.exception(problem)
    rest = check_text(made(m="bad\nsecond", e=error, lv=40))
    assert rest[0] == FURTHER + "second"
    assert [line.removeprefix(FURTHER) for line in rest[1:]] == traceback_lines(error)
    assert any("direct cause" in line for line in rest)


def test_exceptions_look_as_on_the_command_line():
    for depth in range(4):
        error = {
            "type": "T0",
            "module": "m",
            "message": "x",
            "frames": [{"file": "f", "line": 1, "func": "g", "code": "c"}],
        }
        for level in range(depth):
            error = {"type": f"T{level}", "module": "builtins", "message": "", "frames": [], "context": error}
        assert traceback_lines(error) == as_the_command_line_does(error)


@pytest.mark.parametrize("error", [{}, {"frames": 5}, {"frames": [5, {}]}, {"cause": {"cause": {}}}, {"type": None}])
def test_an_exception_of_any_shape_is_shown(error):
    assert traceback_lines(error)


def test_a_chain_has_an_end():
    error = {"type": "T"}
    for _ in range(200):
        error = {"type": "T", "cause": error}
    assert len(traceback_lines(error)) < 50


def test_the_contract_of_a_json_line():
    data = json.loads(
        made(as_json=True, s="a/b", x={"rows": 3}, th="MainThread", f="load.py", ln=12, fn="go", tr=True).replace(
            PIPELINE, '"orders"', 1
        )
    )
    assert data == {
        "v": 1,
        "ts": stamp(),
        "level": "INFO",
        "levelno": 20,
        "message": "loaded",
        "logger": "etl.load",
        "pipeline": "orders",
        "run": RUN,
        "stage": "a/b",
        "node": "n1",
        "pid": 7,
        "thread": "MainThread",
        "writer": "ab" * 16,
        "seq": 42,
        "source": "sdk",
        "file": "load.py",
        "line": 12,
        "func": "go",
        "fields": {"rows": 3},
        "exception": None,
        "truncated": True,
    }


@pytest.mark.parametrize("ns", [1, 0, -5, 4102444800 * 10**9, 2**63 - 1, 2**70])
def test_a_time_nobody_believes_is_shown_as_claimed(ns):
    assert "  <claimed " in made(t=ns)
    data = json.loads(made(as_json=True, t=ns).replace(PIPELINE, '"p"', 1))
    assert data["ts_claimed"] and abs(int(data["ts"][:4]) - time.gmtime().tm_year) <= 1


def test_fields_of_another_writer_with_characters_beyond_ascii_stay_json():
    rows = TextRows("ab" * 16, "n1", 0, TextClock(), True, lambda *what: None)
    raw = '{"k":"log","t":%d,"m":"m","r":"%s","x":{"a":"\u202e\x7f\u2028"},"e":{"type":"\u202e"}}' % (NOW, RUN)
    line = rows.line(*Sites().read(raw.encode()), RUN, 1, 1)
    assert all(" " <= c <= "~" for c in line[:-1].replace(PIPELINE, "", 1))
    assert json.loads(line.replace(PIPELINE, '"p"', 1))["fields"] == {"a": "\u202e\x7f\u2028"}


def test_a_number_beyond_every_range_does_not_stop_a_line():
    rows = TextRows("ab" * 16, "n1", 0, TextClock(), False, lambda *what: None)
    raw = b'{"k":"log","t":%d,"m":"m","r":"%s","x":{"a":1e400000}}' % (NOW, RUN.encode())
    line = rows.line(*Sites().read(raw), RUN, 1, 1)
    assert "1e400000" in line or "inf" in line.lower()


def test_a_command_line_is_masked_before_it_is_cut():
    rows = TextRows("ab" * 16, "n1", 0, TextClock(), False, lambda *what: None)
    token = "ghp_" + "k9Zq83hfkQ02mdkq7Lw1" + "aB3dE5fG7hJ9kL2m"
    data = json.dumps({"command": ["job", "--password=hunter2secret", "x" * 950, token]})
    line = rows.event(RUN, NOW, 1, 1, records.RUN_STARTED, None, data)
    assert "run started: job --password=" in line and "hunter2secret" not in line and "ghp_" not in line


def test_a_call_site_that_is_known_reads_like_one_that_is_not():
    put = []
    rows = TextRows("ab" * 16, "n1", 7, TextClock(), True, lambda *what: put.append(what))
    sites = Sites()
    payload = b'{"k":"log","lv":40,"lg":"etl","f":"load.py","ln":12,"fn":"go","m":"told","t":%d,"r":"%s"}' % (
        NOW,
        RUN.encode(),
    )
    first, second = (rows.line(*sites.read(payload), RUN, 1, 1) for _ in range(2))
    found = json.loads(first.replace(PIPELINE, '"p"', 1))
    assert first == second and found["level"] == "ERROR"
    assert (found["logger"], found["file"], found["line"], found["func"]) == ("etl", "load.py", 12, "go")
