"""Head to head: what flightlog, supervisord, circus and honcho say about some sixty deaths, what they keep, and what becomes of a program without them.

`make bench-supervisors`; the peers are installed into an environment of their own. FLIGHTLOG_BENCH_PROGRAMS=part of a name,... and
FLIGHTLOG_BENCH_SYSTEMS=name,... run a part. Owns: the section's order. Leaves programs to `causes`, systems to `ours` and `peers`, marks to `score`, the
death of a supervisor itself to `survival`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

TITLE = "Supervisors"


def run():
    """Return the section; None without peers, or for a part, which is printed only."""
    from . import causes, score, survival
    from .ours import FLIGHTLOG, Flightlog
    from .peers import Circus, Honcho, Supervisord

    peers = os.environ.get("FLIGHTLOG_BENCH_PEERS", "")
    if not peers:
        print("supervisors: the peers are installed by `make bench-supervisors`", file=sys.stderr)
        return None
    systems = [one for one in (Flightlog, Supervisord, Circus, Honcho) if chosen("SYSTEMS", one.name)]
    programs = [one for one in causes.PROGRAMS if chosen("PROGRAMS", one.name)]
    lacking = {one.name: causes.missing(one) for one in programs if causes.missing(one)}
    programs = [one for one in programs if one.name not in lacking]
    folder = tempfile.mkdtemp(prefix="flightlog-bench-")
    os.chmod(folder, 0o711)
    marks, died = [], []
    try:
        for program in programs:
            for system in systems:
                place = os.path.join(folder, system.name, program.name)
                os.makedirs(place)
                found = system(place, peers).run(program, f"{os.getpid()}-{system.name}-{program.name}")
                marks.append(score.Mark(program, system.name, found))
                print(marks[-1].line(), file=sys.stderr, flush=True)
        for system in systems if chosen("PROGRAMS", "survival") else ():
            died.append(survival.trial(system, os.path.join(folder, system.name), peers))
            print(died[-1], file=sys.stderr, flush=True)
    finally:
        home = os.path.join(folder, "flightlog", "home")
        subprocess.run([*FLIGHTLOG, "down"], env={**os.environ, "FLIGHTLOG_HOME": home}, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.isdir(causes.CGROUP):
            os.rmdir(causes.CGROUP)
    record = os.environ.get("FLIGHTLOG_BENCH_RECORD")
    if record:
        with open(record, "w") as file:
            json.dump([mark.facts() for mark in marks], file, indent=1)
    whole = len(systems) == 4 and len(programs) + len(lacking) == len(causes.PROGRAMS) and died
    section = score.section(marks, died, lacking, [system.name for system in systems])
    if not whole:
        print(section)
    return section if whole else None


def chosen(what, name):
    wanted = os.environ.get(f"FLIGHTLOG_BENCH_{what}", "")
    return not wanted or any(part in name for part in wanted.split(","))
