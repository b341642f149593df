"""What one logging call costs: every subject in its own process, rounds interleaved, medians over rounds.

Owns: the kinds of rounds, the table, the aims. A ratio is always against the FileHandler of the same run.
"""

import os
import shutil
import tempfile

from flightlog.journal import reader
from flightlog.journal.format import SEGMENT_SUFFIX, salt_of

from . import results
from .subject import Subject
from .subjects import BARE, BASE, NATIVE, SUBJECTS, THROUGH, spool
from .worker import WARM_UP_CALLS

TITLE = "One logging call, three values"
ROUNDS = 9
# Busy: FileHandler loses the interpreter lock, and with it 5 ms, in a few of a hundred calls; fewer calls would not show its p99.
KINDS = (("idle", 10_000), ("busy", 2_000), ("threads", 1, 20_000), ("threads", 4, 20_000))


def measure(rounds=ROUNDS, names=SUBJECTS, kinds=KINDS):
    """Run all rounds; return the subjects in order."""
    folder = tempfile.mkdtemp(prefix="flightlog-bench-")
    subjects = [Subject(name, folder) for name in names]
    try:
        for _ in range(rounds):
            for kind in kinds:
                for subject in subjects:
                    subject.ask(*kind)
        for subject in subjects:
            subject.close()
            if subject.name in (THROUGH, NATIVE, BARE):
                _verify(subject, folder)
    finally:
        for subject in subjects:
            subject.close()
        shutil.rmtree(folder, ignore_errors=True)
    return {subject.name: subject for subject in subjects}


def _verify(subject, folder):
    """Raise unless our journal holds every record of every round: a call that records nothing is fast."""
    if subject.trouble:
        return
    found, folder = 0, spool(folder, subject.name)
    for name in os.listdir(folder):
        if name.endswith(SEGMENT_SUFFIX):
            frames = reader.read_segment(os.path.join(folder, name), salt_of(name[:32]))
            found += sum(1 for _, _, _, payload in frames if payload is not None and payload.startswith(b'{"k":"log"'))
    if found != subject.calls + WARM_UP_CALLS:
        raise RuntimeError(f"{subject.name}: {subject.calls + WARM_UP_CALLS} calls, {found} records in the journal")


def _cell(subject, key, figure, form):
    value = subject.median(key, figure)
    return subject.trouble.get(key, subject.trouble.get("start", "-")) if value is None else form % value


def _ratio(one, key, figure, other, other_key=None):
    """Return how many times *other*'s figure *one*'s is, None when either is missing."""
    above, below = one.median(key, figure), other.median(other_key or key, figure)
    return above / below if above and below else None


def table(subjects):
    """Return the Markdown table."""
    base = subjects[BASE]
    lines = [
        "| us per call | idle mean | p50 | p99 | mean x FileHandler | busy mean | p50 | p99 | p99 x FileHandler | 1 thread, per record | 4 threads, per record |",
        "|---|" + "---:|" * 10,
    ]
    for s in subjects.values():
        idle, busy = _ratio(s, "idle", "mean", base), _ratio(s, "busy", "p99", base)
        cells = [
            _cell(s, "idle", "mean", "%.2f"),
            _cell(s, "idle", "p50", "%.2f"),
            _cell(s, "idle", "p99", "%.1f"),
            "-" if idle is None else f"{idle:.2f}",
            _cell(s, "busy", "mean", "%.1f"),
            _cell(s, "busy", "p50", "%.1f"),
            _cell(s, "busy", "p99", "%.1f"),
            "-" if busy is None else f"{busy:.4f}",
            _cell(s, "threads 1", "mean", "%.2f"),
            _cell(s, "threads 4", "mean", "%.2f"),
        ]
        lines.append(f"| {s.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def aims(subjects):
    """Return what was aimed at and what came out."""
    base, through, native = subjects[BASE], subjects[THROUGH], subjects[NATIVE]
    return [
        ("idle mean, through `logging`, x FileHandler", _ratio(through, "idle", "mean", base), 0.9),
        ("idle mean, native with three fields, x FileHandler", _ratio(native, "idle", "mean", base), 0.4),
        ("busy p99, through `logging`, x FileHandler", _ratio(through, "busy", "p99", base), 0.01),
        ("busy p99, native, x FileHandler", _ratio(native, "busy", "p99", base), 0.01),
        (
            "4 threads x 1 thread, through `logging` (1 and noise)",
            _ratio(through, "threads 4", "mean", through, "threads 1"),
            1.05,
        ),
        ("4 threads x 1 thread, native (1 and noise)", _ratio(native, "threads 4", "mean", native, "threads 1"), 1.05),
    ]


def run():
    """Return the section."""
    subjects = measure()
    notes = [f"- {s.name}: {what} ({key})" for s in subjects.values() for key, what in s.trouble.items()]
    said = f"""Medians of {ROUNDS} interleaved rounds, each subject in its own process. Idle: {KINDS[0][1]:,} calls a round; busy: {KINDS[1][1]:,} calls
beside one thread that computes; 4 threads: {KINDS[3][2]:,} records by four threads together, time divided by records.
The OpenTelemetry exporter throws records away; QueueHandler, loguru with enqueue and OpenTelemetry hand records to a thread, whose work the idle columns
do not contain. flightlog's record has survived `kill -9` when the call returns."""
    parts = [said, table(subjects), "\n".join(notes), results.verdicts(aims(subjects))]
    return "\n\n".join(part for part in parts if part)
