"""Head to head: what flightlog, supervisord, circus and honcho say about some sixty deaths, what they keep, and what becomes of a program without them.

`make bench-supervisors`; the peers are installed into an environment of their own. FLIGHTLOG_BENCH_PROGRAMS=part of a name,... ("survival" for
that part) and FLIGHTLOG_BENCH_SYSTEMS=name,... run a part, which is printed only. Every run leaves its record (FLIGHTLOG_BENCH_RECORD, else bench-supervisors.json here);
`python -m bench.supervisors RECORD` makes the section of it again. Owns: the order of a run. Leaves programs to `causes`, systems to `ours` and `peers`,
marks to `score`, the death of a supervisor itself to `survival`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

TITLE = "Supervisors"


def run():
    """Return the section; None without peers, or for a part, which is printed only."""
    from . import causes, score
    from .ours import FLIGHTLOG, Flightlog
    from .peers import Circus, Honcho, Supervisord, versions
    from .record import Record

    peers = os.environ.get("FLIGHTLOG_BENCH_PEERS", "")
    if not peers:
        print("supervisors: the peers are installed by `make bench-supervisors`", file=sys.stderr)
        return None
    systems = [one for one in (Flightlog, Supervisord, Circus, Honcho) if chosen("SYSTEMS", one.name)]
    programs = [one for one in causes.PROGRAMS if chosen("PROGRAMS", one.name)]
    lacking = {one.name: causes.missing(one) for one in programs if causes.missing(one)}
    programs = [one for one in programs if one.name not in lacking]
    record = Record([one.name for one in systems], versions(peers), lacking, len(programs))
    folder = tempfile.mkdtemp(prefix="flightlog-bench-")
    os.chmod(folder, 0o711)
    before = signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # what it started is ended first
    try:
        _deaths(record, systems, programs, folder, peers)
        if chosen("PROGRAMS", "survival"):
            _survival(record, systems, folder, peers)
        record.facts["whole"] = len(systems) == 4 and not os.environ.get("FLIGHTLOG_BENCH_PROGRAMS")
        record.write()
    finally:
        signal.signal(signal.SIGTERM, before)
        home = os.path.join(folder, "flightlog", "home")
        subprocess.run([*FLIGHTLOG, "down"], env={**os.environ, "FLIGHTLOG_HOME": home}, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(causes.CGROUP)
    section = score.section(record.facts)
    if not record.facts["whole"]:
        print(section)
        return None
    return section


def _deaths(record, systems, programs, folder, peers):
    from . import score

    for number, program in enumerate(programs, 1):
        record.look()
        for system in systems:
            place = os.path.join(folder, system.name, program.name)
            os.makedirs(place)
            found = system(place, peers).run(program, f"{os.getpid()}-{system.name}-{program.name}")
            record.facts["marks"].append(score.judge(program, system.name, found))
            print(f"{number}/{len(programs)}", score.line(record.facts["marks"][-1]), file=sys.stderr, flush=True)
        record.write()


def _survival(record, systems, folder, peers):
    from . import survival

    for system in systems:
        for row in survival.trials(system, os.path.join(folder, system.name), peers):
            record.facts["survival"].append(row)
            print("survival", row, file=sys.stderr, flush=True)
            record.write()


def chosen(what, name):
    wanted = os.environ.get(f"FLIGHTLOG_BENCH_{what}", "")
    return not wanted or any(part in name for part in wanted.split(","))
