"""An agent may look while a writer is being made: what it sees then is not the end of that writer, nor all that it ever says of itself."""

import glob
import os
import subprocess
import sys

import pytest

from flightlog import identity
from flightlog.agent.spool_scan import look
from flightlog.journal.capture import CaptureWriter
from flightlog.journal.format import LOCK_SUFFIX, META_SUFFIX
from flightlog.journal.liveness import lock_is_held
from flightlog.journal.writer import Writer
from integration.shipping import fetch, log, messages, ship_all, shipper_for, spool_of

DAEMON = """
import os, sys
from flightlog.journal import birth
from flightlog.journal.writer import Writer
make = birth.make_segment
def slowly(*more):
    birth.make_segment = make
    print("locked", flush=True)
    sys.stdin.readline()
    return make(*more)
birth.make_segment = slowly
writer = Writer(sys.argv[1], lambda: {"run": sys.argv[2], "pipeline": "orders"})
writer.append(sys.argv[3].encode())
os.closerange(3, 70_000)  # what a daemon does: the lock is gone
print("written", flush=True)
sys.stdin.readline()
writer.append(sys.argv[4].encode())
"""


def read(process):
    return process.stdout.readline().strip()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_writer_that_was_met_before_its_header_is_known_by_it_later(dsn, home):
    """Else it would count as dead as soon as its lock is gone, although its process lives; and what it writes from then on would be lost."""
    spool, run = spool_of(home), identity.new_ulid()
    command = [sys.executable, "-c", DAEMON, spool, run, log(run, "first").decode(), log(run, "second").decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert read(process) == "locked"
        (lock,) = glob.glob(os.path.join(spool, "*.lock"))
        shipper = shipper_for(dsn, home)
        ship_all(shipper, spool)
        go_on(process)
        assert read(process) == "written"
        assert not lock_is_held(lock)
        for _ in range(3):
            ship_all(shipper, spool)
        assert messages(dsn) == ["first"]
        go_on(process)
        assert process.wait(30) == 0
    for _ in range(3):
        ship_all(shipper, spool)
    assert messages(dsn) == ["first", "second"]
    assert fetch(dsn, "SELECT pid, closed_at IS NOT NULL FROM pipeline_writers") == [(process.pid, True)]
    assert fetch(dsn, "SELECT pipeline FROM pipeline_runs") == [("orders",)]


@pytest.mark.parametrize("seen", [LOCK_SUFFIX, ".000000.seg"])
def test_a_writer_without_a_lock_is_given_time_for_its_header(dsn, home, seen):
    """Where the file system has no locks."""
    spool, run = spool_of(home), identity.new_ulid()
    writer = Writer(spool, lambda: {"run": run})
    path = os.path.join(spool, writer.writer_id + seen)
    with open(path, "wb"):
        pass
    shipper = shipper_for(dsn, home)
    for _ in range(3):
        ship_all(shipper, spool)
    assert fetch(dsn, "SELECT count(*) FROM pipeline_writers WHERE closed_at IS NOT NULL") == [(0,)]
    os.unlink(path)
    assert writer.append(log(run, "said"))
    for _ in range(3):
        ship_all(shipper, spool)
    assert messages(dsn) == ["said"]


def test_a_writer_that_died_before_its_header_is_closed(dsn, home):
    spool = spool_of(home)
    path = os.path.join(spool, identity.new_writer_id() + LOCK_SUFFIX)
    with open(path, "wb"):
        pass
    os.utime(path, (1, 1))
    shipper = shipper_for(dsn, home)
    for _ in range(3):
        ship_all(shipper, spool)
    assert fetch(dsn, "SELECT count(*) FROM pipeline_writers WHERE closed_at IS NOT NULL") == [(1,)]


def held(path):
    """Ask from another process: a process's own locks are not in its way."""
    code = "import sys; from flightlog.journal.liveness import lock_is_held; print(lock_is_held(sys.argv[1]))"
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True).stdout.strip() == "True"


@pytest.mark.parametrize("kind", ["journal", "capture"])
def test_what_says_that_a_writer_lives_has_its_name_only_when_it_is_locked(home, monkeypatch, kind):
    spool = spool_of(home)
    named = []
    rename = os.rename

    def watched(old, new):
        if new.endswith((LOCK_SUFFIX, META_SUFFIX)):
            assert not look([spool]), "it is seen before it is ready"
            named.append((held(old), os.path.getsize(old)))
        rename(old, new)

    monkeypatch.setattr(os, "rename", watched)
    if kind == "journal":
        writer = Writer(spool)
        assert writer.append(b"{}")
        writer.close()
    else:
        CaptureWriter(spool, {"stream": "stdout"}).open()
    ((locked, size),) = named
    assert locked and (size > 0) == (kind == "capture")
    assert not glob.glob(os.path.join(spool, "claimed.*"))
