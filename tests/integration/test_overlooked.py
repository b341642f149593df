"""A directory that is read while files are made in it may show a later segment and not an earlier one; nothing is passed over for that."""

import json
import os

import pytest

from flightlog import identity
from flightlog.agent.spool_scan import look
from flightlog.journal.format import segment_name
from integration.shipping import NODE, log, messages, segment, ship_all, shipper_for, spool_of


def journal(spool):
    run, writer = identity.new_ulid(), identity.new_writer_id()
    for number in range(3):
        segment(spool, writer, number, [log(run, f"line {number}")], number + 1, run=run)
    return writer


def capture(spool):
    writer = identity.new_writer_id()
    meta = {
        "k": "capture",
        "v": 1,
        "writer": writer,
        "stream": "stdout",
        "run": identity.new_ulid(),
        "pipeline": "p",
        "node": NODE,
    }
    meta.update(boot="0" * 32, uid=os.geteuid(), pid=0, keeper=[1, 1], t=1)
    with open(os.path.join(spool, writer + ".meta"), "w") as file:
        json.dump(meta, file)
    for number in range(3):
        with open(os.path.join(spool, segment_name(writer, number, ".cap")), "w") as file:
            file.write(f"line {number}\n")
    return writer


@pytest.mark.parametrize("write", [journal, capture])
@pytest.mark.parametrize("unseen", [0, 1])
def test_a_segment_that_was_not_seen_is_waited_for(dsn, home, write, unseen):
    spool = spool_of(home)
    writer = write(spool)
    found = look([spool])
    del found[writer].sizes[unseen]
    shipper = shipper_for(dsn, home)
    for _ in range(3):
        shipper.ship(found, look_alive=False)
    assert messages(dsn) == [f"line {number}" for number in range(unseen)]
    ship_all(shipper, spool)
    assert messages(dsn) == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize("write", [journal, capture])
@pytest.mark.parametrize("unseen", [0, 1, 2])
def test_a_dead_writer_is_not_closed_over_a_segment_that_has_a_second_name(dsn, home, tmp_path, write, unseen):
    """A backup that links files, or a directory that could not be asked for a moment: it is no file of ours as long as that lasts, and no end either."""
    spool = spool_of(home)
    writer = write(spool)
    name = segment_name(writer, unseen, ".cap" if write is capture else ".seg")
    os.link(os.path.join(spool, name), tmp_path / "backup")
    shipper = shipper_for(dsn, home)
    for _ in range(4):
        shipper.ship(look([spool]), look_alive=True)
    assert messages(dsn) == [f"line {number}" for number in range(unseen)]
    assert not shipper.is_closed(writer)
    (tmp_path / "backup").unlink()
    ship_all(shipper, spool)
    assert messages(dsn) == ["line 0", "line 1", "line 2"]
    assert shipper.is_closed(writer)


def test_numbers_that_somebody_made_up_cost_no_time(dsn, home):
    spool = spool_of(home)
    run, writer = identity.new_ulid(), identity.new_writer_id()
    segment(spool, writer, 0, [log(run, "a")], run=run)
    segment(spool, writer, 10**17, [log(run, "b")], 2, run=run)
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["a", "b"]
