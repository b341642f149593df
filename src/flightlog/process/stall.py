"""Why a silent run does not go on, as far as two looks at its threads can tell: a pure function.

    deadlock   every thread of a process waits for a lock that only its own threads can release, without a time limit; or every thread of all does
    d-state    a thread sleeps in the kernel and cannot be interrupted, nor killed: a disk, NFS
    gil        one thread works in C and does not let go of Python's lock, which others ask for
    loop       one thread uses a whole CPU
    stdin      it reads standard input, and nothing comes
    io         it waits for a socket, a pipe, a file lock; or its output does, for whoever reads it
    unknown    anything else, a mere sleep for example

Invariants: same input, same word; says `unknown` rather than a wrong cause; what stands in the way of a surer word (calls that may not be seen) is
said. Owns: the words. Leaves looking to `threads`, what is done about it to `hang`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from .threads import Thread

BUSY = 0.8  # of the time it runs, or is ready to run
LEAST = 0.05  # of the time it has to have run for that
ASKING = (
    50.0  # times a second that a thread which wants Python's lock wakes up for it: each 5 ms (sys.getswitchinterval)
)
CLASSES = ("deadlock", "d-state", "gil", "loop", "stdin", "io", "unknown")
_NAMES = {"read": "reads", "socket": "waits for", "write": "writes to", "lock": "waits for a lock on", "poll": "polls"}


def classify(
    before: Sequence[Thread], now: Sequence[Thread], seconds: float, output_waits: bool = False
) -> tuple[str, str]:
    """Return (class, what speaks for it).

    Args:
        before, now: the threads of all processes of the run, main threads of each first, at two moments.
        seconds: between them.
        output_waits: the command is kept waiting by whoever reads its output.
    """
    then = {(thread.pid, thread.tid): thread for thread in before}
    pairs = [(then[thread.pid, thread.tid], thread) for thread in now if (thread.pid, thread.tid) in then]
    if not pairs:
        return "unknown", "nothing could be seen of its processes"
    seconds = max(seconds, 0.01)
    stuck = [
        thread for old, thread in pairs if thread.state == "D" and old.state == "D" and thread.cpu_ns == old.cpu_ns
    ]
    if stuck:
        return "d-state", "%s sleeps in the kernel (%s) and cannot be interrupted, nor killed in most cases" % (
            _who(stuck[0]),
            stuck[0].wchan or "where, is not told",
        )
    busy = [
        thread
        for old, thread in pairs
        if _ran(old, thread) >= LEAST * seconds and _wanted(old, thread) >= BUSY * seconds
    ]
    if busy:
        return _working(busy, pairs, seconds)
    if output_waits:
        return "io", "its output waits for whoever reads it, or for room in the spool"
    return _waiting([thread for _, thread in pairs])


def _ran(old: Thread, thread: Thread) -> float:
    return (thread.cpu_ns - old.cpu_ns) / 1e9


def _wanted(old: Thread, thread: Thread) -> float:
    return (thread.cpu_ns - old.cpu_ns + thread.ready_ns - old.ready_ns) / 1e9


def _working(busy: list[Thread], pairs: list[tuple[Thread, Thread]], seconds: float) -> tuple[str, str]:
    for one in busy:
        asking = [
            thread
            for old, thread in pairs
            if thread.pid == one.pid
            and thread is not one
            and thread.waits in ("futex", "")
            and (thread.switches - old.switches) / seconds >= ASKING
            and _ran(old, thread) < 0.2 * seconds
        ]
        if asking:
            return "gil", "%s uses a whole CPU, and %d other threads ask for Python's lock in vain" % (
                _who(one),
                len(asking),
            )
    return "loop", "%s uses a whole CPU" % _who(busy[0])


def _waiting(threads: list[Thread]) -> tuple[str, str]:
    by_process: dict[int, list[Thread]] = {}
    for thread in threads:
        by_process.setdefault(thread.pid, []).append(thread)
    # Who waits for a child waits for what that one waits for.
    inner = [own for own in by_process.values() if own[0].waits != "child"] or list(by_process.values())
    for own in inner:
        if own[0].waits == "read" and own[0].fd == 0:
            return "stdin", "%s reads standard input%s" % (_who(own[0]), _at(own[0]))
    locked = [own for own in inner if all(thread.waits == "futex" for thread in own)]
    for own in locked:
        if all(thread.forever and thread.private for thread in own):
            return "deadlock", _locked(own)
    if locked and len(locked) == len(inner):
        first = locked[0]
        if all(thread.forever for own in locked for thread in own):
            return "deadlock", _locked(first)
        if all(thread.syscall is None for own in locked for thread in own):
            return "unknown", "all threads wait for locks; whether with a time limit may not be seen here"
        return "unknown", "all threads of %s wait for locks, at least one of them with a time limit" % _process(
            first[0]
        )
    for own in inner:
        for thread in own:
            if thread.waits in ("read", "socket", "write", "lock", "poll"):
                return "io", "%s %s %s" % (_who(thread), _NAMES[thread.waits], thread.target or _unnamed(thread))
    main = inner[0][0]
    if main.waits == "sleep":
        return "unknown", "%s sleeps" % _who(main)
    return "unknown", "%s is in state %s%s" % (_who(main), main.state, " (%s)" % main.wchan if main.wchan else "")


def _locked(own: list[Thread]) -> str:
    if len(own) == 1:
        return "the only thread of %s waits for a lock, without a time limit: only a signal could wake it" % _process(
            own[0]
        )
    return "all %d threads of %s wait for locks, without a time limit" % (len(own), _process(own[0]))


def _unnamed(thread: Thread) -> str:
    return "several files" if thread.waits == "poll" else "something (%s)" % (thread.wchan or "unseen")


def _at(thread: Thread) -> str:
    return " (%s)" % thread.target if thread.target else ""


def _who(thread: Thread) -> str:
    return "thread %d (%s) of process %d" % (thread.tid, thread.name, thread.pid)


def _process(thread: Thread) -> str:
    return "process %d (%s)" % (thread.pid, thread.name)
