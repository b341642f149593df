"""A birth that is interrupted has not failed: whoever waited for it makes one of its own."""

import json
import threading

import pytest

from flightlog.journal import birth, reader
from flightlog.journal.format import salt_of
from flightlog.journal.writer import Writer


class Boom(Exception):
    """What a signal handler or another thread raises."""


def test_a_record_that_waited_for_an_interrupted_birth_is_written(tmp_path, monkeypatch):
    made, begun, waiting = birth.make_segment, threading.Event(), threading.Event()

    def interrupted(*arguments):
        monkeypatch.setattr(birth, "make_segment", made)
        begun.set()
        assert waiting.wait(10)
        raise Boom

    monkeypatch.setattr(birth, "make_segment", interrupted)
    writer = Writer(str(tmp_path))
    caught = []

    def first():
        try:
            writer.append(b"{}")
        except Boom as problem:
            caught.append(problem)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    original = writer._wait_for

    def wait_for(*arguments):
        waiting.set()
        thread.join()
        return original(*arguments)

    monkeypatch.setattr(writer, "_wait_for", wait_for)
    assert writer.append(b"{}") > 0
    assert len(caught) == 1, "what interrupts a logging call rises"
    assert writer.dropped == {}


def test_who_gets_a_turn_that_is_over_begins_no_segment(tmp_path):
    """Between reading the number and taking the turn another thread rotates, from beginning to end."""
    writer = Writer(str(tmp_path))
    assert writer.append(b"{}") == 1
    state = writer._state

    class Turns(dict):
        def setdefault(self, turn, me):
            state.turns = {}
            assert writer._rotate(state) and state.segment == 1
            return dict.setdefault(self, turn, me)

    state.turns = Turns()
    assert writer._rotate(state)
    assert state.segment == 1 and len(list(tmp_path.glob("*.seg"))) == 2
    assert writer.append(b"{}") == 2


def test_a_fresh_writer_answers_for_what_the_one_before_could_not_declare(tmp_path, monkeypatch):
    """No lock could be made, and then the birth of a segment was broken off for good."""
    make_lock = birth.make_lock

    def unwritable(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(birth, "make_lock", unwritable)
    writer = Writer(str(tmp_path))
    assert [writer.append(b"{}") for _ in range(5)] == [0] * 5
    monkeypatch.setattr(birth, "make_lock", make_lock)
    old = writer._state
    old.retry_at = 0.0
    old.turns[old.segment] = (threading.get_ident(), object())
    assert writer.append(b"{}") > 0 and writer._state is not old
    with open(*tmp_path.glob("*.seg"), "rb") as file:
        frames = reader.read_chunk(file.fileno(), salt_of(writer.writer_id), 0).frames
    said = [json.loads(payload).get("dropped") for _, _, payload in frames]
    assert {"20/unwritable": 5} in said, said


@pytest.mark.parametrize("kind", [Boom, KeyboardInterrupt, SystemExit, TimeoutError])
def test_what_a_signal_handler_raises_in_the_encoder_rises(monkeypatch, kind):
    from flightlog.journal import encode

    def raising(_):
        raise kind

    monkeypatch.setattr(encode, "_fast", raising)
    with pytest.raises(kind):
        encode.encode({"k": "log"})


def test_subclasses_are_encoded_without_their_own_code():
    from flightlog.journal.encode import encode

    class Map(dict):
        def items(self):
            raise Boom

        __iter__ = __len__ = items

    class List(list):
        def __iter__(self):
            raise Boom

        __len__ = __iter__

    class Bytes(bytes):
        def __getitem__(self, key):
            raise Boom

    class Number(int):
        def __int__(self):
            raise Boom

    values = {"map": Map(a=1), "list": List([1]), "bytes": Bytes(b"b"), "number": Number(7)}
    assert encode({"k": "log", "x": values}) == b'{"k":"log","x":{"map":{"a":1},"list":[1],"bytes":"b","number":7}}'
