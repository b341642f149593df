"""A database that loses what it had acknowledged: restored, made anew, crashed behind an early answer; and a spool whose removals come undone.

What is retained is stored again, once; what is not is missing in the audit, with an event; nothing is doubled.
"""

import json
import os
import shutil
import subprocess

import pytest
from campaign import environment, flightlog

from flightlog import identity, records
from flightlog.agent.agent import Agent
from flightlog.agent.door import Door
from flightlog.store.ingest import PostgresSink
from flightlog.store.migrate import migrate
from integration.shipping import execute, fetch, spool_of, sums_are_right, write


class Shipping:
    """One home that ships into one server; what is shipped with *keep* false is removed from the spool at once."""

    def __init__(self, home, server, folder):
        self.home, self.server, self.spool = home, server, spool_of(home)
        self.configs = {}
        for keep in (True, False):
            self.configs[keep] = os.path.join(str(folder), f"keep{keep}.yml")
            with open(self.configs[keep], "w") as file:
                file.write(f"spool:\n  keep: {'1h' if keep else '0s'}\n")

    def write(self, *texts):
        return write(self.spool, identity.new_ulid(), texts)

    def ship(self, keep):
        env = environment(self.home, self.server.dsn, FLIGHTLOG_CONFIG=self.configs[keep])
        code, out, err = flightlog("agent", "run", "--once", env=env)
        assert code == 0, (out, err)

    def stored(self):
        return sorted(
            row[0] for row in fetch(self.server.dsn, "SELECT message FROM pipeline_logs WHERE source <> 'flightlog'")
        )

    def audit(self):
        env = environment(self.home, self.server.dsn, FLIGHTLOG_CONFIG=self.configs[True])
        code, out, err = flightlog("audit", "-o", "json", env=env)
        return code, json.loads(out)

    def regressions(self):
        return [
            row[0]
            for row in fetch(
                self.server.dsn, "SELECT data FROM pipeline_events WHERE event = %s", records.STORE_REGRESSED
            )
        ]

    def segments(self):
        return sorted(name for name in os.listdir(self.spool) if name.endswith(".seg"))


@pytest.fixture
def shipping(home, own_server, tmp_path):
    return Shipping(home, own_server, tmp_path)


def copy(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)


def missing(told):
    return told["total"]["missing"] if "total" in told else told["missing"]


def test_39_a_database_restored_from_an_earlier_copy(shipping, own_server):
    shipping.write("before 1", "before 2")
    shipping.ship(keep=True)
    own_server.stop()
    copy(own_server.data, own_server.data + ".t0")
    own_server.start()
    shipping.write("gone 1", "gone 2", "gone 3")
    shipping.ship(keep=False)
    assert shipping.segments() == []
    shipping.write("again 1", "again 2")
    shipping.ship(keep=True)
    assert len(shipping.stored()) == 7
    own_server.stop()
    shutil.rmtree(own_server.data)
    os.rename(own_server.data + ".t0", own_server.data)
    own_server.start()
    assert shipping.stored() == ["before 1", "before 2"]
    shipping.ship(keep=True)
    assert shipping.stored() == ["again 1", "again 2", "before 1", "before 2"]
    sums_are_right(own_server.dsn)
    (event,) = shipping.regressions()
    assert (event["renewed"], event["gone"], event["records"]) == (False, 1, 3)
    code, told = shipping.audit()
    assert (code, missing(told)) == (1, 3)
    shipping.ship(keep=True)
    assert len(shipping.regressions()) == 1, "it is said once"
    assert shipping.stored() == ["again 1", "again 2", "before 1", "before 2"]


def test_40_a_new_empty_database_under_the_same_name(shipping, own_server):
    shipping.write("gone 1", "gone 2")
    shipping.ship(keep=False)
    shipping.write("again 1")
    shipping.ship(keep=True)
    own_server.stop()
    shutil.rmtree(own_server.data)
    own_server.start()
    migrate(own_server.dsn)
    assert shipping.stored() == []
    shipping.ship(keep=True)
    assert shipping.stored() == ["again 1"]
    (event,) = shipping.regressions()
    assert (event["renewed"], event["gone"], event["records"]) == (True, 1, 2)
    assert event["store"] != event["store_before"]
    code, told = shipping.audit()
    assert (code, missing(told)) == (1, 2)
    sums_are_right(own_server.dsn)


def test_another_database_on_purpose_is_no_loss(shipping, home, dsn):
    """A changed DSN is a move: what is retained is shipped there, what another one has is not missing here."""
    shipping.write("first")
    shipping.ship(keep=False)
    shipping.write("second")
    shipping.ship(keep=True)
    code, out, err = flightlog("agent", "run", "--once", env=environment(home, dsn))
    assert code == 0, err
    assert fetch(dsn, "SELECT message FROM pipeline_logs") == [("second",)]
    assert fetch(dsn, "SELECT count(*) FROM pipeline_events WHERE event = %s", records.STORE_REGRESSED) == [(0,)]
    assert flightlog("audit", env=environment(home, dsn))[0] == 0


def test_41_a_commit_that_was_acknowledged_and_lost(shipping, own_server, home):
    """synchronous_commit=off, forced: the server says yes and forgets it. The agent lives on; it remembers what it was told."""
    execute(own_server.dsn, "ALTER SYSTEM SET wal_writer_delay = 10000", "SELECT pg_reload_conf()", "CHECKPOINT")
    own_server.stop()
    own_server.start()

    def make_sink():
        sink = PostgresSink(own_server.dsn)
        sink._sql = dict(sink._sql, durable="SELECT set_config('synchronous_commit', 'off', false)")
        return sink

    door = Door(str(home))
    assert door.take()
    agent = Agent(str(home), shipping.spool, make_sink, door)
    agent.quiet = True
    try:
        shipping.write("early")
        assert agent.drain(60)
        execute(own_server.dsn, "CHECKPOINT")
        for attempt in range(20):
            wanted = ["early"] + [f"late {number}" for number in range(attempt + 1)]
            shipping.write(wanted[-1])
            assert agent.drain(60)
            assert shipping.stored() == sorted(wanted)
            own_server.stop(immediate=True)
            own_server.start()
            lost = shipping.stored() != sorted(wanted)
            agent.close()  # its connection is gone; its memory is not
            assert agent.drain(60)
            assert shipping.stored() == sorted(wanted)
            if lost:
                break
        else:
            raise AssertionError("the server has never lost anything")
        assert agent.drain(60)
        sums_are_right(own_server.dsn)
        assert [event["renewed"] for event in shipping.regressions()] == [False]
        assert [event["records"] for event in shipping.regressions()] == [0]
        assert fetch(own_server.dsn, "SELECT sum(gap) FROM pipeline_writers") == [(0,)]
    finally:
        agent.close()
        door.leave()


def test_42_a_removal_that_comes_undone(shipping, own_server, tmp_path):
    shipping.write("one", "two")
    shipping.write("three")
    copy(shipping.spool, str(tmp_path / "copy"))
    shipping.ship(keep=False)
    assert shipping.segments() == []
    for name in os.listdir(tmp_path / "copy"):
        copy(str(tmp_path / "copy" / name), shipping.spool)
    assert len(shipping.segments()) == 2
    shipping.ship(keep=False)
    assert shipping.stored() == ["one", "three", "two"]
    assert shipping.segments() == []
    sums_are_right(own_server.dsn)
    assert shipping.regressions() == []
    assert shipping.audit()[0] == 0
