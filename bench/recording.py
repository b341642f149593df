"""What there is to ship: a spool as a busy node leaves it, written by the SDK and the capture side themselves.

Owns: what the records look like. `python -m bench.recording FOLDER COUNT SEED` is one pipeline: half of its records come through
`logging`, half are native with none to three fields, in stages, from three threads, one in two hundred with an exception.
Captured lines are plain text of the same length, as programs print it, through the shim's own files.
"""

import logging
import os
import random
import subprocess
import sys
import threading

from flightlog import identity
from flightlog.journal.capture import CaptureWriter

WRITERS = 8
PATHS = ["orders/2026/part-%04d.csv" % n for n in range(64)]
WORDS = [
    "customer",
    "region",
    "warehouse",
    "returned",
    "pending",
    "invoice",
    "reconciled",
    "skipped",
    "duplicate",
    "normalised",
]


def spool_of(folder):
    """Return the spool of the home *folder*, made."""
    spool = os.path.join(folder, "spool", str(os.geteuid()))
    identity.make_spool(spool)
    return spool


def records(folder, count):
    """Write *count* records by several processes at once into the spool of *folder*."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLIGHTLOG_")}
    environment.update(FLIGHTLOG_HOME=folder, FLIGHTLOG_AGENT="never", PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-m", "bench.recording", folder]
    shares = [count // WRITERS + (n < count % WRITERS) for n in range(WRITERS)]
    writers = [
        subprocess.Popen([*command, str(share), str(n)], env=environment, stdin=subprocess.DEVNULL)
        for n, share in enumerate(shares)
    ]
    codes = [writer.wait() for writer in writers]
    if any(codes):
        raise RuntimeError("a pipeline of the benchmark failed")


def captured(folder, count):
    """Write *count* captured lines, of one run's standard output."""
    meta = {"run": identity.new_ulid(), "stream": "stdout", "pipeline": "bench", "keeper": [0, 0], "boot": "0" * 32}
    writer = CaptureWriter(spool_of(folder), meta)
    writer.open()
    choose = random.Random(1)
    done = 0
    while done < count:
        lines = []
        for done in range(done + 1, min(done + 40, count) + 1):  # a pipe's worth: what one splice moves
            words = " ".join(choose.choices(WORDS, k=5))
            lines.append(f"2026-11-22 10:{done % 60:02d}:07,{done % 1000:03d} {LEVELS[done % 50]} {words} {done}\n")
        os.write(writer.fd, "".join(lines).encode())
        size = writer.size()
        writer.stamp(size)
        if size > writer.rotate_bytes:
            writer.rotate()
    writer.end()


LEVELS = ["INFO"] * 40 + ["DEBUG"] * 7 + ["WARNING"] * 2 + ["ERROR"]


def _load(rows):
    if not rows:
        raise ValueError("no rows in this part")
    return rows


def _pipeline(count, seed):
    """Be one pipeline: *count* records by three threads, in turn, in three stages."""
    import flightlog

    plain, native = logging.getLogger("etl.load"), flightlog.get_logger("etl.transform")
    choose = random.Random(seed)

    def talk(share):
        for i in range(share):
            path, rows = PATHS[choose.randrange(64)], choose.randrange(100_000)
            kind = i % 8
            if i % 200 == 199:
                try:
                    _load(0)
                except ValueError:
                    plain.exception("cannot load %s", path)
            elif kind in (0, 3):
                plain.info("loaded %d rows from %s in %.1f s", rows, path, rows / 7e4)
            elif kind == 1:
                plain.debug("cursor at %d of %s", rows, path)
            elif kind == 2:
                (plain.warning if i % 40 == 2 else plain.info)("%s: %s", choose.choice(WORDS), path)
            elif kind == 4:
                native.info("transformed", rows=rows, path=path, seconds=rows / 7e4)
            elif kind == 5:
                native.info("checked", rows=rows)
            elif kind == 6:
                native.debug("a row was normalised by the rules of its region and kept")
            else:
                native.info("skipped a duplicate", path=path, customer=f"C-{rows:08d}")

    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(logging.NullHandler())
    with flightlog.run(f"bench-{seed}") as run:
        for part, stage in enumerate(("extract", "transform", "load")):
            share = count // 3 + (part < count % 3)
            with run.stage(stage):
                worker = threading.Thread(target=talk, args=(share // 3,), name=f"worker-{part}")
                worker.start()
                worker.join()
                talk(share - share // 3)


if __name__ == "__main__":
    _pipeline(int(sys.argv[2]), int(sys.argv[3]))
