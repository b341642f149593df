"""What starting costs: the SDK's import, the command line, a supervised process, a first look at the logs; and what then stays.

Owns: what is compared with what, interleaved, so that a busy moment of the machine meets both. Times are wall clock. Leaves what rests to `resting`.
The figures of a command are those of the installed console script beside this interpreter.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import flightlog

from . import resting, results

TITLE = "Starting"
ROUNDS = 21
LOGS_ROUNDS = 9
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
SCRIPT = os.path.join(os.path.dirname(sys.executable), "flightlog")
BARE = [sys.executable, "-I", "-S", "-c"]
PREPARED = f"import sys; sys.path.insert(0, {SOURCE!r}); "
FIRST_RECORD = PREPARED + "import flightlog; flightlog.init(); flightlog.get_logger('bench').info('first')"
COMMAND_SECONDS = 30  # at most


def seconds(command, environment):
    """Run *command* to its end; return the wall clock seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=COMMAND_SECONDS,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode} {done.stderr.decode()[-500:]}")
    return took


def compare(commands, environment, rounds):
    """Return name -> milliseconds of each round; the first, unmeasured round warms the page cache and the .pyc files."""
    for command in commands.values():
        seconds(command, environment)
    found = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(seconds(command, environment) * 1000)
    return found


def logs(environment):
    """Return milliseconds of `flightlog logs` against a warm embedded server, or (None, why not)."""
    if subprocess.run(
        [SCRIPT, "logs", "--help"], env=environment, capture_output=True, timeout=COMMAND_SECONDS
    ).returncode:
        return None, "`flightlog logs` is not there yet"
    try:
        seconds([SCRIPT, "run", "--pipeline", "bench", "--", sys.executable, "-c", FIRST_RECORD], environment)
        return compare({"logs": [SCRIPT, "logs", "bench"]}, environment, LOGS_ROUNDS)["logs"], ""
    except (RuntimeError, subprocess.TimeoutExpired) as problem:
        return None, f"`flightlog logs` failed here: {problem}"


def _row(name, taken, base=None):
    more = "" if base is None else f"{statistics.median(taken) - statistics.median(base):+.1f}"
    return f"| {name} | {statistics.median(taken):.1f} | {min(taken):.1f} | {more} |"


def run():
    """Return the section."""
    home = tempfile.mkdtemp(prefix="flightlog-bench-")
    os.chmod(home, 0o711)  # root's server runs as another account, which has to pass
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FLIGHTLOG_")}
    environment = dict(kept, FLIGHTLOG_HOME=home, FLIGHTLOG_AGENT="never")
    try:
        times = compare(
            {
                "python -c pass": [*BARE, "pass"],
                "import flightlog": [*BARE, PREPARED + "import flightlog"],
                "import, init, one record": [*BARE, FIRST_RECORD],
                "true": ["true"],
                "flightlog run -- true": [SCRIPT, "run", "--", "true"],
                "flightlog --version": [SCRIPT, "--version"],
            },
            environment,
            ROUNDS,
        )
        sizes = resting.look(SCRIPT, environment) if os.path.exists("/proc/self/smaps_rollup") else {}
        looked, why = logs(environment)
    finally:
        subprocess.run([SCRIPT, "down"], env=environment, capture_output=True, timeout=COMMAND_SECONDS)
        shutil.rmtree(home, ignore_errors=True)
    return _section(times, sizes, looked, why)


def _section(times, sizes, looked, why):
    bare, nothing = times["python -c pass"], times["true"]
    base = {"import flightlog": bare, "import, init, one record": bare, "flightlog run -- true": nothing}
    lines = ["| ms | median | least | median more than bare |", "|---|---:|---:|---:|"]
    lines += [_row(f"`{name}`", taken, base.get(name)) for name, taken in times.items()]
    if looked:
        lines.append(_row("`flightlog logs`, warm embedded server", looked))
    if sizes:
        lines += [
            "",
            "| process | resident MB | of it private | proportional share | % of a core at rest |",
            "|---|---:|---:|---:|---:|",
        ]
        for role, (rss, private, pss, share) in sizes.items():
            lines.append(f"| {role} | {rss / 1024:.1f} | {private / 1024:.1f} | {pss / 1024:.1f} | {share:.2f} |")
    aims = [
        (f"`{name}`, ms more than `python -c pass`", statistics.median(times[name]) - statistics.median(bare), 25)
        for name in ("import flightlog", "import, init, one record")
    ]
    aims += [
        ("`flightlog --version`, ms", statistics.median(times["flightlog --version"]), 100),
        ("`flightlog logs`, ms, warm embedded server", statistics.median(looked) if looked else None, 400),
    ]
    aims.append(
        (
            "`flightlog run -- true`, ms more than `true`",
            statistics.median(times["flightlog run -- true"]) - statistics.median(nothing),
            150,
        )
    )
    for command in ("run", "start") if sizes else ():
        pair = [sizes[f"{role} of `flightlog {command}`"] for role in ("keeper", "shim")]
        aims += [
            (
                f"keeper and shim of `flightlog {command}`, MB that are not others'",
                sum(one[2] for one in pair) / 1024,
                20,
            ),
            (f"keeper and shim of `flightlog {command}`, % of a core at rest", sum(one[3] for one in pair), 0.2),
        ]
    if sizes:
        whole = [taken for role, taken in sizes.items() if role.endswith("start`")]
        aims += [
            ("the same with the caretaker, MB that are not others'", sum(one[2] for one in whole) / 1024, 20),
            ("the same with the caretaker, % of a core at rest", sum(one[3] for one in whole), 0.2),
        ]
    said = f"Medians of {ROUNDS} interleaved rounds; Python with `-I -S`, so without site-packages."
    return "\n\n".join(part for part in (said, "\n".join(lines), why, results.verdicts(aims)) if part)
