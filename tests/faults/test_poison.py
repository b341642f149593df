"""What is in a record, or what the clock says, never costs a record: neither this one nor its neighbours."""

import json
import os
import random
import struct
import time

import pytest
from campaign import LONG, SEED, rounds
from injection import shimmed
from spoiled import Spoiled

from flightlog import identity
from flightlog.journal.format import MAX_PAYLOAD_BYTES, frame, salt_of, segment_name
from integration.shipping import fetch, head, log
from worker import text

CORPUS = r"""
import datetime, decimal, enum, fractions, io, logging, math, pathlib, sys, uuid
import flightlog, worker
flightlog.init(pipeline="poison")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(1)

class Raises:
    def __repr__(self): raise ValueError("no repr")
    __str__ = __repr__
class Recurses:
    def __repr__(self): return repr(self)
class NotText:
    def __repr__(self): return 7
class Text(str):
    def encode(self, *a): raise ValueError
    def __str__(self): raise ValueError
class Number(int):
    def __repr__(self): raise ValueError
    __str__ = __repr__
class Map(dict):
    def items(self): raise ValueError
class Colour(enum.Enum):
    RED = "r\0"
deep, ring, ring_list = [], {}, []
for _ in range(10000):
    deep = [deep]
nested = {}
for _ in range(10000):
    nested = {"n": nested}
ring["ring"] = ring
ring_list.append(ring_list)
values = [
    "a\0b", "\\u0000", "\ud800", "\udc80x\udfff", "\U0010ffff", "\x1b]0;t\x07", "\u2028\u202e", "x" * 300000, "\n\t\r\\\\", "\\x00\\",
    math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0, 2**63, 2**64, 2**70, -(2**70), 10**4000, 10**400000 if sys.version_info < (3, 11) else 1 << 1328771,
    decimal.Decimal("1e400000"), decimal.Decimal("NaN"), fractions.Fraction(1, 3), complex(1, 2),
    deep, nested, ring, ring_list, [ring, ring], (1, (2, (3,))), {1, "a"}, frozenset([None]), range(3), iter([1]), (i for i in [1]),
    b"\x00\xff\xfe", bytearray(b"x\0"), memoryview(b"abc"), Raises(), Recurses(), NotText(), Text("t"), Number(5), Map(a=1), Colour.RED,
    [Raises()] * 3, {"k": Raises()}, {Raises: 1}, {("tuple", 1): 2}, {None: 1, True: 2, 1.5: 3}, {"k" * 3000: 1}, {"a\0b": 1, "\ud800": 2},
    dict.fromkeys(range(5000)), ["y" * 40000] * 20, {str(i): "z" * 30000 for i in range(30)}, datetime.datetime.max, datetime.timedelta.max,
    datetime.date.min, uuid.UUID(int=0), pathlib.Path("/\udcff"), io.StringIO(), object(), type, len, Ellipsis, NotImplemented, sys, ValueError("\ud800"),
]
for n, value in enumerate(values):
    worker.log(native.info, "native", n, value=value)
    said = worker.text("std", n)
    std.info(said, extra={"value": value})
    worker.saw("std", n, said)
    try:
        raise RuntimeError(value)
    except RuntimeError:
        worker.log(native.exception, "chained", n)
    # The text itself is poison: it arrives once, but not letter for letter.
    native.info(value)
    native.info("q:%d: %r" % (n, "") + value if isinstance(value, str) else "q:%d:" % n)
    std.info("r:%d: %s", n, value)
    native.bind(**{"b": value}).info("s:%d:" % n)
for n, level in enumerate([0, 1, 19, 51, 32768, 2**31, 2**63, 2**70]):
    said = worker.text("level", n)
    native.log(level, said)
    worker.saw("level", n, said)
    if 0 < level < 2**31:
        std.log(level, "t:%d:" % n)
long_logger = flightlog.get_logger("l" * 3000)
worker.log(long_logger.info, "logger", 0)
worker.log(flightlog.get_logger("\0\ud800").info, "logger", 1)
with flightlog.run("r" * 3000) as run:
    worker.log(native.info, "run", 0)
    with run.stage("s" * 3000):
        worker.log(native.info, "run", 1)
    with run.stage("\0\ud800/" * 50):
        worker.log(native.info, "run", 2)
with flightlog.run("\0\ud800"):
    worker.log(native.info, "run", 3)
print(len(values), flush=True)
sys.exit(3)
"""


@pytest.mark.parametrize("name", ["this", "spool", "python3.8", "python3.13", "pypy3"])
def test_35_poison_corpus(scene, machine, name):
    """Values, texts, names and levels that others' encoders and databases refuse: each record arrives, none as a dead letter."""
    if name == "spool":
        met_in_the_spool(scene)
        return
    python = machine.interpreter(name)
    if not LONG and name != "this":
        pytest.skip("only in make faults")
    counted = os.path.join(scene.folder, "count")
    with open(counted, "wb") as file:
        assert scene.run(CORPUS, python=python, stdout=file) == 3, scene.words()
    count = int(open(counted).read())
    scene.tally.add(rounds=count)
    found = scene.check(names=["native", "std", "chained", "level", "logger", "run"])
    assert found.total("dead") == 0, fetch(
        scene.dsn, "SELECT error, encode(raw, 'escape') FROM pipeline_dead_letters LIMIT 3"
    )
    for letter in "qrs":
        rows = fetch(
            scene.dsn, "SELECT split_part(message, ':', 2) FROM pipeline_logs WHERE message LIKE %s", letter + ":%"
        )
        told = {n for (n,) in rows} - {"%d"}  # with arguments that do not fit the text stays as it is
        assert len(rows) == count and told <= set(map(str, range(count))), letter


# What a header may claim.
HEADS = [
    *[{"pid": value} for value in (2**31, 2**40, 2**70, -1, 1.5, "1", None, True, [])],
    *[
        {key: value}
        for key in ("start", "uid", "t", "segno", "v", "mono")
        for value in (2**63, 2**70, -(2**40), 1e300, "x", None, [])
    ],
    *[
        {key: value}
        for key in ("node", "boot", "argv0", "py", "run", "pipeline", "role")
        for value in ("\0", "\ud800", "x" * 5000, 7, None, [], {})
    ],
    *[{"prev": value} for value in (7, [], [1], [1, 2, 3], ["0", 1], [-1, 2**70], [2**70, 0], [True, False], None)],
    *[{"dropped": value} for value in (7, [], {"a": -1}, {"a": True}, {"a": 1.5}, None)],
]
# Payloads of a foreign, broken or hostile writer, in valid frames.
PAYLOADS = [
    *[b'{"k":"%s","x":{"a\xa7":1}}' % kind for kind in (b"log", b"event")],
    *[b'{"k":"log","e":{"message":"\xc3\x28"}}', b'{"k":"log","x":{"a":"\xed\xa0\x80"}}'],
    *[
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"{",
        b"\x00",
        b"\xff\xfe",
        b'{"k":"log"',
        b"[" * 100000,
        b'{"a":' * 100000,
        b'{"k":"log","m":NaN}',
    ],
    *[
        b'{"k":"log","m":"a\x00b"}',
        b'{"k":"log","m":"a\\u0000b"}',
        b'{"k":"log","m":"\\ud800"}',
        b'{"k":"log","m":"\xc3\x28"}',
        b'{"k":"log","m":"\t\r"}',
    ],
    *[
        b'{"k":"log","x":{"a":%s}}' % token
        for token in (
            b"NaN",
            b"1e400000",
            b"-Infinity",
            b"9" * 200000,
            b'"\\u0000"',
            b'"\\udfff\\ud800"',
            b"[" * 1500 + b"]" * 1500,
        )
    ],
    *[
        b'{"k":"log","t":%s}' % token
        for token in (
            b'"now"',
            b"1.5",
            b"-1",
            b"1e30",
            b"99999999999999999999999",
            b"null",
            b"[]",
            b"253402300800000000000",
            b"true",
        )
    ],
    *[
        b'{"k":"log","lv":%s}' % token
        for token in (b"99999999", b"-99999999", b'"INFO"', b"1e400", b"null", b"{}", b"20.5")
    ],
    *[b'{"k":"log","ln":%s}' % token for token in (b"4294967296", b"-1", b'"x"', b"1e99")],
    *[
        b'{"k":"log","%s":%s}' % (key, token)
        for key in (b"lg", b"m", b"r", b"s", b"th", b"f", b"fn", b"src", b"tr")
        for token in (b"7", b"null", b"[1]", b'{"a":"\\u0000"}')
    ],
    *[
        b'{"k":"event","ev":"%s","x":%s}' % (event, data)
        for event in (b"run.started", b"run.ended", b"progress", b"stage.ended", b"own", b"\\u0000")
        for data in (
            b"7",
            b"null",
            b"[]",
            b'{"pipeline":7,"t":"x","exit_code":1e99,"done":"x","params":"\\u0000"}',
            b'{"pipeline":"%s"}' % (b"p" * 3000),
            b'{"exit_code":99999999999,"wait_status":"\\ud800","duration_ns":1e300}',
        )
    ],
    *[b'{"k":%s}' % kind for kind in (b"7", b"null", b'"unknown"', b'""', b'"head"', b'"drops"')],
    *[
        b'{"k":"drops","dropped":%s}' % counts
        for counts in (b"7", b'{"a":"x"}', b'{"a":-5}', b'{"a":1e300}', b'{"a":99999999999999999999999}')
    ],
    b'{"k":"log","k":"event","m":"twice"}',
    b'{"k":"log","m":"' + b"m" * 262000 + b'"}',
    b'{"k":"log","r":"' + b"r" * 5000 + b'"}',
    b'{"k":"log","s":"' + b"s" * 5000 + b'"}',
]


def met_in_the_spool(scene):
    """The same from writers that are not ours: neighbours are stored, and what cannot be stored is a dead letter."""
    identity.make_spool(scene.spool)
    bad = 0
    for number, payload in enumerate([*PAYLOADS, *HEADS]):
        writer, run = identity.new_writer_id(), identity.new_ulid()
        salt, name = salt_of(writer), f"n{number}"
        with open(os.path.join(scene.spool, segment_name(writer, 0)), "wb") as file:
            top = json.loads(head(writer, 0, run))
            if isinstance(payload, dict):
                top, payload = {**top, **payload}, b"{}"
            file.write(frame(json.dumps(top).encode(), salt, 0))
            for n, item in enumerate([log(run, text(name, 0)), payload, log(run, text(name, 1))], 1):
                file.write(frame(item, salt, n))
        with open(scene.witness, "a") as file:
            import zlib

            file.writelines(f"{name} {n} {zlib.crc32(text(name, n).encode()):08x}\n" for n in (0, 1))
        bad += 1
    found = scene.settle()
    longer = sum(isinstance(item, bytes) and len(item) > MAX_PAYLOAD_BYTES for item in PAYLOADS)  # no frame: damage
    assert found.total("corrupt") == longer
    scene.check(may_lose=True, spare=found.total("dead") + found.total("dropped") + longer)
    scene.tally.declared = found.total("dead")  # what they say they dropped is a lie, too
    scene.tally.rounds = bad
    assert len(scene.rows()) == 2 * bad
    assert found.total("dead") < bad / 3, "most of these can be stored"


def test_36_one_poison_at_each_position_of_a_batch(scene):
    """A batch of 64 with one record that the database refuses, at each place: 63 stored, one dead letter with its bytes."""
    scene.start_agent(config="agent:\n  batch_rows: 64\n")
    for position in range(64):
        one = Spoiled(f"b{position}", 64, poison=position)
        one.write(scene.spool, scene.witness)
        scene.tally.add(rounds=1)
    found = scene.check(may_lose=True)
    assert (found.total("dead"), found.total("corrupt"), found.total("dropped")) == (64, 0, 0)
    letters = fetch(scene.dsn, "SELECT convert_from(raw, 'UTF8') FROM pipeline_dead_letters WHERE sqlstate = '22003'")
    assert sorted(int(raw.split('"w:b')[1].split(":")[1]) for (raw,) in letters) == list(range(64))


CLOCKS = """
import mmap, os, random, struct, time
import flightlog, logging, worker
flightlog.init(pipeline="clocks")
log, std = flightlog.get_logger("clocks"), logging.getLogger("std")
std.setLevel(20)
file = os.open(os.environ["FAULT_CLOCK"], os.O_RDWR)
def shift(seconds):
    os.pwrite(file, struct.pack("<q", seconds), 0)
real = time.time()
# forth and back by a second, an hour (what a wall clock does at the end of summer time), a day; to 1970, to 2099 and to 2232, where the kernel's own clock ends
jumps = [0, 3600, 0, -3600, 1, -1, 86400, -86400, -40 * 86400, -int(real), 4070908800 - int(real), 0, 8276000000 - int(real), 0]
choose = random.Random(int(worker.argument(1)))
n = 0
with flightlog.run("clocks") as run, run.stage("s", total=100) as stage:
    for jump in jumps + [max(-int(real), choose.choice(jumps) + choose.randrange(-90000, 90000)) for _ in range(int(worker.argument(2)))]:
        shift(jump)
        for _ in range(20):
            worker.log(std.info if n % 2 else log.info, "clock", n)
            n += 1
        stage.advance()
"""


def test_34_clock_jumps(scene, machine):
    """The wall clock of pipeline and agent jumps: order and partitions are right, what was claimed is kept."""
    clock = os.path.join(scene.folder, "clock")
    with open(clock, "wb") as file:
        file.write(struct.pack("<q", 0))
    shifted = shimmed(machine.need("shim"), "", FAULT_CLOCK=clock)
    both = random.Random(SEED).random() < 0.5
    if both:
        scene.start_agent(**shifted)  # sees the same jumps
    assert scene.run(CLOCKS, SEED, rounds(5, 5), env=scene.env(**shifted, TZ="Europe/Berlin")) == 0, scene.words()
    with open(clock, "r+b") as file:
        file.write(struct.pack("<q", 0))
    scene.tally.add(rounds=15 + rounds(5, 5))
    scene.check(names=["clock"])
    now = time.time()
    ((oldest, newest),) = fetch(
        scene.dsn,
        "SELECT extract(epoch FROM min(ts))::float, extract(epoch FROM max(ts))::float FROM pipeline_logs WHERE message LIKE 'w:%%'",
    )
    claimed = [
        year
        for (year,) in fetch(
            scene.dsn,
            "SELECT DISTINCT extract(year FROM ts_claimed)::int FROM pipeline_logs WHERE ts_claimed IS NOT NULL",
        )
    ]
    if not both:
        assert {1970, 2099} <= set(claimed), claimed
        assert now - 31 * 86400 < oldest and newest < now + 2 * 86400
