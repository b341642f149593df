"""Refused records: their own bytes are kept, whichever block, segment or stream they stood in; and batches stay within their bytes."""

import os
import time

import pytest

from flightlog import identity
from flightlog.agent.shipper import Shipper
from flightlog.agent.spool_scan import look
from flightlog.errors import SegmentError
from flightlog.journal.capture import CaptureWriter
from integration import shipping
from integration.shipping import fetch, log, messages, segment, ship_all, shipper_for, spool_of, sums_are_right, write

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


def poison(text):
    """A record that only the server refuses: a number beyond numeric."""
    return b'{"k":"log","t":%d,"lv":20,"m":"%s","r":"%s","x":{"a":1e400000}}' % (time.time_ns(), text, RUN.encode())


def letters(dsn):
    return [bytes(raw) for (raw,) in fetch(dsn, "SELECT raw FROM pipeline_dead_letters ORDER BY writer_id, seq")]


def captured(spool, data):
    writer = CaptureWriter(spool, {"run": RUN, "stream": "stdout", "pipeline": "p", "boot": "0" * 32, "keeper": [0, 0]})
    writer.open()
    os.write(writer.fd, data)
    writer.stamp(len(data))
    writer.end()
    return writer.writer_id


def test_raw_bytes_are_those_of_the_record_among_many_blocks_segments_and_writers(dsn, home):
    spool = spool_of(home)
    expected = {}
    for writer in sorted(identity.new_writer_id() for _ in range(3)):
        n = 1
        for number in range(3):
            payloads = [log(RUN, f"{number}/{i}") for i in range(700)]
            for at in (0, 249, 250, 251, 699):
                payloads[at] = poison(b"%d %d" % (number, at))
                expected[writer, n + at] = payloads[at]
            segment(spool, writer, number, payloads, n, run=RUN)
            n += 700
    ship_all(shipper_for(dsn, home), spool)
    assert letters(dsn) == [expected[key] for key in sorted(expected)]
    found = fetch(dsn, "SELECT replace(writer_id::text, '-', ''), seq FROM pipeline_dead_letters ORDER BY 1, 2")
    assert found == sorted(expected)
    assert len(messages(dsn)) == 3 * 3 * 695
    sums_are_right(dsn)


def test_a_refused_captured_line_keeps_what_stood_in_the_stream(dsn, home):
    spool = spool_of(home)
    shipping.execute(dsn, "ALTER TABLE pipeline_logs ADD CHECK (message <> 'refuse me')")
    bad = b"\x1b[31mrefuse me\x1b[0m"
    captured(spool, b"before\n" + b"more\n" * 300 + bad + b"\nafter\n")
    ship_all(shipper_for(dsn, home), spool)
    assert letters(dsn) == [bad]
    assert messages(dsn) == ["before"] + ["more"] * 300 + ["after"]
    sums_are_right(dsn)


def test_fields_that_are_no_utf_8_are_refused_and_do_not_end_the_agent(dsn, home):
    spool = spool_of(home)
    run, now = RUN.encode(), time.time_ns()
    bad = b'{"k":"log","lv":20,"fn":"f","t":%d,"m":"m","r":"%s","x":{"a":"\xff"}}' % (now, run)
    worse = b'{"k":"event","t":%d,"ev":"progress","r":"%s","x":{"a":"\xff"}}' % (now, run)
    segment(spool, identity.new_writer_id(), 0, [log(RUN, "a"), bad, worse, log(RUN, "b")], run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    assert (messages(dsn), letters(dsn)) == (["a", "b"], [bad, worse])
    sums_are_right(dsn)


def test_a_segment_that_changed_under_a_refused_record_stops_the_batch(dsn, home):
    spool = spool_of(home)
    path = segment(spool, identity.new_writer_id(), 0, [log(RUN, "a"), poison(b"p")], run=RUN)
    sink = shipping.sink_for(dsn)
    shipper = Shipper(sink, shipping.NODE, str(home))
    begin = sink.begin

    def begin_and_truncate():
        os.truncate(path, 100)
        return begin()

    sink.begin = begin_and_truncate
    with pytest.raises(SegmentError):
        shipper.ship(look([spool]), True)
    assert (messages(dsn), letters(dsn)) == ([], [])


@pytest.mark.parametrize(
    "data",
    [b"".join(b"\x1b[0m" * 15_000 + b"%d\n" % n for n in range(400)), None],
    ids=["lines that are nearly all colour", "records that are all poison"],
)
def test_what_leaves_no_text_counts_into_the_size_of_a_batch(dsn, home, data):
    spool = spool_of(home)
    if data is not None:
        captured(spool, data)
    else:
        segment(spool, identity.new_writer_id(), 0, [b"no JSON " + b"x" * 60_000] * 400, run=RUN)
    shipper = shipper_for(dsn, home, batch_bytes=1 << 20)
    shipper.ship(look([spool]), True)
    ((rows,),) = fetch(dsn, "SELECT sum(stored + dead) FROM pipeline_writers")
    assert 0 < rows < 50
    ship_all(shipper, spool)
    assert fetch(dsn, "SELECT sum(stored + dead) FROM pipeline_writers") == [(400,)]
    sums_are_right(dsn)


def test_a_busy_writer_does_not_keep_others_waiting(dsn, home):
    spool = spool_of(home)
    for _ in range(4):
        write(spool, RUN, [f"{n} " + "x" * 500 for n in range(3000)])
    shipper = shipper_for(dsn, home, batch_rows=100)
    for _ in range(4):
        shipper.ship(look([spool]), False)
    assert fetch(dsn, "SELECT count(DISTINCT writer_id) FROM pipeline_logs") == [(4,)]
