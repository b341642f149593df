"""The agent audits its own node once a day: what somebody removed or doubled in the store is found, told and recorded, by a login that may not read."""

import datetime
import os
import time

import pytest

from flightlog import identity, records
from flightlog.agent import self_check
from flightlog.agent.agent import Agent
from flightlog.agent.self_check import SelfCheck
from flightlog.config import values
from flightlog.errors import SinkUnavailable
from flightlog.store.ingest import PostgresSink
from integration.shipping import NODE, execute, fetch, segment, ship_all, shipper_for, sink_for, spool_of, write

NIGHT = 3 * 60


@pytest.fixture
def shipped(dsn, home):
    """Five writers with three records each, one of them poisonous, in the store."""
    spool = spool_of(home)
    writers = [write(spool, identity.new_ulid(), ["a", "b", "c"]) for _ in range(4)]
    run = identity.new_ulid()
    poison = identity.new_writer_id()
    segment(spool, poison, 0, [b"no JSON", b"[]", b'{"k":"log","m":"good","r":"%s"}' % run.encode()], run=run)
    ship_all(shipper_for(dsn, home), spool)
    return [*writers, poison]


def check(dsn, home, part=2, sink=None):
    one = SelfCheck(str(home), NIGHT)
    sink = sink or sink_for(dsn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_check, "PART", part)
        for _ in range(20):
            result = one.step(sink)
            if result is not None:
                sink.close()
                return result
    raise AssertionError("the check does not end")


@pytest.mark.parametrize("part", [1, 2, 5, 200])
def test_what_is_there_is_good_in_parts_of_any_size(dsn, home, shipped, part):
    result = check(dsn, home, part)
    assert result.good and (result.writers, result.records) == (5, 15)
    assert self_check.load(str(home)) == result
    assert "are all there, once" in result.words()


def test_a_part_reads_a_bounded_number_of_rows_and_a_run_that_has_more_is_not_counted(dsn, home, shipped, monkeypatch):
    large = write(spool_of(home), identity.new_ulid(), [f"row {number}" for number in range(9)])
    ship_all(shipper_for(dsn, home), spool_of(home))
    execute(dsn, f"DELETE FROM pipeline_logs WHERE writer_id = '{large}' AND seq = 2")
    monkeypatch.setattr(self_check, "PART_ROWS", 8)
    parts = []

    class Counting(PostgresSink):
        def self_check(self, *arguments):
            parts.append(super().self_check(*arguments))
            return parts[-1]

    sink = Counting(dsn)
    sink.open(NODE, os.getpid())
    result = check(dsn, home, 200, sink)
    assert (result.writers, result.records, result.uncounted, result.missing) == (6, 24, 9, 0)
    assert "9 of them not counted" in result.words()
    assert len(parts) >= 3 and max(sum(row[1] for row in part if row[2]) for part in parts) <= 8
    monkeypatch.setattr(self_check, "PART_ROWS", 100)
    assert check(dsn, home, 200).missing == 1


def test_a_check_that_fails_keeps_nothing_from_being_shipped(dsn, home, monkeypatch):
    """Seen in review: it was due again at once, so that an agent whose check ran into a timeout would have held everything for ever."""

    class Door:
        def wait(self, seconds):
            return False

    class Refusing(PostgresSink):
        asked = 0

        def self_check(self, *arguments):
            Refusing.asked += 1
            raise SinkUnavailable("canceling statement due to statement timeout")

    monkeypatch.setenv("FLIGHTLOG_NODE", NODE)
    agent = Agent(str(home), spool_of(home), lambda: Refusing(dsn), Door(), self_check=NIGHT)
    agent.quiet = True
    agent._self_check._checked_at = time.time() - 2 * 86400
    with pytest.raises(SinkUnavailable):
        for _ in range(5):
            agent.round()
    assert not agent._self_check.is_due()
    write(spool_of(home), identity.new_ulid(), ["after it"])
    assert agent.drain(30.0)
    assert fetch(dsn, "SELECT message FROM pipeline_logs") == [("after it",)]
    for _ in range(3):
        agent.round()
    assert Refusing.asked == 1
    agent.close()


def test_another_node_is_not_looked_at(dsn, home, shipped):
    other = PostgresSink(dsn)
    other.open("other", os.getpid())
    assert check(dsn, home, sink=other).writers == 0


def test_what_was_removed_doubled_or_moved_is_found(dsn, home, shipped):
    removed, doubled, moved, letters, _ = sorted(shipped[:4]) + [shipped[4]]
    execute(
        dsn,
        f"DELETE FROM pipeline_logs WHERE writer_id = '{removed}' AND seq = 2",
        f"INSERT INTO pipeline_logs SELECT * FROM pipeline_logs WHERE writer_id = '{doubled}' AND seq = 1",
        f"UPDATE pipeline_ship_ledger SET to_offset = to_offset + 1 WHERE writer_id = '{moved}'",
        f"DELETE FROM pipeline_dead_letters WHERE writer_id = '{shipped[4]}' AND seq = 1",
    )
    result = check(dsn, home)
    assert (result.missing, result.duplicates, result.doubtful, result.good) == (2, 1, 1, False)
    assert sorted(line.partition(":")[0] for line in result.bad) == sorted([removed, doubled, moved, shipped[4]])
    assert "2 missing, 1 doubled, 1 writers unproven (try: flightlog audit)" in result.words()


def test_the_agent_does_it_tells_it_and_records_it(dsn, home, shipped, monkeypatch, capfd):
    execute(dsn, f"DELETE FROM pipeline_logs WHERE writer_id = '{shipped[0]}' AND seq = 2")

    class Door:
        def wait(self, seconds):
            return False

    monkeypatch.setenv("FLIGHTLOG_HOME", str(home))
    monkeypatch.setenv("FLIGHTLOG_NODE", NODE)
    agent = Agent(str(home), spool_of(home), lambda: PostgresSink(dsn), Door(), self_check=NIGHT)
    agent._self_check._checked_at = time.time() - 2 * 86400
    deadline = time.monotonic() + 60
    while not fetch(dsn, f"SELECT 1 FROM pipeline_events WHERE event = '{records.AUDIT_FAILED}'"):
        agent.round()
        agent._next_alive = 0.0
        assert time.monotonic() < deadline
    agent.close()
    assert "self-check: of 15 records of 5 writers" in capfd.readouterr().err
    ((data,),) = fetch(dsn, f"SELECT data FROM pipeline_events WHERE event = '{records.AUDIT_FAILED}'")
    assert (data["missing"], data["node"]) == (1, NODE) and data["bad"][0].startswith(shipped[0])
    assert not agent._self_check.is_due()
    assert self_check.load(str(home)).missing == 1


def test_it_is_due_once_a_day_from_its_hour_on(tmp_path):
    one = SelfCheck(str(tmp_path), NIGHT)
    assert not one.is_due()  # a new home waits for its first night
    at = datetime.datetime.now().replace(hour=3, minute=0, second=0, microsecond=0)
    latest = (at if at <= datetime.datetime.now() else at - datetime.timedelta(days=1)).timestamp()
    one._checked_at = latest - 1
    assert one.is_due()
    one._checked_at = latest + 1
    assert not one.is_due()
    never = SelfCheck(str(tmp_path), None)
    never._checked_at = 0.0
    assert not never.is_due()


def test_a_broken_file_of_before_is_none(tmp_path):
    for text in ("", "{", "[]", '{"at": 1}'):
        (tmp_path / self_check.FILE).write_text(text)
        assert self_check.load(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("given", "minutes"),
    [("03:00", 180), ("3:00", 180), (180, 180), ("23:59", 1439), ("never", None), (False, None), ("off", None)],
)
def test_hours(given, minutes):
    assert values.hour(given) == minutes


@pytest.mark.parametrize("given", ["24:00", "3", "3:60", "", True, 1440, -1, "soon"])
def test_what_is_no_hour(given):
    with pytest.raises(ValueError, match="time of day"):
        values.hour(given)
