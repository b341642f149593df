"""What people type to name runs."""

import datetime

import pytest

from flightlog import identity
from flightlog.errors import NotFound, UsageError
from flightlog.query.selectors import pipelines, resolve, select
from flightlog.store.db import connect
from integration.shipping import execute
from unit.query.recorded import Recorded, ago


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def runs(recorded):
    """Three of orders, two days, one hour and one minute ago; one of each of two others."""
    return {
        "old": recorded.run(at=ago(days=2)),
        "bad": recorded.run(at=ago(hours=1), end=("failed", 3)),
        "new": recorded.run(at=ago(minutes=1)),
        "a": recorded.run("team/a", at=ago(minutes=3)),
        "b": recorded.run("team/b", at=ago(minutes=2), end=("failed", "SIGSEGV")),
    }


@pytest.fixture
def connection(dsn):
    with connect(dsn, "test") as one:
        yield one


@pytest.mark.parametrize(
    ("selectors", "wanted"),
    [
        (["orders"], ["new"]),
        (["orders@0"], ["new"]),
        (["orders@-1"], ["bad"]),
        (["orders@-2"], ["old"]),
        (["orders@all"], ["new", "bad", "old"]),
        (["@failed"], ["b"]),
        (["orders@failed"], ["bad"]),
        (["team/*"], ["b", "a"]),
        (["*"], ["new", "b", "a"]),
        (["team/?@all"], ["b", "a"]),
        (["[a-o]rders@-1"], ["bad"]),
        (["team/a", "orders@-2", "orders", "team/*"], ["new", "b", "a", "old"]),
    ],
)
def test_names(connection, runs, selectors, wanted):
    assert resolve(connection, selectors) == [runs[name] for name in wanted]


def test_a_day_is_one_of_the_local_zone(connection, runs, recorded, monkeypatch):
    day = datetime.date.today() - datetime.timedelta(10)
    noon = datetime.datetime.combine(day, datetime.time(12), datetime.timezone.utc).timestamp()
    run = recorded.run(at=int(noon * 1e9))
    late = recorded.run(at=int((noon + 11.5 * 3600) * 1e9))
    import time

    try:
        for zone, wanted in (("UTC", [late, run]), ("Asia/Tokyo", [run]), ("America/New_York", [late, run])):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert resolve(connection, [f"orders@{day}"]) == wanted
    finally:
        monkeypatch.undo()
        time.tzset()


def test_ids_their_beginnings_and_short_forms_in_any_case(connection, runs):
    run = runs["old"]
    for text in (run, run.lower(), run[:12], run[-6:], run[-6:].lower(), run[:25]):
        assert resolve(connection, [text]) == [run]


def test_an_ambiguous_beginning_lists_the_candidates(connection, runs, recorded):
    with pytest.raises(NotFound) as caught:
        resolve(connection, [runs["old"][:4]])
    assert caught.value.exit_code == 4
    assert all(run in caught.value.message for run in runs.values())
    assert f"{runs['b']} (team/b, failed)" in caught.value.message


def test_an_ambiguous_short_form_lists_the_candidates(connection, recorded):
    first = recorded.run(at=ago(hours=2))
    second = recorded.run(run=identity.new_ulid(ago(hours=1))[:-6] + first[-6:])
    with pytest.raises(NotFound, match=f"{second}.*{first}"):
        resolve(connection, [first[-6:]])
    assert resolve(connection, [first]) == [first]


def test_more_candidates_than_are_shown(connection, recorded, dsn):
    run = recorded.run(at=ago(hours=1))
    execute(
        dsn,
        "INSERT INTO pipeline_runs (run_id, pipeline, node, started_at)"
        f" SELECT left('{run}', 20) || lpad(n::text, 6, '0'), 'x', 'n', now() FROM generate_series(1, 20) n",
    )
    with pytest.raises(NotFound, match="and more"):
        resolve(connection, [run[:12]])


def test_a_pipeline_name_stands_before_what_else_it_could_mean(connection, recorded):
    target = recorded.run(at=ago(hours=1))
    names = [target[-6:], target[:10], "mail@host", "what[a]", "*", "orders@all"]
    for name in names:
        run = recorded.run(name)
        assert resolve(connection, [name]) == [run]
    assert resolve(connection, ["mail@host@0"]) == resolve(connection, ["mail@host"])


@pytest.mark.parametrize("text", ["ordrs", "ORDERS", "order", "rders@all", "orderz@-1", "orders-old"])
def test_an_unknown_name_is_told_near_ones(connection, runs, text):
    with pytest.raises(NotFound) as caught:
        resolve(connection, [text])
    assert text.partition("@")[0] in caught.value.message
    assert "orders" in caught.value.hint


@pytest.mark.parametrize("text", ["orders@-9", "orders@2020-01-01", "team/a@failed", "team/*@-5"])
def test_a_run_that_is_not_there(connection, runs, text):
    with pytest.raises(NotFound, match="no such run"):
        resolve(connection, [text])


@pytest.mark.parametrize(
    "text", ["zzz-*", "zzz-*@all", "qqqqqqq", "", "\x1b[31m", "'; DROP TABLE pipeline_runs; --", "%", "_____"]
)
def test_nothing_that_matches(connection, runs, text):
    with pytest.raises(NotFound):
        resolve(connection, [text])


@pytest.mark.parametrize("text", ["orders@", "orders@x", "orders@2026-13-01", "orders@5", "@all", "@", "orders@-1x"])
def test_what_is_no_selector(connection, runs, text):
    with pytest.raises(UsageError):
        resolve(connection, [text])


def test_an_empty_store(connection):
    for text in ("orders", "@failed", "*", "orders@-1", "01M86ZYTH9FGWWWGERS15X8FFQ"):
        with pytest.raises(NotFound):
            resolve(connection, [text])
    with pytest.raises(NotFound) as caught:
        resolve(connection, ["orders"])
    assert "flightlog run" in caught.value.hint


def test_later_runs_belong_to_names_and_globs_only(connection, runs):
    assert select(connection, ["orders"]).pipelines == ["orders"]
    assert sorted(select(connection, ["team/*"]).pipelines) == ["team/a", "team/b"]
    assert select(connection, ["orders@all"]).pipelines == ["orders"]
    assert select(connection, ["orders@-1", runs["a"], "@failed"]).pipelines == []


def test_pipelines_by_name_or_glob(connection, runs):
    assert pipelines(connection, ["orders"]) == ["orders"]
    assert sorted(pipelines(connection, ["team/*", "orders"])) == ["orders", "team/a", "team/b"]
    with pytest.raises(NotFound) as caught:
        pipelines(connection, ["orderz"])
    assert caught.value.hint == "orders"
