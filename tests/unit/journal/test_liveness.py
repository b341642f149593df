"""Dead is a writer only when its lock is free and its process is gone."""

import glob
import json
import os
import signal
import subprocess
import sys

import pytest

from flightlog import identity
from flightlog.journal import reader
from flightlog.journal.format import salt_of
from flightlog.journal.liveness import lock_is_held, writer_is_alive
from flightlog.journal.writer import Writer

PROGRAM = """
import os, sys
from flightlog.journal.writer import Writer
writer = Writer(sys.argv[1])
writer.append(b'{}')
%s
print("ready", flush=True)
sys.stdin.read()
"""


def head_of(folder):
    (path,) = glob.glob(os.path.join(str(folder), "*.seg"))
    writer = os.path.basename(path)[:32]
    return json.loads(next(reader.read_segment(path, salt_of(writer)))[3])


def alive(folder, head, **other):
    said = dict(head, **other)
    return writer_is_alive(str(folder), said["writer"], said["pid"], said["start"], said["boot"])


@pytest.fixture
def start(tmp_path):
    """Starts a process with a writer; it lives until its standard input ends."""
    started = []

    def start(more=""):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM % more, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_living_writer_lives_and_a_killed_one_is_dead_even_before_it_is_reaped(tmp_path, start):
    process = start()
    head = head_of(tmp_path)
    assert alive(tmp_path, head)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.process_state(process.pid) == "Z"
    assert not alive(tmp_path, head)
    process.wait()
    assert not alive(tmp_path, head)


def test_each_of_lock_and_process_is_enough(tmp_path, start):
    start()
    head = head_of(tmp_path)
    lock = os.path.join(tmp_path, head["writer"] + ".lock")
    assert lock_is_held(lock)
    assert alive(tmp_path, head, pid=head["pid"] + 1)  # a pid of another container
    assert alive(tmp_path, head, start=head["start"] + 1)
    assert alive(tmp_path, head, boot="0" * 32)
    os.rename(lock, lock + ".away")
    assert alive(tmp_path, head)
    assert not alive(tmp_path, head, start=head["start"] + 1)  # the pid was given to somebody else
    assert not alive(tmp_path, head, boot="0" * 32)


def test_program_that_closed_all_descriptors_still_lives(tmp_path, start):
    start("os.closerange(3, 70000)")
    head = head_of(tmp_path)
    assert not lock_is_held(os.path.join(tmp_path, head["writer"] + ".lock"))
    assert alive(tmp_path, head)


def test_lock_is_not_kept_by_a_forked_child(tmp_path, start):
    process = start("if os.fork() == 0:\n    sys.stdin.read(); os._exit(0)")
    head = head_of(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not alive(tmp_path, head)


def test_lock_is_not_kept_by_a_child_that_was_forked_in_c(tmp_path, start):
    """No hook of Python's runs there, and nothing is closed."""
    process = start("import ctypes; c = ctypes.CDLL(None)\nif c.fork() == 0:\n    c.read(0, b' ', 1); c._exit(0)")
    head = head_of(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not alive(tmp_path, head)


def test_own_writer_lives_without_its_lock_being_touched(tmp_path):
    writer = Writer(str(tmp_path))
    writer.append(b"{}")
    head = head_of(tmp_path)
    assert alive(tmp_path, head)
    code = "import sys; from flightlog.journal.liveness import lock_is_held; print(lock_is_held(sys.argv[1]))"
    lock = os.path.join(tmp_path, head["writer"] + ".lock")
    done = subprocess.run([sys.executable, "-c", code, lock], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
    writer.close()


def test_dead_writer_that_had_our_pid_is_dead(tmp_path):
    """In containers pids repeat: an agent may get the number of a pipeline that died before it."""
    identifier = identity.new_writer_id()
    (tmp_path / (identifier + ".lock")).write_bytes(b"")
    own = identity.process_start_time(os.getpid())
    assert not writer_is_alive(str(tmp_path), identifier, os.getpid(), own - 5, identity.boot_id())
    assert writer_is_alive(str(tmp_path), identifier, os.getpid(), own, identity.boot_id())
    assert not writer_is_alive(str(tmp_path), identifier, os.getpid(), own, "0" * 32)
