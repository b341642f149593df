"""Rows derived from an event: each number once, and nothing else."""

import json

import pytest
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
    assert [row[6:] for row in found] == [["cpu_s", "counter", "1.5", "{}"], ["rss_kb", "gauge", "7.0", "{}"]]
    for row in found:
        assert [row[0], *row[2:6]] == [RUN, "3", "4", WRITER, "n\\\\1"]
        assert len(row) == len(METRIC_COLUMNS)


def test_what_a_pipeline_says_of_itself():
    said = [
        {"name": "depth", "kind": "gauge", "value": 3.0, "min": 1, "max": 9, "unit": "jobs"},
        {"name": "rows_read", "kind": "counter", "value": 10, "count": 2},
        {
            "name": "took",
            "kind": "histogram",
            "value": 6.0,
            "count": 3,
            "max": 3.0,
            "p50": 2.0,
            "p90": 2.9,
            "unit": "s",
        },
    ]
    found = metric_lines(line({"stage": "a\tb/\\c", "figures": said}, "figures"))
    rows = [row.rstrip("\n").split("\t")[6:] for row in found]
    labels = [json.loads(row[3].replace("\\\\", "\\")) for row in rows]
    assert [row[:3] for row in rows] == [
        ["depth", "gauge", "3.0"],
        ["rows_read", "counter", "10.0"],
        ["took.p50", "gauge", "2.0"],
        ["took.p90", "gauge", "2.9"],
        ["took.max", "gauge", "3.0"],  # p99 is missing, and left out
        ["took.count", "counter", "3.0"],
        ["took.sum", "counter", "6.0"],
    ]
    assert all(one["stage"] == "a\tb/\\c" for one in labels)
    assert [one.get("unit") for one in labels] == ["jobs", None, "s", "s", "s", None, "s"]


@pytest.mark.parametrize(
    "data",
    [
        {"figures": 7},
        {"figures": [7, None, {}, {"name": 5}, {"name": "x", "kind": "other", "value": 1}]},
        {"figures": [{"name": "x", "kind": "gauge", "value": "7"}, {"name": "x", "kind": "gauge", "value": True}]},
        {"figures": [{"name": "x" * 200, "kind": "gauge", "value": 7}]},
    ],
)
def test_figures_that_make_no_sense_are_none(data):
    assert metric_lines(line(data, "figures")) == []


def test_other_events_have_none():
    assert metric_lines(line({"rss_kb": 7}, "progress")) == []
    assert metric_lines(line({"m": "\tmetrics\t"}, "progress")) == []


def test_what_is_no_number_is_left_out():
    for data in ("7", "[]", "{", '{"a": NaN}', '{"a": Infinity}', '{"a": 1' + "0" * 400 + "}", '{"a\\u0000": 1}'):
        assert metric_lines(line(data)) == [], data


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)))
def test_it_is_total_and_each_row_is_one_line(data):
    for row in metric_lines(line(data)):
        assert row.count("\n") == 1 and row.endswith("\n") and row.count("\t") == 9
