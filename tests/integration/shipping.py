"""For the tests of shipping: write a spool, ship it, and see what the store has."""

import os
import time

from flightlog import identity
from flightlog.agent.shipper import Shipper
from flightlog.agent.spool_scan import look
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of, segment_name
from flightlog.store.db import connect
from flightlog.store.ingest import PostgresSink

NODE = "testnode"


def spool_of(home):
    path = os.path.join(str(home), "spool", str(os.geteuid()))
    identity.make_spool(path)
    return path


def log(run, message, t=None, **more):
    return encode(dict({"k": "log", "t": t or time.time_ns(), "lv": 20, "lg": "test", "m": message, "r": run}, **more))


def head(writer, segno, run, pipeline="orders", **more):
    """A header of a process that is dead: it ran before the last boot."""
    data = {"k": "head", "v": 1, "writer": writer, "segno": segno, "node": NODE, "boot": "0" * 32, "pid": 1, "start": 1}
    data.update({"uid": 0, "t": time.time_ns(), "mono": 1, "argv0": "job.py", "py": "3.11.7", "dropped": {}})
    data.update({"run": run, "pipeline": pipeline}, **more)
    return encode(data)


def segment(spool, writer, segno, payloads, first_n=1, run=None, **header):
    """Write one segment by hand, which an agent sees whole or not at all: nobody has locked it; return its path."""
    salt = salt_of(writer)
    path = os.path.join(spool, segment_name(writer, segno))
    unborn = os.path.join(spool, "claimed." + os.path.basename(path))
    with open(unborn, "wb") as file:
        file.write(frame(head(writer, segno, run, **header), salt, segno))
        for n, payload in enumerate(payloads, first_n):
            file.write(frame(payload, salt, n))
    os.rename(unborn, path)
    return path


def write(spool, run, messages, pipeline="orders"):
    """Write *messages* as one writer that is dead; return its id."""
    writer = identity.new_writer_id()
    segment(spool, writer, 0, [log(run, message) for message in messages], run=run, pipeline=pipeline)
    return writer


def sink_for(dsn, node=NODE):
    sink = PostgresSink(dsn)
    sink.open(node, os.getpid())
    return sink


def ship_all(shipper, spool, look_alive=True):
    """Ship until nothing moves; return the number of rows."""
    rows = 0
    while True:
        done = shipper.ship(look([spool]), look_alive)
        rows += done.rows
        if not done.more:
            return rows


def shipper_for(dsn, home, **more):
    return Shipper(sink_for(dsn), NODE, str(home), **more)


def fetch(dsn, statement, *values):
    with connect(dsn, "test") as connection:
        return connection.execute(statement, values or None).fetchall()


def execute(dsn, *statements):
    with connect(dsn, "test") as connection:
        for statement in statements:
            connection.execute(statement)


def messages(dsn):
    return [row[0] for row in fetch(dsn, "SELECT message FROM pipeline_logs ORDER BY run_id, pos")]


def sums_are_right(dsn):
    """The audit's invariants, asked of the tables themselves."""
    wrong = fetch(
        dsn,
        """SELECT w.writer_id FROM pipeline_writers w WHERE w.next_seq <> 1 + w.stored + w.dead OR w.stored <>
           (SELECT count(*) FROM pipeline_logs l WHERE l.writer_id = w.writer_id)
           + (SELECT count(*) FROM pipeline_events e WHERE e.writer_id = w.writer_id)""",
    )
    twice = fetch(dsn, "SELECT writer_id, seq FROM pipeline_logs GROUP BY 1, 2 HAVING count(*) > 1")
    where = fetch(dsn, "SELECT run_id, node, pos FROM pipeline_logs GROUP BY 1, 2, 3 HAVING count(*) > 1")
    assert (wrong, twice, where) == ([], [], [])
