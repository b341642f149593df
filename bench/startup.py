"""What starting costs: the SDK's import, the command line, a supervised process, a first look at the logs.

Owns: what is compared with what, interleaved, so that a busy moment of the machine meets both. Times are wall clock.
The figures of a command are those of the installed console script beside this interpreter.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import flightlog

from . import results

TITLE = "Starting"
ROUNDS = 21
LOGS_ROUNDS = 9
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(flightlog.__file__)))
SCRIPT = os.path.join(os.path.dirname(sys.executable), "flightlog")
BARE = [sys.executable, "-I", "-S", "-c"]
PREPARED = f"import sys; sys.path.insert(0, {SOURCE!r}); "
FIRST_RECORD = PREPARED + "import flightlog; flightlog.init(); flightlog.get_logger('bench').info('first')"
COMMAND_SECONDS = 30  # at most
REST_SECONDS = 30  # that keeper and shim are watched doing nothing


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


def memory(environment):
    """Return (resident, private kilobytes, percent of a core at rest) of keeper and shim of a sleeping run, by name."""
    run = subprocess.Popen(
        [SCRIPT, "run", "--", "sleep", str(2 * REST_SECONDS)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        family = _wait_for_children(run.pid)
        roles = {"keeper": run.pid}
        roles.update(("shim", pid) for pid in family if _command(pid)[:1] != ["sleep"])
        before = {role: _ticks(pid) for role, pid in roles.items()}
        time.sleep(REST_SECONDS)
        share = 100 / os.sysconf("SC_CLK_TCK") / REST_SECONDS
        return {role: (*_kilobytes(pid), (_ticks(pid) - before[role]) * share) for role, pid in roles.items()}
    finally:
        run.send_signal(signal.SIGTERM)
        try:
            run.wait(10)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()


def _wait_for_children(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        family = _descendants(pid)
        if any(_command(child)[:1] == ["sleep"] for child in family):
            return family
        time.sleep(0.05)
    raise RuntimeError("flightlog run did not start its command")


def _descendants(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        return []
    return children + [below for child in children for below in _descendants(child)]


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")
    except OSError:
        return []


def _ticks(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)


def _kilobytes(pid):
    found = {"Rss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key in found:
                found[key] = int(rest.split()[0])
    return found["Rss"], found["Private_Clean"] + found["Private_Dirty"]


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
        sizes = memory(environment) if os.path.exists("/proc/self/smaps_rollup") else {}
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
            "| process of `flightlog run` | resident MB | of it private | % of a core at rest |",
            "|---|---:|---:|---:|",
        ]
        for role, (rss, private, share) in sizes.items():
            lines.append(f"| {role} | {rss / 1024:.1f} | {private / 1024:.1f} | {share:.2f} |")
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
    if sizes:
        aims += [
            ("keeper and shim, private MB together", sum(private for _, private, _ in sizes.values()) / 1024, 20),
            ("keeper and shim at rest, % of a core together", sum(share for _, _, share in sizes.values()), 0.2),
        ]
    said = f"Medians of {ROUNDS} interleaved rounds; Python with `-I -S`, so without site-packages."
    return "\n\n".join(part for part in (said, "\n".join(lines), why, results.verdicts(aims)) if part)
