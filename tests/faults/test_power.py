"""Power fails: what was flushed is there, the rest is at most what the last moment brought, and nothing of it is taken for something else."""

import array
import contextlib
import fcntl
import os
import subprocess
import time

import pytest
from campaign import SEED, rounds
from load import load
from oracle import compare, nothing_twice

from flightlog import identity
from waiting import wait_until

EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
BOUND_SECONDS = 1.0  # the agent flushes twice a second; a flush takes its time as well


class Disk:
    """A file system of its own on *folder*, whose power can be taken away."""

    def __init__(self, image, folder):
        self.image, self.folder = image, folder
        with open(image, "wb") as file:
            file.truncate(200 << 20)
        self._do("mkfs.ext4", "-q", "-F", image)
        self._do("mount", "-o", "loop", image, folder)

    def _do(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    def fail(self):
        """Take the power away: nothing more gets to the disk, not even the log of the file system."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, array.array("I", [NO_LOG_FLUSH]))
        finally:
            os.close(fd)

    def boot(self):
        """Have the power again."""
        self._do("umount", "-l", self.folder)
        self._do("mount", "-o", "loop", self.image, self.folder)

    def close(self):
        with contextlib.suppress(OSError):
            self._do("umount", "-l", self.folder)


@pytest.fixture
def disk(own_scene, machine, tmp_path):
    machine.need("root")
    identity.make_spool(own_scene.spool)
    try:
        one = Disk(str(tmp_path / "disk"), own_scene.spool)
    except OSError as problem:
        pytest.skip(f"not run: no ext4 on a loop device: {problem}")
    os.chmod(own_scene.spool, 0o700)
    yield one
    own_scene.close()
    one.close()


def test_25_power_loss(own_scene, disk):
    """EXT4_IOC_SHUTDOWN without flushing, while the database is away and the agent flushes the spool: at most the last seconds are gone."""
    scene, lost = own_scene, 0
    config = scene.script("spool:\n  keep_free: 0\n", "power.yml")
    scene.variables["FLIGHTLOG_CONFIG"] = config
    for round_ in range(rounds(1, whole=10)):
        scene.start_agent()
        scene.server.stop()
        with load(scene, count=2, burst=10, name=f"r{round_}p") as pipelines:
            safe = _sizes_until(scene, pipelines, 4.0 if rounds(0) else 3.5)
            disk.fail()
            for process in pipelines.processes:
                process.kill()
                process.wait()
            open(pipelines.stop_file, "w").close()
        scene.kill_agent()
        disk.boot()
        scene.server.start()
        scene.settle()
        with open(scene.witness, "rb") as file:
            promised = {tuple(line.split()[:2]) for line in file.read(safe).split(b"\n")[:-1]}
        witnessed, rows = scene.witnessed(), scene.rows()
        compare(witnessed, rows, None, where=f"seed {SEED}")
        stored = {row[1:3] for row in rows}
        broken = [key for key in promised if (key[0].decode(), int(key[1])) not in stored]
        broken = [key for key in broken if key[0].startswith(b"r%dp" % round_)]
        assert not broken, f"seed {SEED}: {len(broken)} flushed records are gone: {broken[:5]}"
        nothing_twice(scene.dsn)
        found = scene.audit()
        assert not (found.total("missing") or found.total("duplicates") or found.total("unproven")), found
        lost = sum(key not in stored for key in witnessed)
        scene.tally.add(rounds=1, kills=2)
    scene.check_alive()
    scene.tally.add(witnessed=len(witnessed), stored=len(rows), declared=found.total("corrupt"), lost=lost)
    scene.tally.notes.append(
        f"{lost} records of the last {BOUND_SECONDS:g} s before a power cut were gone, which no flush had promised"
    )


def _sizes_until(scene, pipelines, seconds):
    """Let it go on for *seconds*; return how much the witness had `BOUND_SECONDS` before the end."""
    sizes, begun = [], time.monotonic()

    def over():
        now = time.monotonic()
        sizes.append((now, pipelines.size()))
        return now - begun > seconds

    wait_until(over, seconds + 5)
    end = time.monotonic()
    return max((size for at, size in sizes if at <= end - BOUND_SECONDS), default=0)
