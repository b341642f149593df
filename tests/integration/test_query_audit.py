"""The audit finds what is missing, doubled, dropped, corrupt, and says what it cannot know."""

import os

import pytest

from flightlog import identity
from flightlog.agent.spool_scan import look
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of, segment_name
from flightlog.query.audit import VANISHED, audit
from flightlog.store.db import connect
from integration.shipping import execute, fetch, log
from unit.query.recorded import Recorded, ago, event


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


def account(dsn, runs=None, node="testnode", pending=None):
    with connect(dsn, "test") as connection:
        return audit(connection, runs, node, pending or {})


def counts(found):
    names = ("written", "stored", "dead", "dropped", "corrupt", "missing", "duplicates", "unproven")
    return {name: found.total(name) for name in names if found.total(name)}


def test_all_is_well(dsn, recorded):
    run = recorded.run(messages=["a", "b", "c"], at=ago(minutes=1))
    other = recorded.run("other", messages=["x"])
    found = account(dsn)
    assert found.good
    assert counts(found) == {"written": 8, "stored": 8}
    assert [(item.run, item.pipeline, item.kind, item.closed) for item in found.writers] == [
        (run, "orders", "journal", True),
        (other, "other", "journal", True),
    ]
    assert counts(account(dsn, [run])) == {"written": 5, "stored": 5}
    assert counts(account(dsn, [other, run])) == {"written": 8, "stored": 8}


def test_nothing_is_recorded(dsn):
    assert account(dsn).writers == []
    assert account(dsn, []).good


@pytest.mark.parametrize("table", ["pipeline_logs", "pipeline_events"])
def test_a_row_that_is_gone_is_missing(dsn, recorded, table):
    run = recorded.run(messages=["a", "b", "c"], at=ago(minutes=1))
    recorded.run("other")
    execute(
        dsn, f"DELETE FROM {table} WHERE ctid = (SELECT ctid FROM {table} WHERE run_id = '{run}' AND seq < 5 LIMIT 1)"
    )
    for found in (account(dsn), account(dsn, [run])):
        assert not found.good
        assert found.total("missing") == 1
        (bad,) = [item for item in found.writers if not item.good]
        assert (bad.run, bad.missing, bad.written - bad.stored) == (run, 1, 1)
    assert account(dsn, [fetch(dsn, "SELECT run_id FROM pipeline_runs WHERE pipeline = 'other'")[0][0]]).good


def test_all_rows_of_a_writer_are_gone(dsn, recorded):
    run = recorded.run(messages=["a", "b", "c"], at=ago(minutes=1))
    execute(dsn, "TRUNCATE pipeline_logs, pipeline_events")
    assert counts(account(dsn)) == counts(account(dsn, [run])) == {"written": 5, "missing": 5}


def test_a_row_that_is_there_twice(dsn, recorded):
    run = recorded.run(messages=["a", "b"], at=ago(minutes=1))
    execute(dsn, "INSERT INTO pipeline_logs SELECT * FROM pipeline_logs WHERE message = 'a'")
    for found in (account(dsn), account(dsn, [run])):
        assert not found.good
        assert counts(found) == {"written": 4, "stored": 4, "duplicates": 1}


def test_one_missing_and_one_doubled_do_not_cancel_each_other(dsn, recorded):
    recorded.run(messages=["a", "b"], at=ago(minutes=1))
    execute(
        dsn,
        "DELETE FROM pipeline_logs WHERE message = 'b'",
        "INSERT INTO pipeline_logs SELECT * FROM pipeline_logs WHERE message = 'a'",
    )
    assert counts(account(dsn)) == {"written": 4, "stored": 3, "missing": 1, "duplicates": 1}


def test_a_row_with_a_number_that_was_never_given(dsn, recorded):
    recorded.run(messages=["a"], at=ago(minutes=1))
    execute(dsn, "INSERT INTO pipeline_logs (run_id, ts, pos, seq, writer_id, levelno, level, message, source, node)"
                 " SELECT run_id, ts, 99, 99, writer_id, 20, 'INFO', 'forged', 'sdk', node FROM pipeline_logs")  # fmt: skip
    (item,) = account(dsn).writers
    assert "numbers" in item.unproven


def test_dead_letters_are_kept_and_a_lost_one_is_missing(dsn, recorded):
    run = identity.new_ulid()
    recorded.write(run, [log(run, "a"), b"this is no JSON", log(run, "b")])
    recorded.ship()
    found = account(dsn)
    assert found.good
    assert counts(found) == {"written": 3, "stored": 2, "dead": 1}
    execute(dsn, "DELETE FROM pipeline_dead_letters")
    assert counts(account(dsn, [run])) == {"written": 3, "stored": 2, "missing": 1}


def test_drops_are_bad_also_of_a_writer_that_wrote_nothing_else(dsn, recorded):
    run = identity.new_ulid()
    drops = encode({"k": "drops", "t": ago(), "dropped": {"INFO": 5}, "r": run})
    recorded.write(run, [event(run, "run.started", ago(), {"pipeline": "orders"}), drops])
    recorded.ship()
    for runs in (None, [run]):
        found = account(dsn, runs)
        assert (found.good, found.total("dropped")) == (False, 5)
    execute(dsn, "DELETE FROM pipeline_run_writers")
    assert account(dsn, [run]).total("dropped") == 5


def test_corrupt_bytes_are_bad_and_a_torn_end_is_not(dsn, recorded):
    run = identity.new_ulid()
    payloads = [log(run, f"m{n}") for n in range(5)]
    writer = recorded.write(run, payloads)
    path = os.path.join(recorded.spool, segment_name(writer, 0))
    with open(path, "rb") as file:
        data = file.read()
    at = data.index(b"m2")
    with open(path, "wb") as file:
        file.write(data[:at] + b"?" + data[at + 1 :] + frame(log(run, "torn"), salt_of(writer), 6)[:-3])
    recorded.ship()
    found = account(dsn)
    assert not found.good
    assert (found.total("corrupt") > 0, found.total("torn_bytes") > 0, found.total("missing")) == (True, True, 0)
    execute(dsn, "UPDATE pipeline_writers SET corrupt = 0")
    assert account(dsn).good


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE pipeline_ship_ledger SET from_offset = 10", "seam"),
        ("UPDATE pipeline_ship_ledger SET from_seq = 2", "seam"),
        ("UPDATE pipeline_ship_ledger SET to_offset = to_offset - 1", "does not end"),
        ("UPDATE pipeline_ship_ledger SET to_seq = to_seq + 1", "does not end"),
        ("DELETE FROM pipeline_ship_ledger", "seam"),
        ("UPDATE pipeline_writers SET next_seq = next_seq + 1", "does not end"),
        ("UPDATE pipeline_writers SET stored = stored - 1", "numbers"),
        (
            """INSERT INTO pipeline_ship_ledger SELECT writer_id, day + 1, from_segno, to_offset + 7, to_segno, to_offset + 9,
               to_seq, to_seq, 0, 0, 0, 0 FROM pipeline_ship_ledger""",
            "seam",
        ),
    ],
)
def test_a_broken_ledger_proves_nothing(dsn, recorded, statement, reason):
    run = recorded.run(messages=["a", "b"], at=ago(minutes=1))
    execute(dsn, statement)
    for found in (account(dsn), account(dsn, [run])):
        assert not found.good
        assert found.total("unproven") == 1
        assert reason in found.writers[0].unproven


def test_a_ledger_of_several_days_joins(dsn, recorded):
    run = identity.new_ulid()
    writer = recorded.write(run, [log(run, "a")])
    recorded.ship(look_alive=False)
    for day in (3, 2, 1):
        execute(
            dsn,
            f"UPDATE pipeline_ship_ledger SET day = current_date - {day} WHERE day = (now() AT TIME ZONE 'UTC')::date",
        )
        recorded.write(run, [log(run, f"on day {day}")], writer=writer, first_n=5 - day)
        recorded.ship(look_alive=day == 1)
    found = account(dsn)
    assert fetch(dsn, "SELECT count(*) FROM pipeline_ship_ledger") == [(4,)]
    assert (found.good, found.total("stored")) == (True, 4)
    execute(dsn, "DELETE FROM pipeline_ship_ledger WHERE day = current_date - 2")
    assert "seam" in account(dsn).writers[0].unproven


def test_a_writer_that_lives_here_is_proven_by_its_files(dsn, recorded):
    run = identity.new_ulid()
    writer = recorded.write(run, [log(run, "a")])
    recorded.ship(look_alive=False)
    assert writer in look([recorded.spool])
    found = account(dsn, pending={writer: 70})
    assert (found.good, found.total("pending_bytes")) == (True, 70)
    found = account(dsn)
    assert [item.unproven for item in found.writers] == [VANISHED]
    assert not found.good


def test_a_writer_the_store_has_not_heard_of_waits_in_the_spool(dsn, recorded):
    found = account(dsn, pending={"ab" * 16: 4711, "cd" * 16: 0})
    assert [(item.writer, item.pending_bytes, item.good) for item in found.writers] == [("ab" * 16, 4711, True)]
    assert account(dsn, [identity.new_ulid()], pending={"ab" * 16: 4711}).writers == []


def test_another_node_is_believed_as_long_as_its_agent_speaks(dsn, home):
    other = Recorded(dsn, home, node="other")
    run = identity.new_ulid()
    other.write(run, [log(run, "a")])
    other.ship(look_alive=False)
    (item,) = account(dsn).writers
    assert (item.good, item.pending_bytes) == (True, None)
    execute(dsn, "UPDATE pipeline_agents SET heartbeat_at = now() - interval '61 seconds'")
    (item,) = account(dsn, [run]).writers
    assert "agent of its node other is silent" in item.unproven
    other.ship()
    (item,) = account(dsn).writers  # it has ended: nothing can be missing
    assert (item.closed, item.good, item.pending_bytes) == (True, True, 0)
    execute(dsn, "DELETE FROM pipeline_agents", "UPDATE pipeline_writers SET closed_at = NULL")
    assert "silent" in account(dsn).writers[0].unproven


def test_a_writer_of_several_runs_is_counted_whole(dsn, recorded):
    first, second = identity.new_ulid(ago(minutes=2)), identity.new_ulid()
    recorded.write(first, [log(first, "a"), log(second, "b"), log(second, "c")])
    recorded.write(second, [log(second, "d")])
    recorded.ship()
    assert counts(account(dsn, [first])) == {"written": 3, "stored": 3}
    assert counts(account(dsn, [second])) == {"written": 4, "stored": 4}
    execute(dsn, "DELETE FROM pipeline_logs WHERE message = 'b'")
    assert account(dsn, [first]).total("missing") == 1


def test_a_capture_that_does_not_say_whose_it_is(dsn, recorded):
    writer = identity.new_writer_id()
    for suffix in (".meta", ".000000.cap", ".end"):
        with open(os.path.join(recorded.spool, writer + suffix), "wb"):
            pass
    recorded.ship()
    (item,) = account(dsn).writers
    assert (item.kind, item.run, item.pipeline, item.good) == ("capture", "", None, True)
