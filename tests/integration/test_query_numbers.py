"""Numbers that JSON and PostgreSQL can hold and Python refuses do not keep a run's logs from being read."""

import json
import time

from campaign import environment, flightlog

from flightlog import identity
from flightlog.store.db import parsed
from integration.shipping import log, segment, ship_all, shipper_for, spool_of

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


def no_json(token):
    raise AssertionError(token)


def test_logs_are_read_whatever_numbers_stand_in_them(dsn, home):
    spool = spool_of(home)
    numbers = ["1" * 5000, "-" + "1" * 5000, "1e5000", "1.5e4999", "9" * 400 + ".5"]
    frames = [
        b'{"k":"log","t":%d,"lv":40,"m":"odd","r":"%s","%s":{"type":"E","n":%s,"plain":[1,2.5]}}'
        % (time.time_ns(), RUN.encode(), key, number.encode())
        for number in numbers
        for key in (b"x", b"e")
    ]
    segment(spool, identity.new_writer_id(), 0, [log(RUN, "a"), *frames, log(RUN, "b")], run=RUN)
    away = environment(home, "host=/nonexistent")
    code, text, _ = flightlog("logs", RUN, "-o", "jsonl", env=away)
    assert (code, text.count("\n")) == (3, 12)
    ship_all(shipper_for(dsn, home), spool)
    for where, wanted in ((environment(home, dsn), 0), (away, 3)):
        code, text, errors = flightlog("logs", RUN, "-o", "jsonl", env=where)
        assert (code, "Traceback" in errors) == (wanted, False)
        lines = [json.loads(line, parse_constant=no_json) for line in text.splitlines()]
        assert sorted(line["message"] for line in lines) == ["a", "b", *["odd"] * 10]
        odd = [line["fields"] for line in lines if line["fields"]]
        assert [one["plain"] for one in odd] == [[1, 2.5]] * 5
        assert all(isinstance(one["n"], str) for one in odd)
    assert flightlog("logs", RUN, "-o", "full", env=environment(home, dsn))[0] == 0


def test_other_json_is_read_as_it_is():
    assert parsed('{"a":[1,-2.5,null,true,"x"],"b":18446744073709551615}') == {
        "a": [1, -2.5, None, True, "x"],
        "b": 2**64 - 1,
    }
    assert parsed(b"1e400") == "1e400"
