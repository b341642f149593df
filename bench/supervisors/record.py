"""What a run of the bench has found, as a JSON file: written after every program, so that a broken run leaves what it has.

Owns: that file, and how busy the machine was with others. Leaves marks and tables to `score`, which makes them of the record alone: a table can
be made again without another run.
"""

import datetime
import json
import os
import time

from ..results import machine

PATH = "bench-supervisors.json"
LOOK_SECONDS = 0.2


class Record:
    """See the module.

    Args:
        systems: names.
        versions: {system: version}.
        lacking: {program: what this machine lacks for it}.
        programs: how many there are to be run.
    """

    def __init__(self, systems, versions, lacking, programs):
        self.path = os.environ.get("FLIGHTLOG_BENCH_RECORD") or PATH
        self._began = time.monotonic()
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.facts = {"when": now, "machine": machine(), "systems": systems, "versions": versions, "lacking": lacking}
        self.facts.update(programs=programs, whole=False, seconds=0, others=[], marks=[], survival=[])

    def look(self):
        """Note what others use of this machine's processors while nothing of ours runs."""
        before, began = _busy(), time.monotonic()
        time.sleep(LOOK_SECONDS)
        self.facts["others"].append(round((_busy() - before) / (time.monotonic() - began), 2))

    def write(self):
        self.facts["seconds"] = round(time.monotonic() - self._began)
        with open(self.path + ".new", "w") as file:
            json.dump(self.facts, file, indent=1)
        os.replace(self.path + ".new", self.path)


def read(path):
    with open(path) as file:
        return json.load(file)


def _busy():
    """Return the processor time that everything on this machine has used."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, interrupts, soft, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")
