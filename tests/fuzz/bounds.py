"""Whether each input was done with in bounded time and memory.

Time is that of the processor, so that a busy machine cannot fail a test: an input takes a fraction of a millisecond, and one that takes seconds would
take hours with ten times the bytes. Memory is counted for one input in a hundred, and for the process. Owns: these bounds, and how a failure names its input.
"""

import ctypes
import gc
import resource
import signal
import tracemalloc
from contextlib import contextmanager

from fuzz.mutation import SEED

SECONDS = 5.0
TIMES_AS_LARGE = 60  # memory in use at once, compared with the input; a parsed JSON object is many times its text
AND_BYTES = 4 << 20
EVERY = 100
GROWTH_BYTES = 100 << 20  # of the process, from the first input to the last


def resident():
    """Return how many bytes of memory this process has."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class TooLong(Exception):
    """An input takes longer than `SECONDS` of processor time."""


@contextmanager
def watched():
    """Raise TooLong in an input that takes longer than `SECONDS`; see afterwards that memory has not grown with their number."""

    def over(_, __):
        raise TooLong(f"more than {SECONDS} s of processor time")

    before = signal.signal(signal.SIGVTALRM, over)
    at_first = resident()
    try:
        yield
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what is free is not remembered
        assert resident() - at_first <= GROWTH_BYTES, "decoders remember too much of what they have read"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def bounded(check, index, *arguments, size):
    """Call *check* with *arguments*, within the bounds of an input of *size* bytes; what it raises names the input's number."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    counted = index % EVERY == 0
    try:
        if counted:
            tracemalloc.start()
        check(*arguments)
        if counted:
            peak = tracemalloc.get_traced_memory()[1]
            assert peak <= TIMES_AS_LARGE * size + AND_BYTES, f"{peak} bytes of memory for an input of {size}"
    except BaseException as problem:
        hint = f"input {index}: FLIGHTLOG_FAULT_SEED={SEED} FLIGHTLOG_FUZZ_FIRST={index}"
        shown = "; ".join(f"{len(one)} bytes {one[:2000]!r}" for one in arguments if isinstance(one, bytes))
        problem.add_note(f"{hint}\n{shown}")
        raise
    finally:
        if counted:
            tracemalloc.stop()
