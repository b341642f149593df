"""For the tests of reading: runs as they would have been recorded, shipped into a real database."""

import os
import time
from datetime import datetime, timedelta, timezone

from flightlog import identity
from flightlog.agent.shipper import Shipper
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of, segment_name
from integration.shipping import NODE, head, log, ship_all, sink_for

SECOND = 10**9


def ago(**span):
    """A moment before now, in nanoseconds."""
    return time.time_ns() - int(timedelta(**span).total_seconds() * SECOND)


def moment(ns):
    return datetime.fromtimestamp(ns / 1e9, timezone.utc)


def event(run, name, t, data, **more):
    return encode(dict({"k": "event", "t": t, "ev": name, "r": run, "x": data}, **more))


class Recorded:
    """What is recorded on one node.

    Args:
        dsn: the store.
        home: under which this node's spool is made.
        node: its name.
    """

    def __init__(self, dsn, home, node=NODE):
        self.dsn, self.node = dsn, node
        self.spool = os.path.join(str(home), "spool" if node == NODE else node, str(os.geteuid()))
        identity.make_spool(self.spool)
        self._shipper = Shipper(sink_for(dsn, node), node, str(home))

    def write(self, run, payloads, pipeline="orders", writer=None, first_n=1, **header):
        """Write one writer's segment; return the writer."""
        fresh = writer is None
        writer = writer or identity.new_writer_id()
        salt = salt_of(writer)
        with open(os.path.join(self.spool, segment_name(writer, 0)), "ab") as file:
            if fresh:
                file.write(frame(head(writer, 0, run, pipeline=pipeline, node=self.node, **header), salt, 0))
            for n, payload in enumerate(payloads, first_n):
                file.write(frame(payload, salt, n))
        return writer

    def ship(self, look_alive=True):
        """Ship all; without *look_alive* writers are not closed."""
        ship_all(self._shipper, self.spool, look_alive)

    def run(
        self, pipeline="orders", at=None, messages=("began", "ended"), end=("ok", 0), run=None, close=True, **started
    ):
        """Record and ship a run whose lines are a second apart; *end*: (status, exit code or signal), or None. Return its id.

        *close* closes all writers of this node: they are dead as far as anybody can see.
        """
        at = at or time.time_ns()
        run = run or identity.new_ulid(at)
        data = {"pipeline": pipeline, "kind": "supervised", "command": ["job"], "pid": 7, **started}
        payloads = [event(run, "run.started", at, data)]
        payloads += [
            log(run, message, at + n * SECOND)
            if isinstance(message, str)
            else log(run, **{"t": at + n * SECOND, **message})
            for n, message in enumerate(messages)
        ]
        if end:
            how = {"term_signal": end[1]} if isinstance(end[1], str) else {"exit_code": end[1]}
            payloads.append(event(run, "run.ended", at + len(messages) * SECOND, {"status": end[0], **how}))
        self.write(run, payloads, pipeline)
        self.ship(look_alive=close)
        return run
