"""Rows derived from an event: each number once, and nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from flightlog.agent.copytext import Clock
from flightlog.agent.metric_rows import METRIC_COLUMNS, metric_lines
from flightlog.agent.rows import LogRows

RUN, WRITER = "01M86ZYTH9FGWWWGERS15X8FFQ", "a" * 32
CLOCK = Clock({0})
ROWS = LogRows(WRITER, "n\\1", 5, CLOCK)
CLOCK.days.add(CLOCK.now_ns // 86400 // 10**9)


def line(data, name="metrics"):
    text = data if isinstance(data, str) else json.dumps(data)
    return ROWS.event(RUN, CLOCK.now_ns, 3, 4, name, None, text)


def test_one_row_for_each_number():
    found = [
        row.rstrip("\n").split("\t")
        for row in metric_lines(line({"t": 5, "cpu_s": 1.5, "rss_kb": 7, "state": "S", "x": True}))
    ]
    assert [row[6:] for row in found] == [["cpu_s", "counter", "1.5"], ["rss_kb", "gauge", "7.0"]]
    for row in found:
        assert [row[0], *row[2:6]] == [RUN, "3", "4", WRITER, "n\\\\1"]
        assert len(row) == len(METRIC_COLUMNS) - 1  # labels are the default


def test_other_events_have_none():
    assert metric_lines(line({"rss_kb": 7}, "progress")) == []
    assert metric_lines(line({"m": "\tmetrics\t"}, "progress")) == []


def test_what_is_no_number_is_left_out():
    for data in ("7", "[]", "{", '{"a": NaN}', '{"a": Infinity}', '{"a": 1' + "0" * 400 + "}", '{"a\\u0000": 1}'):
        assert metric_lines(line(data)) == [], data


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)))
def test_it_is_total_and_each_row_is_one_line(data):
    for row in metric_lines(line(data)):
        assert row.count("\n") == 1 and row.endswith("\n") and row.count("\t") == 8
