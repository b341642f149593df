"""What one logging call costs: every subject in its own process, rounds interleaved, medians over rounds."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile

from .subjects import SUBJECTS

BASE = "logging.FileHandler"
ROUNDS = 7
IDLE_CALLS, BUSY_CALLS, THREAD_CALLS = 10_000, 400, 20_000


class Subject:
    """A worker process and what it answered."""

    def __init__(self, name, folder):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", name, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.rounds = {}

    def ask(self, line):
        """Run one round and keep its figures."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name}: the worker ended")
        self.rounds.setdefault(line.rsplit(" ", 1)[0], []).append(json.loads(answer))

    def median(self, kind, figure):
        """Median of *figure* over the rounds of *kind*, in microseconds."""
        return statistics.median(r[figure] for r in self.rounds[kind]) / 1000

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(rounds=ROUNDS):
    """Run all rounds; return the subjects in order."""
    folder = tempfile.mkdtemp(prefix="flightlog-bench-")
    subjects = [Subject(name, folder) for name in SUBJECTS]
    try:
        for _ in range(rounds):
            for line in (
                f"idle {IDLE_CALLS}",
                f"busy {BUSY_CALLS}",
                f"threads 1 {THREAD_CALLS}",
                f"threads 4 {THREAD_CALLS}",
            ):
                for subject in subjects:
                    subject.ask(line)
    finally:
        for subject in subjects:
            subject.close()
        shutil.rmtree(folder, ignore_errors=True)
    return subjects


def table(subjects):
    """Return the Markdown table and the lines about our aims."""
    base = next(s for s in subjects if s.name == BASE)
    lines = [
        "| us per call | idle mean | p50 | p99 | x FileHandler | busy mean | p50 | p99 | busy p99 x FileHandler | 1 thread | 4 threads |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for s in subjects:
        idle_ratio = s.median("idle", "mean") / base.median("idle", "mean")
        busy_ratio = s.median("busy", "p99") / base.median("busy", "p99")
        lines.append(
            f"| {s.name} | {s.median('idle', 'mean'):.2f} | {s.median('idle', 'p50'):.2f} | {s.median('idle', 'p99'):.1f} | {idle_ratio:.2f}"
            f" | {s.median('busy', 'mean'):.1f} | {s.median('busy', 'p50'):.1f} | {s.median('busy', 'p99'):.1f} | {busy_ratio:.4f}"
            f" | {s.median('threads 1', 'mean'):.2f} | {s.median('threads 4', 'mean'):.2f} |"
        )
    ours = {s.name: s for s in subjects}
    through, native = ours["flightlog through logging"], ours["flightlog native, 3 fields"]
    aims = [
        (
            "idle, through `logging`, at most 0.9 x FileHandler",
            through.median("idle", "mean") / base.median("idle", "mean"),
            0.9,
        ),
        (
            "idle, native structured call, at most 0.4 x FileHandler",
            native.median("idle", "mean") / base.median("idle", "mean"),
            0.4,
        ),
        (
            "busy p99, through `logging`, at most 1/100 of FileHandler",
            through.median("busy", "p99") / base.median("busy", "p99"),
            0.01,
        ),
        (
            "busy p99, native, at most 1/100 of FileHandler",
            native.median("busy", "p99") / base.median("busy", "p99"),
            0.01,
        ),
        (
            "4 threads against 1, through `logging`, per record, at most 1.0 x",
            through.median("threads 4", "mean") / through.median("threads 1", "mean"),
            1.0,
        ),
        (
            "4 threads against 1, native, per record, at most 1.0 x",
            native.median("threads 4", "mean") / native.median("threads 1", "mean"),
            1.0,
        ),
    ]
    return "\n".join(lines), aims
