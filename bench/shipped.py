"""One round of shipping in one process: `agent DSN HOME BATCH` ships a spool, `copy DSN FILE` sends the same rows by COPY alone.

Owns: what is timed. Both read from the page cache, send to a database that has its partitions already, and say as one JSON object: rows,
seconds, processor seconds of this process and of the whole machine, and the most memory it had resident. `agent` with a fourth argument keeps in
that file what it sent.
"""

import json
import os
import pickle
import sys
import time

import psycopg

from flightlog.agent.shipper import Shipper
from flightlog.agent.spool_scan import look
from flightlog.store.db import connect
from flightlog.store.ingest import PostgresBatch, PostgresSink
from flightlog.store.queries import query

from .recording import spool_of

NODE = "bench"
COPY_BYTES = 64 << 10  # what a raw COPY writes at once; less and more were slower
KINDS = ("logs", "events")


def peak_megabytes():
    """Return the most memory this process has had resident; getrusage(2) would say its parent's."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))


def machine_seconds():
    """Return the processor time that everything on this machine has used."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, interrupts, soft, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def agent(dsn, home, batch_rows, sent=None):
    """Ship everything in the spool of *home*."""
    sink = PostgresSink(dsn) if sent is None else _Keeping(dsn)
    sink.open(NODE, os.getpid())
    sink.prepare({int(time.time()) // 86400})
    shipper = Shipper(sink, NODE, home, batch_rows=int(batch_rows))
    folder = spool_of(home)
    with _Clock() as clock:
        while True:
            done = shipper.ship(look([folder]), True)
            clock.rows += done.rows
            if not done.more:
                break
    if sent is not None:
        with open(sent, "wb") as file:
            pickle.dump(sink.sent, file)
    return clock.said


def copy(dsn, path):
    """Send what an agent sent, in the same transactions, and nothing else."""
    with open(path, "rb") as file:
        batches = pickle.load(file)
    statements = {kind: query("ingest", f"copy_{kind}").encode() for kind in KINDS}
    connection = connect(dsn, "bench copy", autocommit=False)
    with _Clock() as clock:
        for batch in batches:
            for kind in KINDS:
                data = batch[kind]
                if data:
                    with connection.cursor().copy(statements[kind]) as stream:
                        for at in range(0, len(data), COPY_BYTES):
                            stream.write(data[at : at + COPY_BYTES])
                    clock.rows += stream.cursor.rowcount
            connection.commit()
    return clock.said


class _Clock:
    """Times what is done inside it."""

    def __enter__(self):
        self.rows = 0
        self._machine = machine_seconds()
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *problem):
        wall, cpu = time.perf_counter(), time.process_time()
        self.said = {"rows": self.rows, "seconds": wall - self._began[0], "cpu": cpu - self._began[1]}
        self.said.update(machine=machine_seconds() - self._machine, megabytes=peak_megabytes())


class _Keeping(PostgresSink):
    """A sink that keeps what went through it, transaction by transaction."""

    def __init__(self, dsn):
        super().__init__(dsn)
        self.sent = []

    def begin(self):
        plain = super().begin()
        batch = _KeepingBatch(plain._connection, plain._sql, plain._node, plain._epoch)
        batch.sent = self.sent
        batch.kept = dict.fromkeys(KINDS, b"")
        return batch


class _KeepingBatch(PostgresBatch):
    def write_logs(self, rows):
        self.kept["logs"] += rows
        super().write_logs(rows)

    def write_events(self, rows):
        self.kept["events"] += rows
        super().write_events(rows)

    def commit(self):
        super().commit()
        self.sent.append(self.kept)


if __name__ == "__main__":
    try:
        print(json.dumps({"agent": agent, "copy": copy}[sys.argv[1]](*sys.argv[2:])))
    except psycopg.Error as problem:
        sys.exit(f"bench.shipped: {problem}")
