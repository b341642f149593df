"""What a run's processes use: one look at the whole tree, as numbers.

`cpu_s`, `read_b` and `write_b` never go down, although processes die: what a dead one had used by the last look is either found again at the
process that waited for it (the kernel adds it there), or carried on by us. What lived and died between two looks counts as soon as somebody has waited
for it. `rss_kb` counts shared pages for each process that has them; `pss_kb`, looked at each ten seconds at most, divides them.
Invariants: what cannot be read (a process of another user) is left out; a look costs a thousandth of the time between two, which
`interval` says, and is stretched for that where there are many processes; agent and embedded server of the home, which the run may have started, are left out once they have detached
themselves and can be told from the run's own (see `background`). Owns: sums over a tree and their price. Leaves reading /proc to `proctree`, when to
look and what becomes of it to `metrics`. Standard library only, Python 3.8.
"""

from __future__ import annotations

import os
import time

from . import background, proctree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

INTERVAL = 1.0
SHARE = 0.001  # of the time may be spent looking
PSS_INTERVAL = 10.0
PSS_SHARE = 0.0005
PSS_MOST_KB, PSS_MOST_PROCESSES = 2 << 20, 64  # above, a look would take tens of milliseconds
JUDGED_LOOKS = 10  # at an orphan that is new: who has just started may not have left a note yet
DEEP_INTERVAL = 5.0  # between looks for children that other threads than the main one have started
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class _Sum:
    """A total that survives those it is made of."""

    __slots__ = ("_before", "lost")

    def __init__(self) -> None:
        self.lost = 0  # what nobody alive accounts for
        self._before: dict[Any, tuple[int, int]] = {}

    def total(self, now: dict[Any, tuple[int, int]], heirs: dict[Any, Any]) -> int:
        """Return the sum over *now*: process -> (all that counts, what it has inherited of it), with what the dead have left.

        Args:
            now: of those that live.
            heirs: of each one that is gone, who was to inherit; absent: nobody.
        """
        left: dict[Any, int] = {}
        for key, (value, _) in self._before.items():
            if key not in now:
                heir = heirs.get(key)
                heir = heir if heir in now and heir in self._before else None
                left[heir] = left.get(heir, 0) + value
        for heir, value in left.items():
            got = now[heir][1] - self._before[heir][1] if heir is not None else 0
            self.lost += max(0, value - got)
        self._before = now
        return self.lost + sum([value for value, _ in now.values()])


class Sampler:
    """See the module.

    Args:
        child: pid of the command.
        reaper: who gets its orphans (a subreaper); 0: nobody that we know.
        strangers: children of *reaper* that do not belong to the run.
        home: whose background processes do not belong to it either.
    """

    def __init__(self, child: int, reaper: int = 0, strangers: Sequence[int] = (), home: str = "") -> None:
        self.child = child
        self._reaper, self._strangers, self._home = reaper, frozenset(strangers), home
        self._background: set[int] = set()  # orphans that are flightlog's own
        self._judged: dict[int, int] = {}  # orphan -> how often it was taken for one of the run's
        main = proctree.look(child)
        self._start = main.start if main is not None else 0
        self._known: dict[int, proctree.Process] = {}
        self._cpu, self._read, self._written, self._switches = _Sum(), _Sum(), _Sum(), _Sum()
        self._cost = 0.0
        self._deep_at = 0.0
        self._pss_at = time.monotonic() + PSS_INTERVAL

    @property
    def interval(self) -> float:
        """Seconds that should lie between two looks."""
        return max(INTERVAL, self._cost / SHARE)

    @property
    def processes(self) -> dict[int, proctree.Process]:
        """Those of the last look, by pid; the dead that nobody has waited for included."""
        return self._known

    def look(self) -> dict[str, Any]:
        """Return what the tree uses now; `state` is empty when the command's own process has gone. What cannot be read does not raise."""
        before = time.thread_time()
        sample = self._look()
        spent = time.thread_time() - before
        # The first look fills caches: it says little about those to come.
        self._cost = spent if not self._cost else 0.7 * self._cost + 0.3 * spent
        self._look_at_pss(sample)
        return sample

    def _look(self) -> dict[str, Any]:
        processes = self._tree()
        main = processes.get(self.child)
        alive = [process for process in processes.values() if not process.dead]
        cpu, read, written, switches = {}, {}, {}, {}
        fds = 0
        for process in processes.values():
            key = (process.pid, process.start)
            cpu[key] = (process.own + process.reaped, process.reaped)
            counts = _io(process.pid)  # a dead one still says it, and nobody has inherited yet
            if counts is not None:
                read[key], written[key] = (counts[0], counts[0]), (counts[1], counts[1])
            switched = _switches(process.pid)
            if switched >= 0:
                switches[key] = (switched, 0)
            fds += _descriptors(process.pid)
        heirs = self._heirs(processes)
        self._known = processes
        return {
            "t": time.time_ns(),
            "cpu_s": round(self._cpu.total(cpu, heirs) / _TICKS, 3),
            "rss_kb": sum([process.pages for process in alive]) * _PAGE_KB,
            "procs": len(alive),
            "threads": sum([process.threads for process in alive]),
            "fds": fds,
            "read_b": self._read.total(read, heirs),
            "write_b": self._written.total(written, heirs),
            "switches": self._switches.total(switches, {}),
            "state": main.state if main is not None else "",
        }

    def _tree(self) -> dict[int, proctree.Process]:
        now = time.monotonic()
        deep = now >= self._deep_at
        if deep:
            self._deep_at = now + DEEP_INTERVAL
        orphans: list[int] = []
        if self._reaper:
            reaper = proctree.read("/proc/%d/task/%d/children" % (self._reaper, self._reaper), 65536)
            orphans = [pid for pid in map(int, reaper.split()) if pid not in self._strangers]
            self._background.intersection_update(orphans)  # a number that is gone may be anybody's next time
            self._judged = {pid: self._judged.get(pid, 0) for pid in orphans}
            if self._home:
                orphans = [pid for pid in orphans if not self._is_background(pid)]
        roots = [self.child, *self._known, *orphans]
        found = proctree.tree(roots, every_thread=deep)
        for pid, process in list(found.items()):
            known = self._known.get(pid)
            if pid == self.child:
                wrong = process.start != self._start
            else:  # a number that was one of ours may be anybody's now
                ours = process.ppid in found or process.ppid == self._reaper
                wrong = not ours and (known is None or known.start != process.start)
            if wrong:
                del found[pid]
        return found

    def _is_background(self, pid: int) -> bool:
        """Tell whether an orphan is one of flightlog's own; then it and all below it are forgotten."""
        if pid in self._background:
            return True
        if pid == self.child or self._judged[pid] >= JUDGED_LOOKS:
            return False
        self._judged[pid] += 1
        process = proctree.look(pid)
        if process is None or not background.is_one(process, self._home):
            return False
        self._background.add(pid)
        gone = {pid}
        for known in list(self._known.values()):  # parents stand before their children
            if known.pid in gone or known.ppid in gone:
                gone.add(known.pid)
                del self._known[known.pid]
        return True

    def _heirs(self, now: dict[int, proctree.Process]) -> dict[Any, Any]:
        """Return who was to inherit from each of those that are gone: the nearest one above that still lives."""
        heirs = {}
        for process in self._known.values():
            key = (process.pid, process.start)
            above = now.get(process.pid)
            if above is not None and above.start == process.start:
                continue
            seen = 0
            parent = self._known.get(process.ppid)
            while parent is not None and seen < proctree.MOST:
                living = now.get(parent.pid)
                if living is not None and living.start == parent.start:
                    heirs[key] = (parent.pid, parent.start)
                    break
                parent = self._known.get(parent.ppid)
                seen += 1
        return heirs

    def _look_at_pss(self, sample: dict[str, Any]) -> None:
        """Add `pss_kb` when it is time and cheap: the kernel walks all page tables for it, and output waits meanwhile."""
        now = time.monotonic()
        if now < self._pss_at:
            return
        self._pss_at = now + PSS_INTERVAL
        if sample.get("rss_kb", 0) > PSS_MOST_KB or sample.get("procs", 0) > PSS_MOST_PROCESSES:
            return
        before = time.thread_time()
        total = sum([_pss(process.pid) for process in self._known.values() if not process.dead])
        self._pss_at = now + max(PSS_INTERVAL, (time.thread_time() - before) / PSS_SHARE)
        if total:
            sample["pss_kb"] = total


def _io(pid: int) -> tuple[int, int] | None:
    """Return the bytes that a process, and those that it has waited for, had read from and written to disks."""
    read = written = -1
    for line in proctree.read("/proc/%d/io" % pid).split(b"\n"):
        if line.startswith(b"read_bytes"):
            read = int(line[12:])
        elif line.startswith(b"write_bytes"):
            written = int(line[13:])
    return (read, written) if read >= 0 and written >= 0 else None


def _switches(pid: int) -> int:
    """Return how often the main thread of a process has given up a CPU; -1 when that cannot be known."""
    data = proctree.read("/proc/%d/status" % pid)
    at = data.find(b"voluntary_ctxt_switches:")
    if at < 0:
        return -1
    rest = data[at:].split()
    return int(rest[1]) + int(rest[3])


def _descriptors(pid: int) -> int:
    path = "/proc/%d/fd" % pid
    try:
        return os.stat(path).st_size or len(os.listdir(path))  # since Linux 6.2 the size is the count
    except OSError:
        return 0


def _pss(pid: int) -> int:
    for line in proctree.read("/proc/%d/smaps_rollup" % pid).split(b"\n"):
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    return 0
