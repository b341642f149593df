"""From segments to rows: exactly once, numbered, counted, whatever is in them."""

import json
import os
import random
import time

import psycopg
import pytest

from flightlog import identity
from flightlog.agent import rows
from flightlog.agent.spool_scan import look
from flightlog.errors import Fenced, PositionConflict, SinkUnavailable
from flightlog.journal.capture import INDEX_ENTRY, CaptureWriter
from flightlog.journal.encode import encode
from flightlog.journal.format import frame, salt_of
from integration import shipping
from integration.shipping import (
    fetch,
    log,
    messages,
    segment,
    ship_all,
    shipper_for,
    sink_for,
    spool_of,
    sums_are_right,
    write,
)

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
OTHER = "01M86ZYTH9FGWWWGERS15X8FFR"


def test_the_columns_are_the_ones_the_agent_writes(dsn):
    for table, columns in (("pipeline_logs", rows.LOG_COLUMNS), ("pipeline_events", rows.EVENT_COLUMNS)):
        found = fetch(dsn, "SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
        assert {name for (name,) in found} == set(columns)


def test_rows_arrive_once_in_order_with_numbers(dsn, home):
    spool = spool_of(home)
    said = [f"line {n}\twith\nodd \\ characters é 😀" for n in range(1200)]
    writer = write(spool, RUN, said)
    shipper = shipper_for(dsn, home, batch_rows=500)
    assert ship_all(shipper, spool) == 1200
    assert ship_all(shipper, spool) == 0
    assert messages(dsn) == said
    assert [row[0] for row in fetch(dsn, "SELECT seq FROM pipeline_logs ORDER BY pos")] == list(range(1, 1201))
    assert fetch(dsn, "SELECT lines, state, pipeline, kind FROM pipeline_runs") == [
        (1200, "running", "orders", "implicit")
    ]
    ((stored, highest, closed),) = fetch(dsn, "SELECT stored, highest_n, closed_at IS NOT NULL FROM pipeline_writers")
    assert (stored, highest, closed) == (1200, 1200, True)
    assert shipper.is_closed(writer)
    sums_are_right(dsn)


def test_a_second_agent_goes_on_where_the_first_one_ended(dsn, home):
    spool = spool_of(home)
    for n in range(20):
        write(spool, RUN if n % 2 else OTHER, [f"{n}/{i}" for i in range(50)])
    first = shipper_for(dsn, home, batch_rows=130)
    first.ship(look([spool]), True)
    assert 0 < len(messages(dsn)) < 1000
    ship_all(shipper_for(dsn, home, batch_rows=170), spool)
    assert sorted(messages(dsn)) == sorted(f"{n}/{i}" for n in range(20) for i in range(50))
    sums_are_right(dsn)


def test_the_older_agent_is_fenced_off(dsn, home):
    spool = spool_of(home)
    write(spool, RUN, ["a"])
    old = shipper_for(dsn, home)
    new = sink_for(dsn)
    with pytest.raises((Fenced, SinkUnavailable)):  # its backend was ended, or it learns of the epoch
        old.ship(look([spool]), True)
    assert messages(dsn) == []
    new.close()


def test_a_zombie_that_reconnected_by_itself_is_refused(dsn, home):
    spool = spool_of(home)
    write(spool, RUN, ["a"])
    old_sink = sink_for(dsn)
    old_epoch = old_sink.epoch
    sink_for(dsn).close()
    again = sink_for(dsn)
    again.epoch = old_epoch  # what a process would hold that slept through all this
    with pytest.raises(Fenced):
        shipping.Shipper(again, shipping.NODE, str(home)).ship(look([spool]), True)
    with pytest.raises(Fenced):
        again.beat({})
    assert messages(dsn) == []


def test_a_position_that_somebody_moved_stops_the_batch(dsn, home):
    spool = spool_of(home)
    writer = write(spool, RUN, ["a", "b"])
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool, look_alive=False)
    with open(os.path.join(spool, writer + ".000000.seg"), "ab") as file:
        file.write(frame(log(RUN, "c"), salt_of(writer), 3))
    fetch(dsn, "UPDATE pipeline_writers SET next_seq = 9, stored = 8 RETURNING 1")
    with pytest.raises(PositionConflict):
        shipper.ship(look([spool]), False)
    assert messages(dsn) == ["a", "b"]


def test_a_new_writer_must_begin_at_the_beginning(dsn, home):
    sink = sink_for(dsn)
    batch = sink.begin()
    advance = dict.fromkeys(("logs", "events", "dead", "dropped", "corrupt", "torn", "n"), 0)
    advance.update(
        writer="ab" * 16, kind="journal", run=RUN, pid=1, opened="2026-11-24T00:00:00Z", header={}, segno=1, offset=0
    )
    advance.update(seq=1, to_segno=1, to_offset=10, to_seq=1, closed=False)
    with pytest.raises(PositionConflict):
        batch.advance([advance], [])
    batch.abort()
    assert fetch(dsn, "SELECT 1 FROM pipeline_writers") == []


def test_a_batch_that_does_not_add_up_is_refused(dsn, home):
    sink = sink_for(dsn)
    batch = sink.begin()
    advance = dict.fromkeys(("segno", "offset", "events", "dead", "dropped", "corrupt", "torn", "n"), 0)
    advance.update(writer="ab" * 16, kind="journal", run=RUN, pid=1, opened="2026-11-24T00:00:00Z", header={}, logs=2)
    advance.update(seq=1, to_segno=0, to_offset=10, to_seq=2, closed=False)
    with pytest.raises(PositionConflict):
        batch.advance([advance], [])
    batch.abort()


POISON = [
    b'{"k":"log","t":%d,"lv":20,"m":"number","r":"' + RUN.encode() + b'","x":{"a":1e400000}}',
    b"this is no JSON",
    b"[1, 2]",
]


@pytest.mark.parametrize("where", [[0], [499], [3, 4, 5], [0, 250, 700, 999], list(range(0, 1000, 100))])
def test_poison_goes_into_dead_letters_and_its_neighbours_are_stored(dsn, home, where):
    spool = spool_of(home)
    payloads = [log(RUN, f"m{n}") for n in range(1000)]
    for index, at in enumerate(where):
        payloads[at] = POISON[index % 3].replace(b"%d", str(time.time_ns()).encode())
    writer = identity.new_writer_id()
    segment(spool, writer, 0, payloads, run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == [f"m{n}" for n in range(1000) if n not in where]
    letters = fetch(dsn, "SELECT seq, raw, length(error) > 0, run_id FROM pipeline_dead_letters ORDER BY seq")
    assert letters == [(at + 1, payloads[at], True, RUN) for at in where]
    assert fetch(dsn, "SELECT stored, dead FROM pipeline_writers") == [(1000 - len(where), len(where))]
    sums_are_right(dsn)


def test_a_poisonous_event_and_poisonous_facts_of_a_run(dsn, home):
    spool = spool_of(home)
    now = time.time_ns()
    bad = b'{"k":"event","t":%d,"ev":"progress","r":"%s","x":{"done":1e400000}}' % (now, RUN.encode())
    start = encode(
        {"k": "event", "t": now, "ev": "run.started", "r": RUN, "x": {"pipeline": "p\0q", "kind": "attached", "pid": 7}}
    )
    segment(spool, identity.new_writer_id(), 0, [start, bad, log(RUN, "after")], run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["after"]
    assert fetch(dsn, "SELECT pipeline, kind, pid FROM pipeline_runs") == [("p\\x00q", "attached", 7)]
    assert fetch(dsn, "SELECT raw FROM pipeline_dead_letters") == [(bad,)]
    sums_are_right(dsn)


def test_times_nobody_believes_are_clamped_and_kept(dsn, home):
    spool = spool_of(home)
    times = [0, 1, 4_000_000_000 * 10**9, -5, 10**30, time.time_ns() - 3 * 86400 * 10**9]
    segment(
        spool,
        identity.new_writer_id(),
        0,
        [log(RUN, str(t), t or 1) if t else log(RUN, "0", 1) for t in times],
        run=RUN,
    )
    ship_all(shipper_for(dsn, home), spool)
    found = fetch(
        dsn,
        "SELECT ts_claimed IS NULL, ts > now() - interval '1 hour', ts > now() - interval '4 days' FROM pipeline_logs"
        " ORDER BY pos",
    )
    assert found[:5] == [
        (False, True, True),
        (False, True, True),
        (False, True, True),
        (False, True, True),
        (True, True, True),
    ] or found[4][1:] == (True, True)
    assert found[5] == (True, False, True)  # three days old is believed, and got a partition
    sums_are_right(dsn)


def test_many_days_in_one_segment(dsn, home):
    spool = spool_of(home)
    now = time.time_ns()
    payloads = [log(RUN, f"{day}/{n}", now - day * 86400 * 10**9) for n in range(30) for day in range(20)]
    segment(spool, identity.new_writer_id(), 0, payloads, run=RUN)
    assert ship_all(shipper_for(dsn, home), spool) == 600
    assert fetch(dsn, "SELECT count(*), count(DISTINCT ts::date) FROM pipeline_logs") == [(600, 20)]
    sums_are_right(dsn)


def test_many_runs_in_one_segment(dsn, home):
    spool = spool_of(home)
    runs = [identity.new_ulid() for _ in range(40)]
    segment(spool, identity.new_writer_id(), 0, [log(runs[n % 40], str(n)) for n in range(2000)])
    assert ship_all(shipper_for(dsn, home, batch_rows=900), spool) == 2000
    assert fetch(dsn, "SELECT DISTINCT lines FROM pipeline_runs") == [(50,)]
    sums_are_right(dsn)


def test_damage_is_declared_kept_and_passed(dsn, home):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    path = segment(spool, writer, 0, [log(RUN, f"m{n}") for n in range(100)], run=RUN)
    with open(path, "r+b") as file:
        data = file.read()
        at = data.index(b'"m50"')
        file.seek(at)
        file.write(b"XXXXX")
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == [f"m{n}" for n in range(100) if n != 50]
    assert fetch(dsn, "SELECT stored, corrupt, torn, highest_n FROM pipeline_writers") == [(99, 1, 0, 100)]
    (kept,) = os.listdir(os.path.join(str(home), "quarantine"))
    assert kept.startswith(writer)
    sums_are_right(dsn)


def test_a_torn_end_is_no_loss_and_rotation_is_followed(dsn, home):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    segment(spool, writer, 0, [log(RUN, "a"), log(RUN, "b")], run=RUN)
    path = segment(spool, writer, 3, [log(RUN, "c")], 3, run=RUN)  # numbers 1 and 2: births that failed
    with open(path, "ab") as file:
        file.write(frame(log(RUN, "never returned"), salt_of(writer), 4)[:-5])
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["a", "b", "c"]
    ((segno, torn, closed),) = fetch(dsn, "SELECT segno, torn, closed_at IS NOT NULL FROM pipeline_writers")
    assert segno == 3 and torn > 0 and closed
    sums_are_right(dsn)


def test_a_segment_is_not_left_while_something_may_still_come_to_it(dsn, home):
    spool = spool_of(home)
    writer = identity.new_writer_id()
    alive = {"boot": identity.boot_id(), "pid": os.getpid(), "start": identity.process_start_time(os.getpid())}
    first = segment(spool, writer, 0, [log(RUN, "a")], run=RUN, **alive)
    second = segment(spool, writer, 1, [], run=RUN, **alive)
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool)
    with open(first, "ab") as file:
        file.write(frame(log(RUN, "late"), salt_of(writer), 2))
    ship_all(shipper, spool)
    with open(second, "ab") as file:
        file.write(frame(log(RUN, "b"), salt_of(writer), 3))
    ship_all(shipper, spool)
    assert messages(dsn) == ["a", "late", "b"]
    assert not shipper.is_closed(writer)


def test_what_names_no_run_is_kept(dsn, home):
    spool = spool_of(home)
    payloads = [log("", "empty"), log("not a run", "strange"), b'{"k":"log","m":"no key","t":%d}' % time.time_ns()]
    segment(spool, identity.new_writer_id(), 0, payloads)
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["empty", "strange", "no key"]
    sums_are_right(dsn)


def test_drops_are_totals(dsn, home):
    spool = spool_of(home)
    drops = [encode({"k": "drops", "t": 1, "dropped": {"20/pressure": n, "30/unwritable": 1}}) for n in (3, 5)]
    segment(spool, identity.new_writer_id(), 0, [drops[0], log(RUN, "a"), drops[1]], run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    assert fetch(dsn, "SELECT dropped, stored FROM pipeline_writers") == [(6, 1)]


def test_a_run_without_end_is_lost_when_everybody_is_gone(dsn, home):
    spool = spool_of(home)
    alive = {"boot": identity.boot_id(), "pid": os.getpid(), "start": identity.process_start_time(os.getpid())}
    segment(spool, identity.new_writer_id(), 0, [log(OTHER, "lives")], run=OTHER, **alive)
    write(spool, RUN, ["gone"])
    sink = sink_for(dsn)
    shipper = shipping.Shipper(sink, shipping.NODE, str(home))
    ship_all(shipper, spool)
    assert sink.lost(shipper.living_runs(look([spool]))) == [RUN]
    assert fetch(dsn, "SELECT run_id, state FROM pipeline_runs ORDER BY 1") == [(RUN, "lost"), (OTHER, "running")]


def test_a_real_end_stands_against_lost_and_the_first_end_stands(dsn, home):
    spool = spool_of(home)
    write(spool, RUN, ["a"])
    sink = sink_for(dsn)
    shipper = shipping.Shipper(sink, shipping.NODE, str(home))
    ship_all(shipper, spool)
    sink.lost([])

    def end(**data):
        return encode({"k": "event", "t": time.time_ns(), "ev": "run.ended", "r": RUN, "x": data})

    first = end(status="failed", term_signal="SIGSEGV", wait_status=11)
    segment(spool, identity.new_writer_id(), 0, [first], run=RUN)
    ship_all(shipper, spool)
    segment(spool, identity.new_writer_id(), 0, [end(status="ok", exit_code=0)], run=RUN)
    ship_all(shipper, spool)
    found = fetch(dsn, "SELECT state, term_signal, exit_code, verdict FROM pipeline_runs")
    assert found == [("failed", "SIGSEGV", None, "native-crash")]


def test_fields_and_exceptions_are_queryable_json(dsn, home):
    spool = spool_of(home)
    error = {"type": "ValueError", "module": "builtins", "message": 'quote " back \\ new\nline', "frames": []}
    payload = log(RUN, "m", x={"a": 'tab\t"\\', "n": 2**64 - 1}, e=error)
    segment(spool, identity.new_writer_id(), 0, [payload], run=RUN)
    ship_all(shipper_for(dsn, home), spool)
    ((fields, exception),) = fetch(dsn, "SELECT fields, exception FROM pipeline_logs")
    assert json.loads(json.dumps(fields)) == {"a": 'tab\t"\\', "n": 2**64 - 1} and exception == error


def test_a_captured_line_has_the_time_its_last_byte_came(dsn, home):
    spool = spool_of(home)
    writer = CaptureWriter(spool, {"run": RUN, "stream": "stdout", "boot": "0" * 32, "keeper": [0, 0]}, rotate_bytes=60)
    writer.open()
    now = time.time_ns() // 10**9
    expected = []
    for n, piece in enumerate([b"a\nb\nc", b"c\nd\n", b"e\n" * 40, b"f" * 20, b"\ng\n"]):
        os.write(writer.fd, piece)
        os.write(writer._index_fd, INDEX_ENTRY.pack(writer.size(), (now - 50 + n) * 10**9, 0))
        expected += [now - 50 + n] * piece.count(b"\n")
        if writer.size() > writer.rotate_bytes:
            writer.rotate()
    writer.end()
    ship_all(shipper_for(dsn, home), spool)
    assert messages(dsn) == ["a", "b", "cc", "d", *["e"] * 40, "f" * 20, "g"]
    assert [
        at for (at,) in fetch(dsn, "SELECT extract(epoch FROM ts)::bigint FROM pipeline_logs ORDER BY pos")
    ] == expected


def test_the_server_goes_away_in_a_batch(dsn, home):
    spool = spool_of(home)
    write(spool, RUN, [str(n) for n in range(3000)])
    sink = sink_for(dsn)
    shipper = shipping.Shipper(sink, shipping.NODE, str(home), batch_rows=1000)
    shipper.ship(look([spool]), True)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'flightlog agent%%'"
        )
    with pytest.raises(SinkUnavailable):
        shipper.ship(look([spool]), True)
    sink.open(shipping.NODE, os.getpid())
    ship_all(shipper, spool)
    assert messages(dsn) == [str(n) for n in range(3000)]
    sums_are_right(dsn)


@pytest.mark.parametrize("character", ["x", "é", "日", "🚀"])
def test_a_very_long_name_keeps_nothing_from_being_stored(dsn, home, character):
    """A name goes into an index, which refuses what is too long and cannot be compressed."""
    noise = random.Random(7)
    name = "".join(chr(ord(character) + noise.randrange(0, 20)) for _ in range(5000))
    spool = spool_of(home)
    for run, pipeline in ((RUN, name), (OTHER, "short")):
        started = encode(
            {"k": "event", "t": time.time_ns(), "ev": "run.started", "r": run, "x": {"pipeline": pipeline, "kind": "x"}}
        )
        segment(spool, identity.new_writer_id(), 0, [started, log(run, "said")], run=run, pipeline=pipeline)
    ship_all(shipper_for(dsn, home), spool)
    rows = dict(fetch(dsn, "SELECT run_id, pipeline FROM pipeline_runs"))
    assert rows[OTHER] == "short"
    assert name.startswith(rows[RUN]) and len(rows[RUN]) == 512
