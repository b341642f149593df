"""Log lines: the newest, all, and every filter."""

import datetime
import tracemalloc

import pytest

from flightlog import identity
from flightlog.errors import SinkError, UsageError
from flightlog.query.logs import Filter, check, everything, newest
from flightlog.store.db import connect
from integration.shipping import log
from unit.query.recorded import SECOND, Recorded, ago, moment


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def connection(dsn):
    with connect(dsn, "test") as one:
        yield one


def said(lines):
    return [line.message for line in lines]


def test_the_newest_lines_come_oldest_first(connection, recorded):
    run = recorded.run(at=ago(minutes=5), messages=[str(n) for n in range(20)])
    other = recorded.run("other", at=ago(minutes=1), messages=["x"])
    assert said(newest(connection, Filter(runs=[run]), 5)) == ["15", "16", "17", "18", "19"]
    assert said(newest(connection, Filter(runs=[run]), 0)) == []
    assert said(newest(connection, Filter(runs=[run]), 99)) == [str(n) for n in range(20)]
    assert said(newest(connection, Filter(runs=[other, run]), 3)) == ["18", "19", "x"]
    assert said(newest(connection, Filter(), 3)) == ["18", "19", "x"]
    assert said(newest(connection, Filter(runs=[]), 3)) == []


@pytest.mark.parametrize(
    "spans", [{"seconds": 5}, {"minutes": 7}, {"hours": 1}, {"hours": 20}, {"days": 8}, {"days": 20}]
)
def test_the_newest_of_all_runs_are_found_however_old_they_are(connection, recorded, spans):
    run = recorded.run(at=ago(**spans), messages=["a", "b", "c"])
    assert said(newest(connection, Filter(), 2)) == ["b", "c"]
    assert said(newest(connection, Filter(), 200)) == ["a", "b", "c"]
    assert said(newest(connection, Filter(since=moment(ago(days=25))), 200)) == ["a", "b", "c"]
    assert newest(connection, Filter(since=moment(ago(seconds=-90))), 200) == []
    assert [line.run for line in newest(connection, Filter(), 1)] == [run]


def test_a_line_has_everything(connection, recorded):
    t = ago(minutes=1) // 1000 * 1000
    error = {"type": "E", "module": "m", "message": "bad", "frames": [], "cause": None, "context": None}
    run = identity.new_ulid(t)
    more = {"lv": 40, "lg": "etl.load", "s": "a/b", "th": "MainThread", "f": "x.py", "ln": 3, "fn": "go"}
    writer = recorded.write(run, [log(run, "é\n\tx", t, x={"rows": 3, "at": {"b": [1, None]}}, e=error, **more)])
    recorded.ship()
    (line,) = newest(connection, Filter(runs=[run]), 9)
    assert (line.ts, line.level, line.levelno, line.message) == (moment(t), "ERROR", 40, "é\n\tx")
    assert (line.logger, line.pipeline, line.run, line.stage, line.node) == (
        "etl.load",
        "orders",
        run,
        "a/b",
        "testnode",
    )
    assert (line.writer, line.seq, line.pos, line.source) == (writer, 1, 1, "sdk")
    assert (line.thread, line.file, line.line, line.func) == ("MainThread", "x.py", 3, "go")
    assert (line.fields, line.exception, line.ts_claimed, line.flags) == (
        {"rows": 3, "at": {"b": [1, None]}},
        error,
        None,
        0,
    )


def test_the_order_of_history_is_time_node_position(connection, recorded, dsn, home):
    t = ago(minutes=1)
    run = identity.new_ulid(t)
    other = Recorded(dsn, home, node="anode")
    recorded.write(run, [log(run, "n2", t + 1000), log(run, "n1", t), log(run, "n3", t + 1000)])
    other.write(run, [log(run, "a1", t + 1000), log(run, "a2", t + 1000)])
    recorded.ship()
    other.ship()
    wanted = ["n1", "a1", "a2", "n2", "n3"]
    assert said(newest(connection, Filter(runs=[run]), 9)) == wanted
    assert said(newest(connection, Filter(), 9)) == wanted
    assert said(everything(connection, Filter(runs=[run]))) == wanted
    assert said(everything(connection, Filter())) == wanted
    assert said(everything(connection, Filter(runs=[run]), newest_first=True)) == wanted[::-1]
    assert said(everything(connection, Filter(), newest_first=True)) == wanted[::-1]
    assert said(newest(connection, Filter(node="anode"), 9)) == ["a1", "a2"]


@pytest.fixture
def mixed(recorded):
    t = ago(minutes=10)
    run = identity.new_ulid(t)
    rows = [
        ("debugging", {"lv": 10, "lg": "etl"}),
        ("Loaded file", {"lv": 20, "lg": "etl.load", "s": "extract"}),
        ("slow disk", {"lv": 30, "lg": "etl.load.disk", "s": "extract/merge"}),
        ("Time-Out", {"lv": 40, "lg": "etlx", "s": "extract2"}),
        ("from us", {"lv": 25, "lg": "", "src": "flightlog", "s": "load"}),
        ("50% _x_ a\\b", {"lv": 50, "lg": "other"}),
    ]
    payloads = [log(run, text, t + n * 60 * SECOND, **more) for n, (text, more) in enumerate(rows)]
    recorded.write(run, payloads)
    recorded.ship()
    return run, t


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"low": 30}, "235"),
        ({"low": 20, "high": 30}, "124"),
        ({"high": 10}, "0"),
        ({"stage": "extract"}, "12"),
        ({"stage": "extract/merge"}, "2"),
        ({"stage": "ext"}, ""),
        ({"logger": "etl"}, "012"),
        ({"logger": "etl.load"}, "12"),
        ({"logger": "other"}, "5"),
        ({"source": "flightlog"}, "4"),
        ({"source": "stdout"}, ""),
        ({"node": "testnode"}, "012345"),
        ({"node": "n9"}, ""),
        ({"grep": "loaded"}, "1"),
        ({"grep": "Loaded"}, "1"),
        ({"grep": "loadeD"}, ""),
        ({"grep": "time.?out"}, "3"),
        ({"grep": "^d|k$"}, "02"),
        ({"grep": r"\Ddisk"}, "2"),
        ({"grep": r"TIME\s*"}, ""),
        ({"grep": r"time\S+"}, "3"),
        ({"grep": "50% _x_"}, "5"),
        ({"grep": r"a\\b"}, "5"),
        ({"low": 30, "logger": "etl", "grep": "disk"}, "2"),
    ],
)
def test_filters(connection, mixed, filters, wanted):
    run, _ = mixed
    everybody = said(newest(connection, Filter(runs=[run]), 9))
    expected = [everybody[int(digit)] for digit in wanted]
    assert said(newest(connection, Filter(runs=[run], **filters), 9)) == expected
    assert said(newest(connection, Filter(**filters), 9)) == expected
    assert said(everything(connection, Filter(runs=[run], **filters))) == expected
    assert said(everything(connection, Filter(**filters))) == expected


def test_since_is_inclusive_and_until_is_not(connection, mixed):
    run, t = mixed
    at = [moment((t + n * 60 * SECOND) // 1000 * 1000) for n in range(6)]
    wanted = Filter(runs=[run], since=at[1], until=at[3])
    assert said(newest(connection, wanted, 9)) == ["Loaded file", "slow disk"]
    assert said(newest(connection, Filter(since=at[1], until=at[3]), 9)) == ["Loaded file", "slow disk"]
    assert said(newest(connection, Filter(until=at[3]), 1)) == ["slow disk"]
    zoned = at[1].astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    assert said(everything(connection, Filter(runs=[run], since=zoned, until=at[2]))) == ["Loaded file"]


@pytest.mark.parametrize("text", ["(", "[a", "a{2,1}", "*"])
def test_an_expression_that_is_none(connection, text):
    with pytest.raises(UsageError):
        check(connection, Filter(grep=text))
    check(connection, Filter(grep="fine.*"))
    check(connection, Filter())


def test_a_store_that_is_gone_is_no_bad_expression(connection):
    connection.close()
    with pytest.raises(SinkError):
        check(connection, Filter(grep="x"))


def test_everything_is_read_in_bounded_memory(connection, recorded):
    run = identity.new_ulid(ago(minutes=5))
    t = ago(minutes=5)
    recorded.write(run, [log(run, f"{n} " + "x" * 500, t + n * 1000) for n in range(12000)])
    recorded.ship()
    for wanted in (Filter(runs=[run]), Filter(runs=[run, "0" * 26]), Filter()):
        tracemalloc.start()
        numbers = [int(line.message.partition(" ")[0]) for line in everything(connection, wanted)]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert numbers == list(range(12000))
        assert peak < 8_000_000  # all of them are more than 12 MB


def test_a_stream_that_is_left_early_leaves_the_connection_usable(connection, recorded):
    run = recorded.run(messages=["a"] * 50, at=ago(minutes=2))
    lines = everything(connection, Filter(runs=[run]))
    next(lines)
    lines.close()
    assert len(newest(connection, Filter(runs=[run]), 99)) == 50


def test_records_of_a_run_nobody_announced_are_shown(connection, recorded, dsn):
    run = recorded.run(messages=["a"])
    with connect(dsn, "test") as other:
        other.execute("DELETE FROM pipeline_runs")
    assert [(line.message, line.pipeline) for line in newest(connection, Filter(runs=[run]), 9)] == [("a", None)]
