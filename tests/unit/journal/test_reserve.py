"""Room for last words: slots are taken once, written in place, and cut; records are made to fit."""

import json
import os

import pytest

from flightlog.journal import reader, reserve
from flightlog.journal.drops import Drops, words
from flightlog.journal.format import salt_of, segment_name
from flightlog.journal.patience import Patience
from flightlog.journal.writer import Writer

CLAIM = """
import sys; from flightlog.journal import reserve
found = 0
while reserve.claim(sys.argv[1]): found += 1
print(found)
"""


def test_a_slot_is_taken_by_one_process_only(tmp_path):
    import subprocess
    import sys

    reserve.fill(str(tmp_path))
    assert reserve.is_filled(str(tmp_path))
    assert len(os.listdir(tmp_path)) == reserve.MAX_SLOTS
    running = [subprocess.Popen([sys.executable, "-c", CLAIM, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(4)]
    counts = [int(one.communicate(timeout=60)[0]) for one in running]
    assert sum(counts) == reserve.MAX_SLOTS
    assert not reserve.is_filled(str(tmp_path))
    assert reserve.claim(str(tmp_path)) is None


def test_only_a_whole_slot_of_our_own_is_taken(tmp_path):
    folder = str(tmp_path)
    (tmp_path / "reserve.00").write_bytes(bytes(100))
    (tmp_path / "victim").write_bytes(bytes(reserve.SLOT_BYTES))
    os.link(tmp_path / "victim", tmp_path / "reserve.01")
    os.symlink(tmp_path / "victim", tmp_path / "reserve.02")
    assert reserve.claim(folder) is None
    assert (tmp_path / "victim").read_bytes() == bytes(reserve.SLOT_BYTES)


def test_the_end_of_a_text_becomes_a_file(tmp_path):
    reserve.fill(str(tmp_path), 1)
    data = os.urandom(3 * reserve.SLOT_BYTES)
    assert reserve.write(str(tmp_path), "x.cap", data) == reserve.SLOT_BYTES
    assert (tmp_path / "x.cap").read_bytes() == data[-reserve.SLOT_BYTES :]
    assert os.listdir(tmp_path) == ["x.cap"]
    assert reserve.write(str(tmp_path), "y.cap", b"none left") == 0


def test_orphans_are_swept_when_they_are_old(tmp_path, monkeypatch):
    reserve.fill(str(tmp_path), 2)
    os.close(reserve.claim(str(tmp_path))[0])
    reserve.sweep(str(tmp_path))
    assert len(os.listdir(tmp_path)) == 2
    monkeypatch.setattr(reserve, "ORPHAN_SECONDS", -1.0)
    reserve.sweep(str(tmp_path))
    assert os.listdir(tmp_path) == ["reserve.00"]


def test_records_are_cut_to_what_there_is():
    frames = [{"file": "f.py", "line": n, "func": "f", "code": "x" * 100} for n in range(100)]
    error = {
        "type": "E",
        "module": "m",
        "message": "y" * 5000,
        "frames": frames,
        "cause": None,
        "context": {"type": "F"},
    }
    record = {"k": "log", "t": 1, "lv": 50, "m": "z" * 5000, "r": "R", "e": error, "x": {"a": "b" * 9000}}
    whole = json.dumps(record).encode()
    assert reserve.shrunk(whole, len(whole)) == whole
    sizes = [len(reserve.shrunk(whole, room)) for room in (14000, 8000, 4500)]
    assert all(0 < size <= room for size, room in zip(sizes, (14000, 8000, 4500)))
    kept = json.loads(reserve.shrunk(whole, 4500))
    assert (kept["e"]["type"], kept["e"]["frames"][-1]["line"], kept["r"], kept["tr"]) == ("E", 99, "R", True)
    assert reserve.shrunk(whole, 100) == b""
    assert reserve.shrunk(b"no json", 3) == b""


def frames_of(folder, writer, number):
    fd = reader.open_segment(os.path.join(folder, segment_name(writer, number)))
    try:
        return [json.loads(p) for _, _, p in reader.read_chunk(fd, salt_of(writer), 0).frames]
    finally:
        os.close(fd)


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A writer that cannot write any more: each write is short, each birth fails, as on a full disk."""
    writer = Writer(str(tmp_path), lambda: {"run": "R" * 26})
    assert writer.append(b'{"k":"log","m":"before"}') == 1
    state = writer._state
    state.write = lambda fd, data, length: -1
    state.bad = state.slow = True

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flightlog.journal.birth.make_segment", no_room)
    return writer, state


def test_last_words_and_counts_go_into_the_reserve_and_nothing_else_does(full, tmp_path):
    writer, state = full
    for _ in range(3):
        assert writer.append(b'{"k":"log","m":"lost"}', 20) == 0
    assert writer.append(b'{"k":"event","ev":"run.ended"}', 50, True)
    assert writer.append(b'{"k":"log","m":"lost"}', 30) == 0
    assert writer.append(b'{"k":"log","m":"crash"}', 50, True)
    name = state.writer
    writer.close()
    found = frames_of(str(tmp_path), name, state.segment)
    assert [r.get("ev") or r.get("m") or r["k"] for r in found if r.get("lg") != "flightlog.drops"] == [
        "head",
        "drops",
        "run.ended",
        "drops",
        "crash",
    ]
    assert found[0]["dropped"] == {"20/unwritable": 3}
    assert [r["dropped"] for r in found if r["k"] == "drops"][-1] == {"20/unwritable": 3, "30/unwritable": 1}
    notes = [r["m"] for r in found if r.get("lg") == "flightlog.drops"]
    assert notes[0].startswith("3 records were dropped (the spool could not be written: INFO 3) ")
    size = os.path.getsize(tmp_path / segment_name(name, state.segment))
    assert size < reserve.SLOT_BYTES  # the rest was cut off


def test_when_a_slot_is_used_up_the_next_one_is_taken(full, tmp_path):
    writer, state = full
    big = json.dumps({"k": "event", "ev": "run.ended", "pad": "x" * 9000}).encode()
    numbers = []
    for _ in range(3):
        assert writer.append(big, 50, True)
        numbers.append(state.segment)
    assert numbers[0] < numbers[1] < numbers[2]
    for number in numbers:
        assert [r["k"] for r in frames_of(str(tmp_path), state.writer, number)] == ["head", "event"]


def test_counts_alone_reach_the_reserve_at_the_end(full, tmp_path):
    writer, state = full
    writer.append(b"{}", 10)
    writer.close()
    assert frames_of(str(tmp_path), state.writer, state.segment)[1]["dropped"] == {"10/unwritable": 1}


def test_a_segment_begins_again_behind_the_reserve(full, tmp_path, monkeypatch):
    writer, state = full
    writer.append(b"{}", 20)
    assert writer.append(b'{"k":"event"}', 50, True)
    monkeypatch.undo()
    state.write = os.write and (lambda fd, data, length: os.write(fd, data))
    state.retry_at = 0.0
    last = state.segment
    assert writer.append(b'{"k":"log","m":"after"}', 20)
    assert state.segment > last and not state.on_reserve
    assert [r["k"] for r in frames_of(str(tmp_path), state.writer, last)][-1] == "event"
    assert frames_of(str(tmp_path), state.writer, state.segment)[-1]["m"] == "after"


def test_words_for_people():
    counts = {"10/pressure": 120, "20/pressure": 4000, "30/unwritable": 1, "25/pressure": 2}
    text = words(counts, 2, 1_700_000_000 * 10**9, 1_700_000_003 * 10**9)
    assert text == (
        "4123 records were dropped (pressure 2: DEBUG 120, INFO 4002; the spool could not be written: WARNING 1)"
        " between 2023-11-14 22:13:20 and 2023-11-14 22:13:23 UTC"
    )
    assert words({"30/pressure": 1}, 4, 0, 5).startswith(
        "1 record was dropped (the spool was full: WARNING 1) at 1970-"
    )


def test_a_notice_tells_what_is_new_and_only_once():
    drops = Drops()
    drops.count(10, "pressure", 1)
    assert drops.notice("R") is None  # a moment later there may be more
    assert drops.notice("R", last=True)["x"]["dropped"] == {"10/pressure": 1}
    drops.declared(True)
    assert not drops.untold and drops.notice("R", last=True) is None
    drops.count(10, "pressure", 3)
    drops.count(20, "pressure", 2)
    note = drops.notice("R", last=True)
    assert (note["x"]["dropped"], note["x"]["pressure"]) == ({"10/pressure": 1, "20/pressure": 1}, 3)
    assert drops.record()["dropped"] == {"10/pressure": 2, "20/pressure": 1}


def test_patience_is_lost_once_until_room_is_seen():
    patience = Patience(0.05)
    assert patience.wait(lambda: True)
    assert not patience.wait(lambda: False)
    asked = []
    assert not patience.wait(lambda: asked.append(1) or True)  # not even asked
    assert asked == []
    patience.renew()
    assert patience.wait(lambda: True)
    assert not Patience(0.0).wait(lambda: True)
