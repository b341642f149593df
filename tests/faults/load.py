"""Pipelines that log as long as a test wants them to, at a pace that its oracle can follow, and tell the witness."""

import contextlib
import os

from waiting import wait_until

PROGRAM = """
import logging, os, threading, time
import flightlog, worker
flightlog.init(pipeline="load")
native, std = flightlog.get_logger("native"), logging.getLogger("std")
std.setLevel(logging.INFO)
name, stop, burst = worker.argument(1), worker.argument(2), int(worker.argument(3))
slowest = 0.0

def work(name):
    global slowest
    n = 0
    while not os.path.exists(stop):
        for _ in range(burst):
            said = worker.text(name, n, n % 7 * 60)
            before = time.perf_counter()
            (std.info if n % 2 else native.info)(said)
            slowest = max(slowest, time.perf_counter() - before)
            worker.saw(name, n, said)
            n += 1
        time.sleep(0.01)

threads = [threading.Thread(target=work, args=(name + letter,)) for letter in "ab"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(slowest, flush=True)
"""


class Load:
    """Running pipelines. Each of *count* processes logs from two threads, *burst* records at a time, a hundred times a second at most."""

    def __init__(self, scene, count=2, burst=10, name="p"):
        self.scene, self.stop_file = scene, os.path.join(scene.folder, f"stop-{name}")
        self.output = os.path.join(scene.folder, f"slowest-{name}")
        with open(self.output, "wb") as output:
            self.processes = [
                scene.start(PROGRAM, f"{name}{number}", self.stop_file, burst, stdout=output) for number in range(count)
            ]
        self.names = [f"{name}{number}{letter}" for number in range(count) for letter in "ab"]
        self.more(1)

    def size(self):
        """How many bytes the witness has."""
        return os.path.getsize(self.scene.witness) if os.path.exists(self.scene.witness) else 0

    def more(self, records, seconds=60):
        """Wait until about so many more records are witnessed."""
        wanted = self.size() + records * 16
        wait_until(lambda: self.size() >= wanted or not self._all_live(), seconds, "the pipelines to log")
        assert self._all_live(), self.scene.words()

    def _all_live(self):
        return all(process.poll() is None for process in self.processes)

    def stop(self):
        """End it; the pipelines must end well. Return the slowest logging call in seconds."""
        open(self.stop_file, "w").close()
        for process in self.processes:
            assert process.wait(60) == 0, self.scene.words()
        with open(self.output) as file:
            return max(float(word) for word in file.read().split())


@contextlib.contextmanager
def load(scene, count=2, burst=10, name="p"):
    """Pipelines run meanwhile; ended at the end, unless the test has done that."""
    one = Load(scene, count, burst, name)
    yield one
    if not os.path.exists(one.stop_file):
        one.stop()
