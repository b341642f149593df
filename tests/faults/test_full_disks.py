"""The spool's disk is full, over quota, read-only, broken, or the process may open or write nothing more: the pipeline runs to its end all the same."""

import os
import random
import resource

import pytest
from campaign import LONG, SEED, rounds
from injection import shimmed

from flightlog import identity
from flightlog.agent.spool_scan import look
from waiting import wait_until

PIPELINE = """
import errno, glob, logging, os, resource, sys, threading, time
import flightlog, worker
from flightlog.sdk.recorder import recorder
flightlog.init(pipeline="victim")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(logging.INFO)

def work(name, count, size=0, start=0):
    for n in range(start, start + count):
        worker.log(std.info if n % 2 else native.info, name, n, size)

def until_written(name, start):
    '''Log until a record is accepted again: a failed birth is tried again after a second.'''
    until, n = time.monotonic() + 20, start
    while time.monotonic() < until:
        before = dict(recorder.writer.dropped)
        work(name, 1, 0, n)
        n += 1
        if recorder.writer.dropped == before:
            return
        time.sleep(0.02)
    raise SystemExit("nothing could be written for 20 s")
"""


@pytest.fixture
def small_disk(scene, machine):
    """The spool on a file system of 256 KB, seen by this scene only."""
    machine.need("root")
    space = machine.need("mounts")()
    identity.make_spool(scene.spool)
    space.do("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", scene.spool)
    scene.prefix = space.prefix
    return space


FULL_AT_BIRTH = (
    PIPELINE
    + """
spool = worker.argument(1)
filler = os.open(spool + "/filler", os.O_CREAT | os.O_WRONLY)
try:
    while os.write(filler, bytes(4096)):
        pass
except OSError as problem:
    assert problem.errno == errno.ENOSPC
work("b", 40, 100)
assert sum(recorder.writer.dropped.values()) >= 40
os.unlink(spool + "/filler")
os.close(filler)
until_written("b", 1000)
sys.exit(7)
"""
)
FULL_AT_ROTATION = (
    PIPELINE
    + """
worker.rotate_at(20000)
threads = [threading.Thread(target=work, args=(name + worker.argument(2), 60, 2000)) for name in worker.argument(1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
work("m" + worker.argument(1) + worker.argument(2), 40, 6000)
raise ValueError("the pipeline's own")
"""
)


def test_22_disk_full_at_birth_and_rotation(scene, small_disk):
    """ENOSPC at the first record and on the way, with and without threads, until the end of the process: its status is its own, each drop is declared."""
    for round_ in range(rounds(1, whole=5)):
        assert scene.run(FULL_AT_BIRTH.replace('"b"', f'"b{round_}"'), scene.spool) == 7, scene.words()
        assert scene.run(FULL_AT_ROTATION, "wxy", round_) == 1, scene.words()
        assert scene.run(FULL_AT_ROTATION, "q", round_) == 1, scene.words()
        scene.tally.add(rounds=3)
        assert "SIGBUS" not in scene.words()
        small_disk.do("mount", "-o", "remount,size=4m", scene.spool)  # somebody made room
        # Beside these, what the SDK itself records: begin and end of the run, and the exception.
        scene.check(may_lose=True, spare=9 * (round_ + 1))
        scene.settle()  # the fresh record's writer as well
        small_disk.do("sh", "-c", f"rm -f {scene.spool}/*")
        small_disk.do("mount", "-o", "remount,size=256k", scene.spool)
        assert scene.tally.declared, "nothing was dropped: the disk was not full"


LIMITED = (
    PIPELINE
    + """
what = worker.argument(1)
if what == "files":
    work(what, 1)
    hoard = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as problem:
        assert problem.errno == errno.EMFILE
    worker.rotate_at(1000)
    work(what, 300, 0, 1)  # no rotation is possible; the old segment goes on
elif what == "no_files":
    hoard = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    work(what, 30)
    assert sum(recorder.writer.dropped.values()) >= 30
    for fd in hoard:
        os.close(fd)
    until_written(what, 1000)
elif what == "size":
    work(what, 300, 1000)
elif what == "no_size":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    native.info("no room for a header")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until_written(what, 0)
sys.exit(8)
"""
)
READ_ONLY = (
    PIPELINE
    + """
work("r", 30)
assert recorder.writer.dropped, "it could be written"
open(worker.argument(1), "w").close()
while not os.path.exists(worker.argument(2)):
    time.sleep(0.01)
until_written("r", 1000)
sys.exit(9)
"""
)


@pytest.mark.parametrize("how", ["limits", "read_only"])
def test_23_limits_quota_and_read_only(scene, machine, request, how):
    """EMFILE, EFBIG (RLIMIT_FSIZE), EDQUOT and EROFS at birth and on the way."""
    if how == "read_only":
        become_writable(scene, request.getfixturevalue("small_disk"))
    else:
        for what in ("files", "no_files", "size", "no_size"):
            assert scene.run(LIMITED, what, preexec_fn=LIMITS.get(what)) == 8, (what, scene.words())
            scene.tally.add(rounds=1)
        shim = machine.need("shim")
        for number, rule in enumerate(
            ("write/.seg:1-3:E122", "write/.seg:5-9:E122", "open/claimed.:1:E122", "open/.seg:2:E122")
        ):
            program = LIMITED.replace('what == "size"', f"what == 'quota{number}'")
            assert scene.run(program, f"quota{number}", env=scene.env(**shimmed(shim, rule))) == 8, scene.words()
            scene.tally.add(rounds=1)
    scene.check(may_lose=True, spare=12)
    assert scene.tally.declared >= 30


def lower(what, value):
    """A function that lowers a limit of the process that is about to be."""
    return lambda: resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


LIMITS = {
    "files": lower(resource.RLIMIT_NOFILE, 24),
    "no_files": lower(resource.RLIMIT_NOFILE, 24),
    "size": lower(resource.RLIMIT_FSIZE, 100_000),
}


def become_writable(scene, small_disk):
    """Let a pipeline meet a read-only spool, which can be written to after a while."""
    small_disk.do("mount", "-o", "remount,ro", scene.spool)
    met, healed = os.path.join(scene.folder, "met"), os.path.join(scene.folder, "healed")
    process = scene.start(READ_ONLY, met, healed)
    wait_until(lambda: os.path.exists(met) or process.poll() is not None, 30, "it to meet the read-only disk")
    small_disk.do("mount", "-o", "remount,rw", scene.spool)
    open(healed, "w").close()
    assert process.wait(60) == 9, scene.words()
    scene.tally.add(rounds=1)


# What fails in the pipeline, and what in the agent. 5: EIO; 16: EBUSY; 37: ENOLCK.
IN_THE_PIPELINE = [
    *[
        "write/.seg:1:E5",
        "write/.seg:2:E5",
        "write/.seg:4:E5",
        "write/.seg:4:short",
        "write/.seg:6-9:E5",
        "write/.seg:3-5:short",
        "write/.seg:30+:E5",
    ],
    *[
        "open/claimed.:1:E5",
        "open/.seg:1:E5",
        "open/.seg:2:E5",
        "fcntl/claimed.:1:E37",
        "fcntl/claimed.:2:E37",
        "rename/claimed.:1:E5",
        "dup2/.seg:1:E16",
        "dup2/.seg:1+:E16",
    ],
    *["write/.seg:20:short,open/.seg:3+:E5"],
]
IN_THE_AGENT = [
    "pread/.seg:1-3:E5",
    "pread/.seg:4-6:E5",
    "fdatasync/.seg:1+:E5",
    "fsync:1+:E5",
    "unlink:1+:E5",
    "open/.seg:2:E5",
]
BROKEN = (
    PIPELINE
    + """
worker.rotate_at(20000)
name = worker.argument(1)
other = threading.Thread(target=work, args=(name + "t", 30, 200))
other.start()
work(name, 30, 6000)
other.join()
sys.exit(6)
"""
)


def test_24_io_errors(scene, machine):
    """EIO, short writes and failing locks in the pipeline; EIO of pread, fdatasync, fsync, unlink and open in the agent."""
    shim = machine.need("shim")
    for number, rule in enumerate(IN_THE_PIPELINE):
        assert scene.run(BROKEN, f"p{number}", env=scene.env(**shimmed(shim, rule))) == 6, (rule, scene.words())
        scene.tally.add(rounds=1)
    for rule in IN_THE_AGENT if LONG else random.Random(SEED).sample(IN_THE_AGENT[2:], 1) + IN_THE_AGENT[:1]:
        assert scene.run(BROKEN, f"{scene.tally.rounds}a") == 6
        scene.start_agent(config="spool:\n  keep: 0s\n", **shimmed(shim, rule))
        scene.settle()
        scene.stop_agent()
        scene.tally.add(rounds=1)
    # A call that was dropped has taken a number as well: beside damage it may be declared twice, as dropped and as corrupt.
    scene.check(may_lose=True, spare=3 * len(IN_THE_PIPELINE) + 2 * 60)


def test_a_writer_whose_files_cannot_be_read_does_not_hold_up_the_others(scene, machine):
    shim = machine.need("shim")
    assert scene.run(BROKEN, "bad") == 6
    bad = list(look([scene.spool]))  # two, when one of its threads had to wait long for the other's birth of a segment
    scene.start_agent(**shimmed(shim, ",".join(f"pread/{one}:1+:E5" for one in bad)))
    assert scene.run(BROKEN, "good") == 6
    wait_until(lambda: len([row for row in scene.rows() if row[1] == "good"]) == 30, 20, "the other writer's records")
    assert all(f"writer {one} is held up: [Errno 5]" in scene.words() for one in bad)
    assert not [row for row in scene.rows() if row[1] in ("bad", "badt")]
    assert {item.writer for item in scene.audit().writers if item.pending_bytes} >= set(bad)
    scene.stop_agent()
    scene.check()
