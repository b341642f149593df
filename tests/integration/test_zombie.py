"""An agent that was stopped in the middle of a batch: the next one ends its session, waits for nothing, and is not waited for."""

import pytest

from flightlog import identity
from flightlog.agent.sink import Position
from flightlog.agent.step import Step
from flightlog.errors import CommitUnknown
from integration.shipping import fetch, messages, ship_all, shipper_for, sink_for, spool_of, sums_are_right, write


def test_a_zombie_with_an_open_batch_is_ended(dsn, home):
    spool, run = spool_of(home), identity.new_ulid()
    writer = write(spool, run, ["a", "b"])
    zombie = sink_for(dsn)
    batch = zombie.begin()
    step = Step(writer, Position())
    step.segno, step.offset = 0, 400
    batch.advance(
        [step.advance("journal", run, {}, "2026-11-23T16:40:00+00:00")], []
    )  # its rows are locked from here on
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["a", "b"]
    with pytest.raises(CommitUnknown):
        batch.commit()
    assert fetch(dsn, "SELECT stored FROM pipeline_writers") == [(2,)]
    sums_are_right(dsn)
