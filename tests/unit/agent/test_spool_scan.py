"""Looking at the spool again and again: the same as looking for the first time each time, and no more than what can have changed."""

import os
import random
import time

import pytest

from flightlog.agent import spool_scan
from flightlog.agent.spool_scan import Scan, look

FIELDS = ("directory", "writer", "uid", "used", "kind", "ended", "sizes", "times")
HOUR = 3600


def seen(found):
    return {
        writer: [getattr(files, field) for field in FIELDS] + [sorted(files.names)] for writer, files in found.items()
    }


OLD = [time.time() - HOUR + n for n in range(1000)]


def age(folder):
    """Have a directory's last change lie long ago, as after an hour's rest."""
    moment = OLD.pop()  # each time another one, as it is
    os.utime(folder, (moment, moment))


def put(folder, name, size=100):
    """Write some bytes, an hour ago."""
    path = os.path.join(folder, name)
    with open(path, "ab") as file:
        file.write(b"x" * size)
    os.utime(path, (time.time() - HOUR, time.time() - HOUR))


def name(writer, number=0, suffix=".seg"):
    return f"{writer:032x}.{number:06d}{suffix}"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "spool" / str(os.geteuid())
    path.mkdir(parents=True)
    return str(path)


@pytest.mark.parametrize("seed", range(20))
def test_each_look_is_like_the_first_one(folder, seed):
    rand = random.Random(seed)
    scan = Scan()
    newest = {}
    for _ in range(120):
        writer = rand.randrange(6)
        what = rand.randrange(8)
        if what < 3:  # the newest segment grows
            put(folder, name(writer, newest.setdefault(writer, 0), ".cap" if writer == 5 else ".seg"))
        elif what == 3:  # a next one begins
            newest[writer] = newest.get(writer, -1) + 1
            put(folder, name(writer, newest[writer]))
        elif what == 4 and os.listdir(folder):
            os.unlink(os.path.join(folder, rand.choice(sorted(os.listdir(folder)))))
        elif what == 5:
            put(folder, f"{writer:032x}{rand.choice(['.lock', '.meta', '.end', '.spare'])}", 0)
        elif what == 6:
            put(folder, rand.choice(["stranger", f"{writer:032x}.seg", "core.17"]))
        else:
            age(folder)
        if rand.randrange(2):
            assert seen(scan.look([folder])) == seen(look([folder]))


def test_a_quiet_writer_s_next_byte_is_seen_at_the_next_look(folder):
    for number in range(4):
        put(folder, name(1, number))
    age(folder)
    scan = Scan()
    scan.look([folder])
    put(folder, name(1, 3), 7)
    put(folder, name(1, 2), 5)  # of a thread that was late, when the next segment had begun
    assert scan.look([folder])["%032x" % 1].sizes == {0: 100, 1: 100, 2: 105, 3: 107}


def test_what_was_written_until_a_writer_was_settled_is_seen_and_then_it_is_not_asked_again(folder):
    put(folder, name(1))
    age(folder)
    settled = set()
    scan = Scan(lambda: settled)
    scan.look([folder])
    put(folder, name(1), 11)
    settled.add("%032x" % 1)
    assert scan.look([folder])["%032x" % 1].sizes == {0: 111}
    put(folder, name(1), 1000)  # which nobody does: it shows that nobody looks
    assert scan.look([folder])["%032x" % 1].sizes == {0: 111}
    settled.clear()  # the store was set back: it may be asked for again, and new ones may come to it
    put(folder, name(1, 1))
    assert scan.look([folder])["%032x" % 1].sizes == {0: 1111, 1: 100}


@pytest.mark.parametrize("seconds", [0.0, HOUR])
def test_nothing_rests_on_memory_for_long(folder, monkeypatch, seconds):
    monkeypatch.setattr(spool_scan, "FULL_SECONDS", seconds)
    put(folder, name(1))
    age(folder)
    scan = Scan(lambda: {"%032x" % 1, "%032x" % 2})
    scan.look([folder])
    before = os.stat(folder).st_mtime_ns
    put(folder, name(1), 1000)
    put(folder, name(2))
    os.utime(folder, ns=(before, before))  # a file system that does not say what happened
    assert len(scan.look([folder])) == (1 if seconds else 2)


def test_a_name_that_comes_in_the_same_tick_as_the_last_look_is_seen(folder):
    """A directory's time of change is as coarse as the kernel's tick, or a file system's two seconds: it says nothing while it is young."""
    put(folder, name(1))
    scan = Scan()
    scan.look([folder])
    was = os.stat(folder).st_mtime_ns
    put(folder, name(2))
    os.utime(folder, ns=(was, was))
    assert set(scan.look([folder])) == {"%032x" % 1, "%032x" % 2}


def test_a_folder_that_goes_and_comes_back(folder):
    put(folder, name(1))
    age(folder)
    scan = Scan()
    assert scan.look([folder])
    os.rename(folder, folder + ".away")
    assert scan.look([folder]) == {}
    os.mkdir(folder)
    put(folder, name(2))
    age(folder)
    assert set(scan.look([folder])) == {"%032x" % 2}


def test_it_is_asked_who_is_settled_before_his_files_are_looked_at(folder):
    put(folder, name(1))
    age(folder)

    def wrote_his_last_and_is_settled():
        put(folder, name(1), 11)
        return {"%032x" % 1}

    scan = Scan(wrote_his_last_and_is_settled)
    scan.look([folder])
    assert scan.look([folder])["%032x" % 1].sizes == {0: 111}


def test_each_look_is_told_from_the_one_before(folder):
    """A writer is closed only when it was listed again after it was found dead; who looked is told by the object (`ready`)."""
    put(folder, name(1))
    age(folder)
    scan = Scan()
    assert scan.look([folder])["%032x" % 1] is not scan.look([folder])["%032x" % 1]


def test_when_a_writer_was_found_dead_the_next_look_believes_nothing(folder):
    put(folder, name(1))
    age(folder)
    scan = Scan()
    found = scan.look([folder])["%032x" % 1]
    was = os.stat(folder).st_mtime_ns
    put(folder, name(1, 1))
    os.utime(folder, ns=(was, was))  # a file system that tells it late
    assert set(scan.look([folder])["%032x" % 1].sizes) == {0}
    found.doubt()
    assert set(scan.look([folder])["%032x" % 1].sizes) == {0, 1}


def test_a_file_that_could_not_be_taken_is_asked_for_again(folder, tmp_path):
    for number in range(4):
        put(folder, name(1, number))
    age(folder)
    os.link(os.path.join(folder, name(1, 0)), tmp_path / "backup")
    scan = Scan()
    assert set(scan.look([folder])["%032x" % 1].sizes) == {1, 2, 3}
    (tmp_path / "backup").unlink()  # in another directory: this one has not changed
    assert set(scan.look([folder])["%032x" % 1].sizes) == {0, 1, 2, 3}


def test_a_directory_that_is_somebody_else_s_for_a_while(tmp_path):
    """`chown -R` comes to a directory before it comes to its files; and a directory may be listable and not searchable. Half a writer would look dead."""
    folder = str(tmp_path / "chosen")
    os.mkdir(folder)
    for number in range(4):
        put(folder, name(1, number))
    put(folder, "%032x.lock" % 1, 0)
    root = os.geteuid() == 0
    if root:
        for file in os.listdir(folder):
            os.chown(os.path.join(folder, file), 4711, -1)
        os.chown(folder, 4711, -1)
    age(folder)
    scan = Scan()
    assert len(scan.look([folder])["%032x" % 1].names) == 5
    os.chown(folder, 4712, -1) if root else os.chmod(folder, 0o600)
    assert scan.look([folder]) == look([folder]) == {}
    os.chown(folder, 4711, -1) if root else os.chmod(folder, 0o700)
    assert len(scan.look([folder])["%032x" % 1].names) == 5
