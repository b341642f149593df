"""What recording costs this process: of one record a second it is measured how long its call took, from its admission until it was written.

A record that is to be measured finds the writer wrapped, for this once; all others pay nothing. It is the one after the look that comes once a second,
so that caches are as usual; where records come more rarely than that, it is one with a look before it. Invariants: 200 numbers of memory; never raises, never blocks, keeps no record back; what another thread writes meanwhile is written and not
counted. Owns: measuring and the figures. Leaves when to the recorder, where they are told to `run`, `ending` and the recorder.
"""

from __future__ import annotations

from _thread import get_ident
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..journal.writer import Writer
    from .recorder import Recorder

_STEPS = 4  # buckets to each doubling: a quantile is right within a fifth
_BUCKETS = 40 * _STEPS


class Cost:
    """Durations of calls, in nanoseconds, and sizes of what they wrote."""

    __slots__ = ("_bytes", "_counts", "_most", "_total", "samples")

    def __init__(self) -> None:
        self.samples = self._total = self._most = self._bytes = 0
        self._counts = [0] * _BUCKETS

    def add(self, ns: int, length: int) -> None:
        """Count a call that took *ns* and wrote *length* bytes."""
        self.samples += 1
        self._bytes += length
        self._total += ns
        self._most = max(self._most, ns)
        doublings = max(3, ns.bit_length())
        bucket = (doublings - 1) * _STEPS + (ns >> (doublings - 3) & 3)
        self._counts[min(bucket, _BUCKETS - 1)] += 1

    def figures(self, calls: int) -> dict[str, int]:
        """Return {"calls", "samples", "mean_bytes", "mean_ns", "p50_ns", "p90_ns", "max_ns"}; empty when nothing was measured."""
        if not self.samples:
            return {}
        return {
            "calls": calls,
            "samples": self.samples,
            "mean_bytes": self._bytes // self.samples,
            "mean_ns": self._total // self.samples,
            "p50_ns": self._quantile(0.5),
            "p90_ns": self._quantile(0.9),
            "max_ns": self._most,
        }

    def _quantile(self, share: float) -> int:
        """Return the middle of the bucket in which *share* of all calls is reached, the longest call at most."""
        left, bucket = share * self.samples, 0
        while bucket < _BUCKETS - 1 and self._counts[bucket] < left:
            left -= self._counts[bucket]
            bucket += 1
        doublings, step = divmod(bucket, _STEPS)
        return min(self._most, ((2 * (_STEPS + step) + 1) << doublings) >> 3)


class Timed:
    """A writer of which the next record is measured. It puts itself aside with that record."""

    __slots__ = ("_begun", "_recorder", "_thread", "_writer")

    def __init__(self, writer: Writer, recorder: Recorder) -> None:
        self._writer, self._recorder, self._thread = writer, recorder, get_ident()
        self._begun = perf_counter_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    @property
    def plain(self) -> Writer:
        """The writer itself."""
        return self._writer

    def append(self, payload: bytes, level: int = 20, final: bool = False) -> int:
        """Do as the writer does, and count how long the call took that was measured."""
        n = self._writer.append(payload, level, final)
        if get_ident() == self._thread:
            if self._recorder.writer is self:
                self._recorder.writer = self._writer
            if n:
                self._recorder.cost.add(perf_counter_ns() - self._begun, len(payload))
        return n
