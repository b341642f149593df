"""The evidence file: whole lines only, never more than it may hold, and nothing that raises into who has just failed."""

import json
import os

import pytest

from flightlog import identity
from flightlog.journal import evidence

RUN = identity.new_ulid()


@pytest.fixture
def file(tmp_path):
    fd = evidence.create(str(tmp_path), RUN)
    yield fd, evidence.path_of(str(tmp_path), RUN)
    os.close(fd)


def test_notes_come_back_in_order_of_time_beside_what_faulthandler_wrote(file):
    fd, path = file
    evidence.note(path, "uncaught", type="ValueError", message="late", t=20)
    os.write(fd, b'Fatal Python error: Segmentation fault\n\n  File "x.py", line 3 in f\n')
    evidence.note(path, "thread", type="KeyError", message="early", t=10)
    found = evidence.read(fd)
    assert [note["message"] for note in found["notes"]] == ["early", "late"]
    assert found["dump"].startswith("Fatal Python error") and "line 3 in f" in found["dump"]


def test_what_cannot_be_written_is_no_trouble(tmp_path, file):
    class Odd:
        def __repr__(self):
            raise RuntimeError

    _, path = file
    assert not evidence.note("", "stop")
    assert not evidence.note(str(tmp_path / "absent"), "stop")
    assert not os.path.exists(tmp_path / "absent")
    assert evidence.note(path, "stop", by=Odd(), signal="SIGTERM")


def test_a_line_is_never_longer_than_one_write_takes_whole(file):
    fd, path = file
    assert evidence.note(path, "uncaught", message="x" * 100_000, where="w" * 9_000, type="E")
    (note,) = evidence.read(fd)["notes"]
    assert note["type"] == "E" and note["message"].startswith("xxx") and len(json.dumps(note)) < evidence.MAX_LINE


def test_secrets_are_masked(file):
    fd, path = file
    evidence.note(path, "uncaught", message="password=geheim123")
    assert "geheim123" not in json.dumps(evidence.read(fd))


def test_a_loop_of_faults_fills_no_disk_and_the_first_ones_count(file):
    fd, path = file
    count = 0
    while evidence.note(path, "thread", message="m" * 1000, t=count):
        count += 1
    assert os.fstat(fd).st_size < evidence.MAX_BYTES + evidence.MAX_LINE
    assert [note["t"] for note in evidence.read(fd)["notes"]] == list(range(evidence.MAX_KEPT))


def test_half_a_line_is_passed_over(file):
    fd, path = file
    os.write(fd, b'{"t": 1, "pid": 2, "kind": "thr')
    os.write(fd, b"\n[1]\n{}\n")
    evidence.note(path, "clean")
    assert [note["kind"] for note in evidence.read(fd)["notes"]] == ["clean"]


def test_a_foreign_file_is_not_taken_over(tmp_path):
    (tmp_path / (RUN + evidence.SUFFIX)).write_text("")
    assert evidence.create(str(tmp_path), RUN) == -1
