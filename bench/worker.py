"""One subject in one process: answers each line on standard input with the figures of one round.

Owns: how a call is timed. Rounds: `idle N`, `busy N` (one CPU-bound thread beside it), `threads K N`
(K threads make N calls in all). Answers one JSON object per line; times in nanoseconds per call.
"""

import gc
import json
import sys
import threading
import time

from .subjects import SUBJECTS

WARM_UP_CALLS = 200


def percentiles(samples):
    """Return mean, p50, p99 and max of *samples* (sorted in place)."""
    samples.sort()
    count = len(samples)
    return {
        "mean": sum(samples) / count,
        "p50": samples[count // 2],
        "p99": samples[min(count - 1, count * 99 // 100)],
        "max": samples[-1],
        "calls": count,
    }


def timed_each(call, count):
    """Time each of *count* calls by itself."""
    clock = time.perf_counter_ns
    samples = [0] * count
    for i in range(count):
        began = clock()
        call(i)
        samples[i] = clock() - began
    return percentiles(samples)


def idle(call, count):
    """Mean over the whole loop (no clock inside it), percentiles from a second pass."""
    clock = time.perf_counter_ns
    began = clock()
    for i in range(count):
        call(i)
    mean = (clock() - began) / count
    return dict(timed_each(call, count), mean=mean, calls=2 * count)


def busy(call, count):
    """Time each call while another thread computes."""
    stop = threading.Event()

    def burn():
        n = 0
        while not stop.is_set():
            for _ in range(1000):
                n += 1

    thread = threading.Thread(target=burn, daemon=True)
    thread.start()
    time.sleep(0.01)  # let it begin: it is the one that owns the interpreter lock when the first call is made
    try:
        return timed_each(call, count)
    finally:
        stop.set()
        thread.join()


def threads(call, how_many, count):
    """Nanoseconds per record when *how_many* threads make *count* calls together."""
    each = count // how_many
    gate = threading.Barrier(how_many + 1)

    def work():
        gate.wait()
        for i in range(each):
            call(i)

    workers = [threading.Thread(target=work) for _ in range(how_many)]
    for worker in workers:
        worker.start()
    gate.wait()
    began = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    total = each * how_many
    return {"mean": (time.perf_counter_ns() - began) / total, "calls": total}


def main():
    subject, folder = sys.argv[1:3]
    call = SUBJECTS[subject](folder)
    answer = sys.__stdout__
    for i in range(WARM_UP_CALLS):
        call(i)
    for line in sys.stdin:
        kind, *numbers = line.split()
        gc.collect()
        figures = {"idle": idle, "busy": busy, "threads": threads}[kind](call, *map(int, numbers))
        answer.write(json.dumps(figures) + "\n")
        answer.flush()


if __name__ == "__main__":
    main()
