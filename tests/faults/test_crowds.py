"""Many short processes, a busy thread beside the logging one, and the one promise that all of it stands on: a frame is one write(2)."""

import os
import struct
import sys
import threading
import zlib

import psutil
import pytest
from campaign import rounds
from injection import shimmed

from flightlog.agent.spool import bytes_of
from flightlog.agent.spool_scan import look
from flightlog.journal.format import FRAME_HEAD_BYTES, TAG, salt_of
from waiting import wait_until

SHORT = """
import os, sys
import flightlog, worker
flightlog.init(pipeline="short")
log = flightlog.get_logger("short")
first, count = int(worker.argument(1)), int(worker.argument(2))
for number in range(first, first + count):
    pid = os.fork()
    if pid == 0:
        worker.log(log.info, "s%d" % number, 0)
        worker.log(log.info, "s%d" % number, 1)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_44_many_short_processes(scene):
    """2,000 processes of two records each: little of the disk, of descriptors and of the agent's memory, whether it runs or comes later."""
    number = rounds(80, whole=2000)
    half = number // 2
    assert scene.run(SHORT, 0, half, timeout=600) == 0, scene.words()
    found = look([scene.spool])
    assert len(found) >= half
    assert bytes_of(found) < half * 4096, "a short process takes more than a page"
    scene.start_agent(config="spool:\n  keep: 0s\n")
    descriptors = []

    def watch():
        while not done.wait(0.02):
            try:
                descriptors.append(psutil.Process(scene.agent.pid).num_fds())
            except psutil.Error:
                return

    done = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert scene.run(SHORT, half, half, timeout=600) == 0, scene.words()
        scene.settle()
    finally:
        done.set()
        watcher.join()
    assert max(descriptors) < 300, max(descriptors)
    scene.tally.add(rounds=number)
    scene.tally.notes.append(
        f"spool {bytes_of(found) // half} bytes per process, agent at most {max(descriptors)} descriptors"
    )
    scene.check()
    if half >= 1000:  # the agent looks every ten seconds what it may remove, five after the last record
        wait_until(lambda: len(look([scene.spool])) < 20, 60, "the spool to be emptied")


CONVOY = """
import logging, sys, threading
import flightlog, worker
from flightlog.journal import birth
from flightlog.system import native as below
fast = below.fast_write
calls = {"kept": 0, "given up": 0}
def counting(call, name):
    def write(*arguments):
        calls[name] += 1
        return call(*arguments)
    return write
kept, alone = birth.write_calls()
birth.write_calls = lambda: (counting(kept, "kept"), counting(alone, "given up"))
flightlog.init(pipeline="convoy")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(20)
stop = []
def spin():
    x = 0
    while not stop:
        x = (x * 31 + 1) % 1000003
beside = threading.Thread(target=spin)
beside.start()
count = int(worker.argument(1))
before = dict(calls)
for n in range(count):
    worker.log(std.info if n % 2 else native.info, "busy", n)
during = {name: calls[name] - before[name] for name in calls}
stop.append(None)
beside.join()
for n in range(20):
    worker.log(native.info, "alone", n)
sys.stderr.write("%r\\n" % during)
sys.exit(3 if fast is None or (during["kept"] >= count and during["given up"] <= 2) else 4)
"""


def test_45_busy_thread(scene):
    """Beside a thread that never rests each record goes by the write that keeps the interpreter's lock, and none is lost. How fast: `make bench`."""
    assert scene.run(CONVOY, rounds(200, whole=5000)) == 3, scene.words()
    scene.tally.add(rounds=1)
    scene.check(names=["busy", "alone"])


WRITING = """
import random, threading
import flightlog, worker
flightlog.init(pipeline="writing")
log = flightlog.get_logger("writing")
from flightlog.sdk.recorder import recorder
recorder._start()
recorder.writer.rotate_bytes = 200000
count = int(worker.argument(1))
def work(name):
    choose = random.Random(name)
    for n in range(count):
        worker.log(log.info, name, n, choose.choice([0, 10, 100, 1000, 4080, 5000, 20000, 60000] if n % 20 == 0 else [0, 10, 100, 300]))
threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for thread in threads:
    thread.start()
work("m")
for thread in threads:
    thread.join()
"""


def frames_of(path):
    """(length of each frame, what is behind the last whole one) of a file, by the format alone."""
    with open(path, "rb") as file:
        data = file.read()
    lengths, position = [], 0
    while position + FRAME_HEAD_BYTES <= len(data):
        _, tagged, _ = struct.unpack_from("<IIQ", data, position)
        assert tagged >> 24 == TAG, (path, position)
        lengths.append(FRAME_HEAD_BYTES + (tagged & 0xFFFFFF))
        position += lengths[-1]
    return lengths, len(data) - position


def look_for_half_frames(folder, seen, stop):
    """Poll every segment: where a frame's length is there in full, its checksum must be right, at once. Count looks in *seen*."""
    known = {}
    while True:
        last = stop.is_set()
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if not name.endswith(".seg"):
                continue
            salt = salt_of(name.split(".")[0])
            with open(os.path.join(folder, name), "rb") as file:
                file.seek(known.get(name, 0))
                data = file.read()
            position = 0
            while position + FRAME_HEAD_BYTES <= len(data):
                crc, tagged, n = struct.unpack_from("<IIQ", data, position)
                end = position + FRAME_HEAD_BYTES + (tagged & 0xFFFFFF)
                if tagged >> 24 != TAG or (
                    end <= len(data) and zlib.crc32(data[position + FRAME_HEAD_BYTES : end], salt) ^ n != crc
                ):
                    seen.append((name, known.get(name, 0) + position))
                    return
                if end > len(data):
                    seen[1] += 1  # a part of it, as the format allows
                    break
                seen[0] += 1
                position = end
            known[name] = known.get(name, 0) + position
        if last:
            return


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not run: needs Linux")
def test_46_one_write_per_frame(scene, machine):
    """Each frame is one write(2), whatever its size and whoever else writes; a reader beside never sees one with a whole length and wrong bytes."""
    shim = machine.need("shim")
    counts = os.path.join(scene.folder, "writes")
    seen, stop = [0, 0], threading.Event()
    watcher = threading.Thread(target=look_for_half_frames, args=(scene.spool, seen, stop))
    watcher.start()
    try:
        env = scene.env(**shimmed(shim, "", FAULT_COUNTS=counts))
        assert scene.run(WRITING, rounds(300, whole=20000), env=env, timeout=900) == 0, scene.words()
    finally:
        stop.set()
        watcher.join()
    assert len(seen) == 2, f"a reader saw bytes that are no frame and would have become one: {seen[2]}"
    written = {}
    with open(counts) as file:
        for line in file:
            call, name, size, result = line.split()
            if call == "write" and name.endswith(".seg"):
                assert size == result, f"a short write: {line}"
                written.setdefault(name.split(".")[0], []).append(int(size))
    assert sum(map(len, written.values())) > 4 * rounds(300, whole=20000)
    for writer, sizes in written.items():
        # By writer: threads append at the same time, so the order of the counter's lines is not that of the file, and where one thread rotates
        # (dup2 onto the same number) the counter may name the next segment for what another one has just written to the last.
        lengths = []
        for name in os.listdir(scene.spool):
            if name.startswith(writer) and name.endswith(".seg"):
                whole, rest = frames_of(os.path.join(scene.spool, name))
                assert rest == 0, name
                lengths += whole
        assert sorted(lengths) == sorted(sizes), f"{writer}: {len(lengths)} frames by {len(sizes)} writes"
    scene.tally.add(rounds=1)
    scene.tally.notes.append(
        f"{sum(map(len, written.values()))} writes, {seen[0]} frames seen by a reader beside, {seen[1]} of them first in part"
    )
    scene.check(names=["a", "m"])
