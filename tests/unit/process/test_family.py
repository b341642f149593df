"""The kill of a whole tree: real processes, one of which forks after it was looked at and before it is killed."""

import os
import signal
import subprocess
import sys

from conformance.kept import alive
from flightlog.process.family import MARK, Tree

# Told to, it forks a child in a session of its own, and says its pid.
FORKER = """
import os, sys, time
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(1000)
    print(child, flush=True)
"""


class SlowTree(Tree):
    """Between a look and its kill, *meanwhile* happens once: the moment that a busy forker hits now and then."""

    meanwhile = None

    def send(self, number, members):
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return super().send(number, members)


def test_who_is_forked_between_look_and_kill_is_killed_as_well():
    mark = f"family:{os.getpid()}"
    forker = subprocess.Popen(
        [sys.executable, "-S", "-c", FORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, os.fsdecode(MARK): mark},
    )
    forker.stdin.write(b"\n")
    forker.stdin.flush()
    born = [int(forker.stdout.readline())]

    def fork():
        forker.stdin.write(b"\n")
        forker.stdin.flush()
        born.append(int(forker.stdout.readline()))

    tree = SlowTree(mark, own=False)
    tree.meanwhile = fork
    try:
        left = tree.kill(marked=True)
        assert len(born) == 2 and not any(map(alive, [forker.pid, *born]))
        assert left == []
    finally:
        for pid in born:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        forker.kill()
        forker.communicate()
