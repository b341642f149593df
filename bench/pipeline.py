"""What flightlog costs a realistic pipeline as a whole, measured as `flightlog overhead` does it, and what its peers cost when they are added instead.

Owns: the input, the rates and the table. Leaves the program to `pipeline_job`, pairs to `flightlog.ops.pairs`. FLIGHTLOG_BENCH_ROWS, FLIGHTLOG_BENCH_ROUNDS make it shorter.
"""

import os
import subprocess
import sys
import tempfile
import time

from flightlog import wiring
from flightlog.ops.pairs import Bench, Once
from flightlog.ops.ratio import of_pairs

from .results import verdicts

TITLE = "A pipeline as a whole"
ROWS = int(os.environ.get("FLIGHTLOG_BENCH_ROWS", "1000000"))
ROUNDS = int(os.environ.get("FLIGHTLOG_BENCH_ROUNDS", "8"))
# The last is no product: one write(2) a line and nothing else, the least that a line costs which survives SIGKILL.
PEERS = {"otel": "OpenTelemetry", "loguru": "loguru", "structlog": "structlog", "write": "one write(2)"}
PEER_ROUNDS = max(3, ROUNDS // 4)
JOB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipeline_job.py")
RATES = (1_000, 10_000)


class Added(Bench):
    """The job with a peer added, in place of flightlog."""

    def __init__(self, command, peer, folder):
        super().__init__(command, "bench", folder)
        self._environment["JOB_ADDS"] = peer

    def without(self):
        peer = self._environment.pop("JOB_ADDS")
        try:
            return super().without()
        finally:
            self._environment["JOB_ADDS"] = peer

    def with_us(self):
        wall, cpu, status = self._run(self._command, {**self._environment, "FLIGHTLOG_CONFIG": self._off})
        return self._same(Once(wall, cpu, 0.0, status))


def run():
    """Return the section. Uses a home of its own, with its agent and embedded server."""
    with tempfile.TemporaryDirectory(prefix="fl-bench-", dir="/tmp") as folder:
        os.chmod(folder, 0o711)
        home = os.path.join(folder, "home")
        os.environ.update(FLIGHTLOG_HOME=home, FLIGHTLOG_AGENT="always")
        try:
            return _run(folder, home)
        finally:
            subprocess.run([sys.executable, "-m", "flightlog", "down"], stdout=subprocess.DEVNULL, check=False)


def _run(folder, home):
    _write_input(os.path.join(folder, "orders.csv"))
    subprocess.run([sys.executable, "-m", "flightlog", "agent", "start"], stdout=subprocess.DEVNULL, check=True)
    seconds = _time(folder)
    lines = [
        "| added | records/s | wall time, with over without | its own CPU | keeper and shim | agent | PostgreSQL |"
    ]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    aims = []
    for rate in RATES:
        every = max(1, int(ROWS / seconds / rate))
        command = [sys.executable, JOB, folder, str(ROWS), str(every)]
        found = Bench(command, "bench", folder, home, _await_shipping).measure(
            ROUNDS, 3600.0, _say(f"flightlog {rate}")
        )
        with_s = sum(one.wall_s for one in found.with_us)
        recorders = sum(one.recorder_s for one in found.with_us) / with_s
        wall, own = of_pairs(found.wall()), of_pairs(found.own())
        agent, server = (None if one is None else one / with_s for one in found.used())
        real = ROWS / every / (with_s / len(found.with_us))
        lines.append(
            f"| flightlog | {real:,.0f} | {_text(wall)} | {_text(own)} | {recorders:.2%} | {_share(agent)} | {_share(server)} |"
        )
        aims.append((f"wall time at {rate:,} records/s, upper bound", wall.high, 1.02))
        if rate == RATES[0]:
            aims.append((f"its own CPU at {rate:,} records/s", own.value, 1.005))
            aims.append((f"shim and agent at {rate:,} records/s, of one core", recorders + (agent or 0.0), 0.02))
        for peer, name in PEERS.items():
            found = Added(command, peer, folder).measure(PEER_ROUNDS, 3600.0, _say(f"{name} {rate}"))
            lines.append(
                f"| {name} | {real:,.0f} | {_text(of_pairs(found.wall()))} | {_text(of_pairs(found.own()))} | | | |"
            )
    words = (
        f"A CSV of {ROWS:,} rows, three stages, progress by row, a checkpoint each 10,000 rows, a FileHandler of its own; {seconds:.1f} s as it runs today. "
        f"Pairs of runs in turn, {ROUNDS} of flightlog and {PEER_ROUNDS} of each other; ratios with their 95 % confidence interval; "
        "shares are of one core. With flightlog: `flightlog run`, stages, `track`, `checkpoint`, its start included. The peers get the log lines only, and "
        "write them into a file of this machine. The last adds one write of 230 bytes to each line and nothing else: the least that a line costs which survives SIGKILL."
    )
    return "\n".join([words, "", *lines, "", verdicts(aims)])


def _write_input(path):
    with open(path, "w") as file:
        file.write("number,name,amount,day\n")
        for number in range(ROWS):
            file.write(
                f"{number}, Customer {number % 977} ,{number % 1000}.{number % 100:02d},2026-11-{number % 28 + 1:02d}\n"
            )


def _time(folder):
    command = [sys.executable, JOB, folder, str(ROWS), str(ROWS)]
    environment = {**os.environ, "FLIGHTLOG_HOME": os.path.join(folder, "none")}
    began = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
    return time.monotonic() - began


def _await_shipping():
    deadline = time.monotonic() + 60.0
    while wiring.database_waits() and time.monotonic() < deadline:
        time.sleep(0.2)


def _say(what):
    def told(number, found):
        print(f"{what}: pair {number}, {found.seconds:.0f} s", file=sys.stderr, flush=True)

    return told


def _text(ratio):
    return f"{ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f})"


def _share(value):
    return "-" if value is None else f"{value:.2%}"
