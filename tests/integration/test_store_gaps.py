"""The store's side of lost memory: gaps are counted and shown, the ledger has no seam, also when the server's clock is put back."""

import os

import pytest

from flightlog import identity
from flightlog.agent.sink import Position
from flightlog.agent.step import Step
from flightlog.errors import PositionConflict
from flightlog.query.audit import audit
from flightlog.store.db import connect
from integration.shipping import (
    NODE,
    execute,
    fetch,
    log,
    messages,
    segment,
    ship_all,
    shipper_for,
    sink_for,
    spool_of,
    sums_are_right,
    write,
)


def account(dsn):
    with connect(dsn, "test") as connection:
        return audit(connection, None, NODE, {})


def test_a_declared_gap_is_missing_in_the_audit(dsn):
    sink = sink_for(dsn)
    writer = identity.new_writer_id()
    step = Step(writer, Position())
    step.segno, step.offset, step.gap, step.closed = 2, 700, 9, True
    batch = sink.begin()
    batch.advance([step.advance("journal", identity.new_ulid(), {}, "2026-11-23T16:40:00+00:00")], [])
    batch.commit()
    sink.close()
    found = account(dsn)
    assert (found.total("written"), found.total("missing"), found.good) == (9, 9, False)
    sums_are_right(dsn)


def test_a_segment_that_vanished_under_the_position_is_a_gap(dsn, home):
    spool, run, writer = spool_of(home), identity.new_ulid(), identity.new_writer_id()
    first = segment(spool, writer, 0, [log(run, text) for text in ("a", "b")], run=run)
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool, look_alive=False)
    os.unlink(first)
    segment(spool, writer, 2, [log(run, text) for text in ("f", "g")], 6, run=run)
    shipper.forget()
    ship_all(shipper, spool)
    assert messages(dsn) == ["a", "b", "f", "g"]
    assert fetch(dsn, "SELECT gap, closed_at IS NOT NULL FROM pipeline_writers") == [(3, True)]
    assert account(dsn).total("missing") == 3
    sums_are_right(dsn)


def test_a_number_that_a_failed_birth_used_up_is_no_gap(dsn, home):
    spool, run, writer = spool_of(home), identity.new_ulid(), identity.new_writer_id()
    segment(spool, writer, 1, [log(run, "a")], run=run)
    segment(spool, writer, 4, [log(run, "b")], 2, run=run)
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["a", "b"]
    assert account(dsn).good


def test_the_servers_clock_is_put_back_over_midnight(dsn, home):
    spool = spool_of(home)
    writer = write(spool, identity.new_ulid(), ["a"])
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool, look_alive=False)
    execute(dsn, "UPDATE pipeline_ship_ledger SET day = day + 1")
    segment(spool, writer, 1, [log(identity.new_ulid(), "b")], 2)
    ship_all(shipper, spool)
    assert sorted(messages(dsn)) == ["a", "b"]
    assert fetch(dsn, "SELECT count(*) FROM pipeline_ship_ledger") == [(1,)]
    assert account(dsn).good


def test_a_ledger_that_ends_elsewhere_stops_the_batch(dsn, home):
    spool = spool_of(home)
    writer = write(spool, identity.new_ulid(), ["a"])
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool, look_alive=False)
    execute(dsn, "UPDATE pipeline_ship_ledger SET to_offset = to_offset - 1")
    segment(spool, writer, 1, [log(identity.new_ulid(), "b")], 2)
    with pytest.raises(PositionConflict, match="seam"):
        ship_all(shipper, spool)
    assert messages(dsn) == ["a"]
