"""Whatever a writer says, in frames with a right checksum: it is stored or refused by itself, and nobody else's records wait for it."""

import json
import os
import random
import time

import pytest

from flightlog import identity
from flightlog.journal.format import META_SUFFIX, frame, salt_of, segment_name
from flightlog.journal.reader import walk
from integration.shipping import (
    fetch,
    head,
    log,
    messages,
    segment,
    ship_all,
    shipper_for,
    spool_of,
    sums_are_right,
    write,
)

RUN, OTHER = "01M86ZYTH9FGWWWGERS15X8FFQ", "01M86ZYTH9FGWWWGERS15X8FFR"
DEEP = b"[" * 100_000 + b"]" * 100_000
NAME = "".join(
    map(chr, random.Random(1).choices(range(0x4E00, 0x9FFF), k=4096))
)  # no compression makes a key of an index of it


def event(name, data):
    return json.dumps({"k": "event", "t": time.time_ns(), "ev": name, "r": RUN, "x": data}).encode()


def after_shipping(dsn, home, spool):
    """Ship; return (messages, dead letters) of the strange run. The other writer's records are there in any case."""
    write(spool, OTHER, ["neighbour"])
    ship_all(shipper_for(dsn, home), spool)
    sums_are_right(dsn)
    assert fetch(dsn, "SELECT message FROM pipeline_logs WHERE run_id = %s", OTHER) == [("neighbour",)]
    assert fetch(dsn, "SELECT count(*) FROM pipeline_writers WHERE closed_at IS NULL") == [(0,)]
    ((dead,),) = fetch(dsn, "SELECT count(*) FROM pipeline_dead_letters")
    return [message for message in messages(dsn) if message != "neighbour"], dead


@pytest.mark.parametrize(
    "header",
    [
        {"pid": 2**31},
        {"pid": 10**400},
        {"pid": -(2**31) - 1},
        {"start": 10**400},
        {"t": 10**400},
        {"t": -(10**400)},
        {"pipeline": NAME},
        {"pipeline": {"not": ["a", "name"]}},
        {"pipeline": "nul \0"},
        {"node": NAME, "boot": "\0", "role": [[]], "argv0": NAME},
        {"dropped": {"20/x": 2**52, NAME: 1, "": -1, "\0": 2}},
    ],
    ids=lambda header: ",".join(header),
)
def test_a_header_may_say_anything(dsn, home, header):
    spool, writer = spool_of(home), identity.new_writer_id()
    said = json.dumps(
        {**json.loads(head(writer, 0, RUN)), **header}
    ).encode()  # as it is: our own writers would make text of it
    salt = salt_of(writer)
    with open(os.path.join(spool, segment_name(writer, 0)), "wb") as file:
        file.write(frame(said, salt, 0) + frame(log(RUN, "a"), salt, 1))
    assert after_shipping(dsn, home, spool) == (["a"], 0)


def test_a_header_of_brackets_without_end_is_refused(dsn, home):
    spool, writer = spool_of(home), identity.new_writer_id()
    salt = salt_of(writer)
    with open(os.path.join(spool, segment_name(writer, 0)), "wb") as file:
        file.write(frame(b'{"k":"head","x":%s}' % DEEP, salt, 0) + frame(log(RUN, "a"), salt, 1))
    assert after_shipping(dsn, home, spool) == (["a"], 1)


@pytest.mark.parametrize(
    "meta", [{"pipeline": NAME}, {"t": 10**400, "keeper": [10**400, 10**400]}, DEEP], ids=["name", "numbers", "deep"]
)
def test_what_is_said_of_a_stream_may_be_anything(dsn, home, meta):
    spool, writer = spool_of(home), identity.new_writer_id()
    meta = (
        meta
        if isinstance(meta, bytes)
        else json.dumps({"k": "capture", "run": RUN, "stream": "stdout", **meta}).encode()
    )
    for suffix, data in ((META_SUFFIX, meta), (".000000.cap", b"a\n"), (".000000.idx", b""), (".end", b"")):
        with open(os.path.join(spool, writer + suffix), "wb") as file:
            file.write(data)
    assert after_shipping(dsn, home, spool) == (["a"], 0)


@pytest.mark.parametrize("depth", [500, 985, 1100, 8_000, 100_000])
@pytest.mark.parametrize(
    "form",
    [
        b'{"k":"log","m":"m","x":%s,"r":"%s"}',
        b'{"k":"event","ev":"e","x":%s,"r":"%s"}',
        b'{"z":%s,"k":"log","m":"m","r":"%s"}',
    ],
)
def test_nesting_of_any_depth_ends_no_agent(dsn, home, form, depth):
    spool = spool_of(home)
    nested = form % (b"[" * depth + b"]" * depth, RUN.encode())
    segment(spool, identity.new_writer_id(), 0, [log(RUN, "a"), nested, log(RUN, "b")], run=RUN)
    found, dead = after_shipping(dsn, home, spool)
    assert (found[0], found[-1]) == ("a", "b")
    ((events,),) = fetch(dsn, "SELECT count(*) FROM pipeline_events")
    assert len(found) + events + dead == 3


@pytest.mark.parametrize(
    "name, data",
    [
        ("run.ended", {"term_signal": [1], "exit_code": {}, "status": [[]], "error": {"type": []}}),
        ("run.ended", {"term_signal": {"a": 1}, "exec_errno": []}),
        ("run.ended", {"captures": {"a": 1}, "exit_code": 2**31, "wait_status": 10**400, "rusage": "\0"}),
        ("run.started", {"pipeline": NAME, "kind": NAME, "parent": NAME, "origin": NAME, "cwd": NAME, "user": NAME}),
        (
            "run.started",
            {
                "pipeline": ["a"],
                "kind": 3,
                "parent": 1,
                "command": [["\0"]],
                "pid": 2**31,
                "attempt": -(2**40),
                "uid": [1],
            },
        ),
        ("run.adopted", {"pipeline": NAME}),
        ("stage.started", {"total": 10**400}),
        ("progress", {"done": 10**400, "total": -1}),
        (NAME, {NAME: NAME}),
        ("", {"\0": "\0"}),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_an_event_may_say_anything(dsn, home, name, data):
    spool = spool_of(home)
    segment(spool, identity.new_writer_id(), 0, [log(RUN, "a"), event(name, data), log(RUN, "b")], run=RUN)
    assert after_shipping(dsn, home, spool) == (["a", "b"], 0)


def test_bits_of_a_number_that_no_checksum_covers_change_nothing(dsn, home):
    spool, writer = spool_of(home), identity.new_writer_id()
    path = segment(spool, writer, 0, [log(RUN, name) for name in "abcd"], run=RUN)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    ends = [end for end, _, _ in walk(bytes(data), salt_of(writer), 0, len(data))[0]]
    data[ends[1] + 15] ^= 0x80  # the highest bit of the second record's number
    data[ends[3] - 1] ^= 1  # the third record's payload
    with open(path, "wb") as file:
        file.write(data)
    assert after_shipping(dsn, home, spool) == (["a", "b", "d"], 0)
    found = fetch(dsn, "SELECT highest_n, corrupt FROM pipeline_writers WHERE run_id = %s", RUN)
    assert found == [(4, 1)]


def test_a_newer_version_of_the_format_is_held_and_said(dsn, home):
    spool, writer = spool_of(home), identity.new_writer_id()
    segment(spool, writer, 0, [log(RUN, "of ours")], run=RUN)
    segment(spool, writer, 1, [log(RUN, "of tomorrow")], 2, run=RUN, v=2)
    shipper = shipper_for(dsn, home)
    ship_all(shipper, spool)
    assert messages(dsn) == ["of ours"]
    assert list(shipper.unreadable) == [writer]
    assert "version 2" in shipper.unreadable[writer] and "update flightlog" in shipper.unreadable[writer]
    segment(spool, writer, 1, [log(RUN, "of tomorrow")], 2, run=RUN)
    ship_all(shipper, spool)
    assert messages(dsn) == ["of ours", "of tomorrow"] and not shipper.unreadable
