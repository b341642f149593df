"""Head to head: what flightlog, supervisord, circus and honcho say about forty deaths, and what they keep.

Owns: the table and its fair notes. Leaves programs and systems to `bench.supervision`. The peers are installed into an environment of their own by
`make bench-supervisors`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from .supervision.programs import CGROUP, PROGRAMS
from .supervision.systems import SYSTEMS

TITLE = "Supervisors"
PEERS = os.environ.get("FLIGHTLOG_BENCH_PEERS", "")
NOTES = """*Named*: the cause is in the system's own words: flightlog's verdict, a peer's log or state. An exit status or a signal counts where it is the cause. *Kept*: the last
output is in what the system stores. *Left*: processes of the program that were there after the system had been told to end.

Fair notes. All three peers keep plain output whole, bursts included. supervisord's and honcho's words about exit statuses and signals are exact; where
the signal is the cause (SIGSEGV, SIGXCPU) they name it as well as we do. circus's log says that a process was reaped, and no more, at debug level; its pub/sub event `reap` has the exit code for who subscribes. None of them
was made to look further: a traceback is in the output they keep, and a person will read it there. flightlog was run as `flightlog run`, in the foreground."""


def run():
    """Return the section; None without peers."""
    if not PEERS:
        print("supervisors: the peers are installed by `make bench-supervisors`", file=sys.stderr)
        return None
    folder = tempfile.mkdtemp(prefix="flightlog-bench-")
    os.chmod(folder, 0o711)
    rows, sums = [], {system.name: [0, 0, 0, []] for system in SYSTEMS}
    wanted = os.environ.get("FLIGHTLOG_BENCH_PROGRAMS", "")
    programs = [program for program in PROGRAMS if wanted in program.name and _can_run(program)]
    proven_wrong = []
    try:
        for number, program in enumerate(programs):
            cells = [program.name]
            for system in SYSTEMS:
                place = (
                    os.path.join(folder, f"p{number}")
                    if system.name == "flightlog"
                    else os.path.join(folder, system.name, f"p{number}")
                )
                found = system(place, PEERS).run(program, f"{os.getpid()}-{system.name}-{number}")
                named = found.verdict in program.right if found.verdict else bool(re.search(program.told, found.words))
                kept = program.last in found.output
                if found.confidence == "proven" and not named:
                    proven_wrong.append(f"{program.name}: {found.verdict}")
                total = sums[system.name]
                total[0] += named
                total[1] += kept
                total[2] += found.orphans
                total[3].append(found.seconds)
                said = f"{found.verdict} ({found.confidence})" if system.name == "flightlog" else ""
                cells.append(
                    " ".join(
                        part
                        for part in (
                            "yes" if named else "**no**",
                            said,
                            "" if kept else "output lost",
                            f"{found.orphans} left" if found.orphans else "",
                        )
                        if part
                    )
                )
                print(
                    f"{program.name} | {system.name} | {cells[-1]} | {found.words[:160]!r}", file=sys.stderr, flush=True
                )
            rows.append("| " + " | ".join(cells) + " |")
    finally:
        subprocess.run(
            [sys.executable, "-m", "flightlog", "down"],
            env=dict(os.environ, FLIGHTLOG_HOME=os.path.join(folder, "home")),
            capture_output=True,
        )
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.isdir(CGROUP):
            os.rmdir(CGROUP)
    names = [system.name for system in SYSTEMS]
    head = "| program | " + " | ".join(names) + " |\n|---|" + "---|" * len(names)
    table = head + "\n" + "\n".join(rows)
    whole = len(programs)
    totals = (
        "| | named | last output kept | processes left | median seconds to the words |\n|---|---:|---:|---:|---:|\n"
        + "\n".join(
            f"| {name} | {named} of {whole} | {kept} of {whole} | {left} | {sorted(seconds)[len(seconds) // 2]:.2f} |"
            for name, (named, kept, left, seconds) in sums.items()
        )
    )
    wrong = "Proven and wrong: " + ("; ".join(proven_wrong) if proven_wrong else "none") + "."
    missing = [program.name for program in PROGRAMS if not _can_run(program)]
    not_run = f"\n\nNot run here: {', '.join(missing)}." if missing else ""
    return f"{totals}\n\n{wrong}\n\n{NOTES}\n\n{table}{not_run}"


def _can_run(program):
    if CGROUP in " ".join(program.command):
        return os.access(os.path.dirname(CGROUP), os.W_OK)
    return program.command[0].startswith("/") or shutil.which(program.command[0]) is not None
