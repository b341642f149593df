"""Call sites: a payload cut in two reads as it does whole, whatever its keys and their order."""

import json
import random

import pytest

from flightlog.agent import sites
from flightlog.agent.copytext import Clock
from flightlog.agent.decode import Frame, Record, decode
from flightlog.agent.rows import LogRows
from flightlog.agent.sites import MAX_FRONT_BYTES, MAX_SITES, Sites
from flightlog.errors import PoisonRecord

NOW = 1_795_600_928_410_509_568
RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
FRONT = b'{"k":"log","lv":20,"lg":"etl","f":"/a/b.py","ln":90,"fn":"talk"'
REST = b',"t":%d,"r":"%s","th":"worker","m":"loaded"}' % (NOW, RUN.encode())


def rows():
    clock = Clock({0, NOW // 10**9 // 86400})
    clock._low, clock._high = 0, 1 << 40
    return LogRows("ab" * 16, "n1", 7, clock)


def cut(payload, known):
    return rows().line(*known.read(payload), RUN, 1, 2)


def whole(payload):
    frame = decode(payload)
    return rows().line(Sites()._of(frame.lv, frame.lg, frame.f, frame.ln, frame.fn), frame, RUN, 1, 2)


def test_a_known_call_site_is_not_decoded_again():
    known = Sites()
    first, record = known.read(FRONT + REST)
    again, other = known.read(FRONT + REST.replace(b"loaded", b"again"))
    assert first is again and first.place == "/a/b.py\t90\ttalk" and first.level == "20\tINFO\tetl"
    assert (type(record), type(other), other.m, other.r) == (Record, Record, "again", RUN)


def test_the_message_is_no_part_of_a_call_site():
    known = Sites()
    for n in range(3):
        payload = FRONT + b',"m":"made at run time %d","t":%d,"x":{"t":1,"m":2}}' % (n, NOW)
        assert known.read(payload)[1].m == f"made at run time {n}"
    assert len(known._fronts) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b'{"k":"log","lv":20,"fn":"f","x":{"a":1,"t":5},"t":%d,"m":"m"}' % NOW,  # the first "t" is another object's
        b'{"k":"log","lv":20,"fn":"f","x":{"a":1,"m":"no","t":5},"t":%d,"m":"m"}' % NOW,
        FRONT + b',"t":5,"lv":40,"t":%d,"m":"level comes late"}' % NOW,
        FRONT + b',"m":"a","t":%d,"m":"the later one"}' % NOW,
        FRONT + b',"t":%d,"m":"key of another version","new":1}' % NOW,
        FRONT + b',"t":"no number","m":"m"}',
        FRONT + b',"t":%d,"m":"nul \\u0000, lone \\ud800, pair \\ud83d\\ude00"}' % NOW,
        FRONT + b',"t":%d,"x":{"a":"\\u0000"},"m":"m"}' % NOW,
        FRONT + b',\n"t":%d, "m":"m","x":{"a":\n[1,\t2]}}' % NOW,
        FRONT + b',"t":%d,"m":"m","x":{"a":\n[1,\t2,\r3]},"e":{\n}}' % NOW,
        b'{"k":"log","m":"%s","t":%d,"lv":30,"fn":"f"}' % (b"x" * MAX_FRONT_BYTES, NOW),
        b'{"k":"log","lv":20,"fn":"%s","t":%d}' % (b"x" * MAX_FRONT_BYTES, NOW),
        b'{"k":"log","lv":99999999999,"fn":"f","ln":99999999999,"t":%d}' % NOW,
        b'{"t":%d,"k":"log"}' % NOW,
    ],
)
def test_strange_payloads_read_as_they_do_whole(payload):
    known = Sites()
    known.read(FRONT + REST)
    for _ in range(2):  # met for the first time, and again
        assert cut(payload, known) == whole(payload)
        assert cut(payload, known).count("\n") == 1 and cut(payload, known).count("\t") == 20


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_any_keys_reads_as_it_does_whole(seed):
    choose, known = random.Random(seed), Sites()
    values = {
        "lv": [20, 45, -1],
        "lg": ["a", 'quote"', "tab\t", None],
        "f": ["/x/y.py", "C:\\new\\table"],
        "ln": [1, None, 2**40],
        "fn": ["f", ',"t":', ',\\"m\\":'],
        "m": ["text", "line\nend", '{"k":"log","t":1}', "é😀", ""],
        "t": [NOW, NOW + 10**9],
        "r": [RUN, ""],
        "s": ["stage", None],
        "th": ["MainThread"],
        "x": [{"a": 1}, {"t": 1, "m": 'x","t":'}, {"p": "a\\b\n"}],
        "e": [{"type": "E", "message": "m\nn"}],
        "tr": [True, False],
        "src": ["sdk", "flightlog"],
        "unknown": [1],
    }
    for _ in range(200):
        keys = [key for key in values if choose.random() < 0.6]
        if choose.random() < 0.5:
            choose.shuffle(keys)
        record = {"k": "log", **{key: choose.choice(values[key]) for key in keys}}
        payload = json.dumps(record, separators=(",", ":"), ensure_ascii=choose.random() < 0.5).encode()
        assert cut(payload, known) == whole(payload)
        assert cut(payload, known).count("\n") == 1 and cut(payload, known).count("\t") == 20


def test_events_and_headers_are_decoded_whole():
    known = Sites()
    for payload in (b'{"k":"event","t":1,"ev":"progress","x":{}}', b'{"k":"head","v":1,"t":1}', b"{}"):
        assert isinstance(known.read(payload)[1], Frame)
    for payload in (b"", b"[]", FRONT, FRONT + b',"t":}'):
        with pytest.raises(PoisonRecord):
            known.read(payload)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(sites, "MAX_SITES", 10)
    known = Sites()
    for n in range(100):
        known.read(b'{"k":"log","lv":20,"fn":"f%d","t":%d}' % (n, NOW))
        known.read(b'{"lv":20,"k":"log","fn":"g%d","t":%d,"new":1}' % (n, NOW))
        assert len(known._fronts) <= 10 and len(known._others) <= 10
    known.read(b'{"k":"log","lv":20,"fn":"%s","t":%d}' % (b"x" * MAX_FRONT_BYTES, NOW))
    assert max(map(len, known._fronts)) < 100 and MAX_SITES * MAX_FRONT_BYTES <= 4 << 20


def test_fields_that_are_no_text_are_poison_and_no_crash():
    with pytest.raises(PoisonRecord):
        cut(FRONT + b',"t":%d,"m":"m","x":{"a":"\xff"}}' % NOW, Sites())
