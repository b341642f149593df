"""Upkeep: the quota on real directories and pages, round by round: levels, users, what is acknowledged goes first, the oldest that waits."""

import os
import time

import pytest

from flightlog import identity
from flightlog.agent.sink import Position
from flightlog.agent.upkeep import Upkeep, Wanted
from flightlog.config import control, quota
from flightlog.config.quota import Amount
from flightlog.journal.format import segment_name
from integration.shipping import log, segment, spool_of

RUN = "01KAG01DEN0000000000000001"
QUOTA = 10**6


class Node:
    """One home with an Upkeep whose rounds are the test's."""

    def __init__(self, home, monkeypatch, **wanted):
        monkeypatch.setenv("FLIGHTLOG_HOME", str(home))
        monkeypatch.delenv("FLIGHTLOG_CONTROL", raising=False)
        self.home = str(home)
        self.spool = spool_of(home)
        self.wanted = Wanted(Amount(QUOTA, 0.0), Amount(0, 0.0), **wanted)
        self.upkeep = Upkeep(self.home, "", "", lambda: self.wanted)
        self.upkeep.acknowledged.asked = True

    def put(self, size, writer=None, number=0, folder=None):
        writer = writer or identity.new_writer_id()
        path = os.path.join(folder or self.spool, segment_name(writer, number))
        with open(path, "wb") as file:
            file.write(bytes(size))
        os.utime(path, (time.time() - 60, time.time() - 60))
        os.chown(path, os.stat(os.path.dirname(path)).st_uid, -1)  # a file of somebody else's is not looked at
        return writer

    def round(self):
        self.upkeep._round()
        return control.read(identity.control_path(""))


@pytest.fixture
def node(home, monkeypatch):
    return Node(home, monkeypatch, block=5.0)


class Source:
    """What a shipper would say."""

    def __init__(self, **known):
        self.known = known

    def is_closed(self, writer):
        return self.known.get(writer) == "closed"

    def closed(self):
        return {writer for writer in self.known if self.is_closed(writer)}

    def position(self, writer):
        return None if self.is_closed(writer) else self.known.get(writer)


def test_pressure_and_limits_are_on_the_page(node):
    pressure, limits = node.round()
    assert (pressure, limits.quota, limits.keep, limits.used, limits.block_ms) == (0, QUOTA, 0, 0, 5000)
    assert limits.oldest == control.NOTHING_WAITS
    seen = []
    for size in (710_000, 150_000, 100_000, 50_000):
        node.put(size)
        seen.append(node.round()[0])
    assert seen == [1, 2, 3, quota.FULL]
    assert node.upkeep.status()["pressure"] == quota.FULL


def test_without_room_on_the_disk_it_is_full_whatever_the_quota(node):
    node.wanted = Wanted(Amount(QUOTA, 0.0), Amount(1 << 60, 0.0))
    assert node.round()[0] == quota.FULL


def test_acknowledged_segments_go_before_any_pressure_is_announced(node):
    """Also when nothing can be asked of a store: what it had is remembered."""
    ended, living = node.put(600_000), node.put(300_000)
    node.put(50_000, living, 1)
    known = Source(**{ended: "closed", living: Position(1, 10_000)})
    node.upkeep.acknowledged.take([ended, living], known)
    pressure, limits = node.round()
    assert (pressure, limits.used) == (0, 40_000)
    assert sorted(name for name in os.listdir(node.spool) if name.endswith(".seg")) == [segment_name(living, 1)]


def test_while_there_is_room_they_stay(node):
    ended = node.put(100_000)
    node.upkeep.acknowledged.take([ended], Source(**{ended: "closed"}))
    assert node.round()[1].used == 0
    assert segment_name(ended, 0) in os.listdir(node.spool)


def test_what_is_in_the_store_already_is_no_reason_to_drop_anything(node):
    """Of many idle writers each keeps its last segment, all shipped."""
    writers = {node.put(300_000): Position(0, 300_000) for _ in range(5)}
    node.upkeep.acknowledged.take(list(writers), Source(**writers))
    assert node.round()[0] == 0
    assert len([name for name in os.listdir(node.spool) if name.endswith(".seg")]) == 5
    node.upkeep.acknowledged.take(list(writers), Source())  # nothing is known any more: then all of it counts
    assert node.round()[0] == quota.FULL


def test_an_agent_that_has_just_begun_asks_before_it_calls_the_spool_full(node, monkeypatch):
    node.upkeep.acknowledged.asked = False
    node.put(2 * QUOTA)
    assert node.round()[0] == 0
    node.wanted = Wanted(Amount(QUOTA, 0.0), Amount(1 << 60, 0.0))
    assert node.round()[0] == quota.FULL  # a disk that is full is full
    node.wanted = Wanted(Amount(QUOTA, 0.0), Amount(0, 0.0))
    assert node.round()[0] == 0
    monkeypatch.setattr("flightlog.agent.upkeep.ASK_SECONDS", 0.0)
    assert node.round()[0] == quota.FULL  # nobody answers


def test_one_user_does_not_starve_the_others(node):
    if os.geteuid() != 0:
        pytest.skip("only root's agent has other users")
    other = os.path.join(node.home, "spool", "4242")
    os.mkdir(other, 0o700)
    os.chown(other, 4242, 4242)
    node.put(900_000)
    pressure, limits = node.round()
    path = identity.control_path("", 4242)
    theirs = control.read(path)
    assert (pressure, limits.quota) == (quota.FULL, 750_000)
    assert (theirs[0], theirs[1].quota, theirs[1].used) == (0, 250_000, 0)
    assert os.stat(path).st_uid == 0 and os.stat(path).st_mode & 0o777 == 0o644
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o711
    node.put(240_000, folder=other)
    node.round()
    assert control.read(path)[0] == 3


def test_the_oldest_that_waits_is_found_behind_the_position(node, dsn):
    now = time.time_ns()
    old, new = identity.new_writer_id(), identity.new_writer_id()
    segment(node.spool, old, 0, [log(RUN, "a", now - 60 * 10**9), log(RUN, "b", now - 30 * 10**9)], run=RUN)
    path = segment(node.spool, new, 0, [log(RUN, "c", now - 10 * 10**9)], run=RUN)
    assert node.round()[1].oldest == now - 60 * 10**9
    with open(os.path.join(node.spool, segment_name(old, 0)), "rb") as file:
        data = file.read()
    second = data.index(b'"m":"b"') - 100
    second = data.rindex(b"\xa7", 0, data.index(b'"m":"b"')) - 7
    node.upkeep.acknowledged.take([old], Source(**{old: Position(0, second)}))
    assert node.round()[1].oldest == now - 30 * 10**9
    node.upkeep.acknowledged.take([old], Source(**{old: "closed"}))
    assert node.round()[1].oldest == now - 10 * 10**9
    os.unlink(path)
    assert node.round()[1].oldest == control.NOTHING_WAITS


def test_it_looks_again_sooner_when_it_fills_fast(node):
    node.upkeep._round()
    calm = node.upkeep._round()
    node.put(300_000)
    assert node.upkeep._round() < calm <= 1.0


def test_there_is_always_a_reserve(node):
    node.round()
    slots = [name for name in os.listdir(node.spool) if name.startswith("reserve.")]
    assert len(slots) == 64
