"""Damaged payloads and headers brought into a real PostgreSQL: each is a row or a dead letter, and none keeps the others waiting."""

import json
import os

from campaign import rounds

from flightlog.agent.decode import decode
from flightlog.errors import NewerFormat, PoisonRecord
from flightlog.journal.format import MAX_PAYLOAD_BYTES, frame, must_know, salt_of, segment_name
from fuzz import corpus, jsontext
from fuzz.mutation import BLOCK, SEED, blocks, damaged, generator
from integration.shipping import execute, fetch, ship_all, shipper_for, spool_of, sums_are_right

AT_ONCE = 100  # payloads of one writer
HEADS = [payload for payload in corpus.PAYLOADS if b'"k":"head"' in payload]


def becomes_a_row(payload):
    if len(payload) > MAX_PAYLOAD_BYTES:
        return False  # no writer makes such a frame: damage
    try:
        return decode(payload).k in ("log", "event")
    except PoisonRecord:
        return True


def is_of_tomorrow(head):
    """Whether a reader would leave a segment with this header to a newer version of the program."""
    try:
        found = json.loads(head)
        must_know(found.get("v") if isinstance(found, dict) else None, "it")
    except NewerFormat:
        return True
    except (ValueError, RecursionError):
        pass
    return False


def writer_of(chance, payloads):
    """Return what a writer with a damaged header has written: (its id, the bytes of a segment)."""
    writer = chance.randbytes(16).hex()
    salt = salt_of(writer)
    head = chance.choice(HEADS)
    if chance.random() < 0.8:
        changed = jsontext.changed(chance, head)
        head = head if is_of_tomorrow(changed) else changed  # those are held: tests/faults/test_skew.py
    return writer, b"".join(frame(payload, salt, n) for n, payload in enumerate([head, *payloads]))


def shipped(dsn, home, writers):
    """Ship *writers* from a spool of their own."""
    spool = spool_of(home)
    for writer, data in writers:
        with open(os.path.join(spool, segment_name(writer, 0)), "wb") as file:
            file.write(data)
    ship_all(shipper_for(dsn, home), spool)
    for name in os.listdir(spool):
        os.unlink(os.path.join(spool, name))


def test_damaged_payloads_are_stored_or_refused_by_the_server(dsn, home):
    count = rounds(BLOCK, 5 * BLOCK)
    total = 0
    for block in blocks(count):
        writers, expected = [], 0
        for first in range(block.start, block.stop, AT_ONCE):
            payloads = []
            for index in range(first, first + AT_ONCE):
                chance = generator(index)
                data = jsontext.payload(chance)
                payloads.append(damaged(chance, data, corpus.PAYLOADS) if chance.random() < 0.2 else data)
            writers.append(writer_of(generator(first), payloads))
            expected += sum(map(becomes_a_row, payloads))
        try:
            shipped(dsn, home, writers)
        except Exception as problem:
            problem.add_note(f"inputs {block}: FLIGHTLOG_FAULT_SEED={SEED} FLIGHTLOG_FUZZ_FIRST={block.start}")
            raise
        total += expected
        ((stored, dead, open_),) = fetch(
            dsn, "SELECT sum(stored), sum(dead), count(*) FILTER (WHERE closed_at IS NULL) FROM pipeline_writers"
        )
        heads = stored + dead - expected  # a header that is no JSON any more is a dead letter, too
        assert 0 <= heads <= len(writers), f"inputs {block}: FLIGHTLOG_FAULT_SEED={SEED}"
        assert open_ == 0
        sums_are_right(dsn)
        execute(
            dsn,
            "TRUNCATE pipeline_logs, pipeline_events, pipeline_dead_letters, pipeline_writers, pipeline_runs CASCADE",
        )
        execute(dsn, "TRUNCATE pipeline_run_positions, pipeline_run_writers, pipeline_ship_ledger")
    print(f"seed {SEED}: {count} payloads, {total} rows and dead letters")
