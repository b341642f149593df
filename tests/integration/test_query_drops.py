"""What was not kept is summed once, whoever says it and however often; what nobody can believe counts as nothing."""

import pytest

from flightlog import identity
from flightlog.journal.encode import encode
from flightlog.query.audit import audit
from flightlog.query.drops import Lost, lost_output, of_runs, settled, words
from flightlog.store.db import connect
from integration.shipping import NODE, execute, fetch, log
from unit.query.recorded import SECOND, Recorded, ago, event

OUT, ERR = "0a" * 16, "0b" * 16


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def story(recorded):
    """Write what keeper and shim say of one run, and ship it; return the run."""
    begin = ago(minutes=5)

    def write(*told, start=True):
        run = identity.new_ulid()
        first = [event(run, "run.started", begin, {"pipeline": "orders", "kind": "supervised"})] if start else []
        recorded.write(run, first + [event(run, name, begin + n * SECOND, x) for n, (name, x) in enumerate(told, 1)])
        recorded.ship()
        return run

    return write


def gap(lost, writer=OUT):
    return "capture.gap", {"writer": writer, "stream": "stdout", "lost": lost}


def end(*losts, **more):
    captures = [{"writer": writer, "lost": lost} for writer, lost in zip((OUT, ERR), losts)]
    return "run.ended", {"status": "ok", "exit_code": 0, **({"captures": captures} if losts else {}), **more}


def lost(dsn, run):
    with connect(dsn, "test") as connection:
        assert {one.run for one in lost_output(connection, None)} <= {run}
        return {one.writer: one.size for one in lost_output(connection, [run])}


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ([end(0, 0)], {}),
        ([gap(5), gap(70), end(100, 0)], {OUT: 100}),
        ([gap(5), gap(7, ERR), end(5, 7)], {OUT: 5, ERR: 7}),
        ([gap(5), end(5, 0), gap(9)], {OUT: 9}),  # descendants went on writing
        ([gap(100), end(36, 0)], {OUT: 36}),  # what had been missing was found room for
        ([gap(5), gap(50)], {OUT: 50}),  # nobody could say the end
        ([end(lost=30, cut=True)], {"": 30}),  # no room to say of which
        ([gap(5), end(lost=30, cut=True)], {OUT: 5, "": 25}),
        ([("capture.gap", {"lost": 8})], {"": 8}),
        ([gap("many"), end(None, True)], {}),
        ([gap(-4)], {}),
        ([end(captures={"lost": 3})], {}),
        ([gap(4e300)], {OUT: 10**18}),
        ([gap(-4e300)], {}),
    ],
)
def test_the_newest_word_about_a_capture_holds(dsn, story, told, wanted):
    assert lost(dsn, story(*told)) == wanted


def test_runs_are_told_apart(dsn, story, recorded):
    run, other, well = story(gap(5), end(6, 0)), story(end(8, 9)), story(end(0, 0))
    writer = identity.new_writer_id()
    recorded.write(
        well, [log(well, "a"), encode({"k": "drops", "t": ago(minutes=1), "dropped": {"20/x": 3}})], writer=writer
    )
    recorded.ship()
    with connect(dsn, "test") as connection:
        found = of_runs(connection, [run, other, well])
        assert [(found[one].records, found[one].lost_bytes) for one in (run, other, well)] == [(0, 6), (0, 17), (3, 0)]
        assert of_runs(connection, []) == {}


def test_who_looks_at_a_run_does_not_read_all_its_events(dsn, story):
    run = story(*[gap(n) for n in range(3)], *[("progress", {"done": n}) for n in range(50)])
    with connect(dsn, "test") as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT data FROM pipeline_events WHERE event = 'capture.gap' AND run_id = ANY (%s)", ([run],)
        ).fetchall()
    assert "run_id_idx" in str(plan) and "Filter" not in str(plan), plan


def test_the_audit_counts_it_at_its_capture_once(dsn, story, recorded):
    run = story(gap(5), end(6, 0))
    found = [account(dsn, runs) for runs in (None, [run])]
    for one in found:
        assert not one.good and one.total("lost_bytes") == 6
        (bad,) = [item for item in one.writers if not item.good]
        assert (bad.writer, bad.kind, bad.node, bad.run, bad.pipeline) == (OUT, "capture", NODE, run, "orders")
        assert bad.lost_bytes == 6 and bad.written == 0
    execute(dsn, f"UPDATE pipeline_writers SET writer_id = '{OUT}' WHERE run_id = '{run}'")
    assert fetch(dsn, f"SELECT count(*) FROM pipeline_writers WHERE writer_id = '{OUT}'") == [(1,)]
    (item,) = account(dsn, [run]).writers
    assert (item.writer, item.lost_bytes) == (OUT, 6)


def account(dsn, runs):
    with connect(dsn, "test") as connection:
        return audit(connection, runs, NODE, {})


def test_words_of_a_whole_run_are_not_added_to_those_of_its_captures():
    told = [Lost("r", "a", "n", None, 1), Lost("r", "", "n", None, 10), Lost("r", "a", "n", None, 4)]
    assert settled(told) == [told[2], told[1]._replace(size=6)]


@pytest.mark.parametrize("level", ["--5", "\u00b2", "5-", "", "x", "9" * 64])
def test_a_level_may_be_anything(level):
    assert words({f"{level}/pressure": 3}) == "pressure: TRACE 3"
