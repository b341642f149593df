"""What becomes of a program when its supervisor is killed with -9 and started again.

Owns: that trial and its row. The program says a numbered word five times a second. Leaves starting and ending to the systems.
"""

import contextlib
import os
import re
import signal
import time

from .causes import HERE, Program
from .ours import has
from .system import copies, marked, until

FILE = "ticks.py"
TICKS = Program(FILE, (), "", last="tick 3", action="stop")


class Row:
    """What happened."""

    def __init__(self, system, cells):
        self.system, self.cells = system, cells

    def row(self):
        return f"| {self.system} | " + " | ".join(str(cell) for cell in self.cells) + " |"

    __str__ = row


def trial(kind, folder, peers):
    """Return the Row of one system."""
    if kind.name == "flightlog" and not has("start"):
        return Row(kind.name, ["`flightlog start` is not there yet", "", "", ""])
    mark = f"{os.getpid()}-survival-{kind.name}"
    system = kind(os.path.join(folder, "survival"), peers)
    system.restarts = "true"
    system.command = [_python(), os.path.join(HERE, FILE)]
    controller = system.start(TICKS, system.environment(mark))
    try:
        until(lambda: TICKS.last in system.output())
        before = _last(system)
        for pid in system.keepers(controller, marked(mark)):
            os.kill(pid, signal.SIGKILL)
        controller.wait()
        time.sleep(2)
        alive = len(copies(mark, FILE))
        said = _last(system) - before
        again = system.start(TICKS, system.environment(mark))
        until(lambda: again.poll() is not None, 5)  # a start that hands over, or a refusal
        running = len(copies(mark, FILE))
        if again.poll() is None:
            system.end(again)
        else:
            system.stop(again)
        until(lambda: not copies(mark, FILE), 3)
        left = len(copies(mark, FILE))
    finally:
        for pid in marked(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return Row(kind.name, ["lives" if alive else "dead", "kept" if said >= 5 else "lost", running, left])


def _python():
    import sys

    return sys.executable


def _last(system):
    found = re.findall(r"tick (\d+)\n", system.output())
    return max(map(int, found), default=-1)
