"""When something will be done: rate, and the time that is left as a median and as a bound that holds nine times in ten.

The plain guess is that what is left goes as fast as what was done. How wrong that guess was at the same share of the work in earlier runs is known from
their progress; its median and its 90th percentile correct today's. How often the bound would have held is told with it: each earlier run is
judged by the others. Without progress to go by (no total, or nothing done yet) it is their whole durations. Pure. Owns: this arithmetic. Times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SLOTS = 20  # shares of the work at which earlier runs are known
LEAST_MEDIAN, LEAST_BOUND = 3, 5  # earlier runs that it takes for a median, and for a bound
ROUNDING = 1.001  # a bound that was missed by less has held: runs that go alike differ in their last digits
EARLY = 0.01  # of the work: before that, earlier durations say more than today's rate


@dataclass(frozen=True)
class Past:
    """How a stage went once.

    Attributes:
        duration: seconds.
        done: items, 0 when it counted none.
        reached: (slot, seconds after which that twentieth of the work was done first), by slot.
    """

    duration: float
    done: float = 0.0
    reached: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True)
class Estimate:
    """What is left, in seconds.

    Attributes:
        p50: the median; None when nothing can be said.
        p90: holds nine times in ten; None when too few earlier runs are known.
        held, judged: how often that bound would have held in earlier runs, of how many times.
    """

    p50: float | None = None
    p90: float | None = None
    held: int = 0
    judged: int = 0


def rate(done: float, seconds: float, recent: tuple[float, float] | None = None) -> float | None:
    """Return items per second: of the last minute where that is known, (items, seconds), else of all the time; None before anything is done."""
    if recent is not None and recent[0] > 0 and recent[1] > 0:
        return recent[0] / recent[1]
    return done / seconds if done > 0 and seconds > 0 else None


def left(done: float, total: float | None, elapsed: float, history: Sequence[Past] = ()) -> Estimate:
    """Return how long the rest will take.

    Args:
        done, total: items; total None when it is not known.
        elapsed: seconds since the beginning, until now: of a stage that stands still, what is left grows.
        history: the same stage in earlier runs.
    """
    if total and done >= total:
        return Estimate(0.0, 0.0 if len(history) >= LEAST_BOUND else None)
    share = done / total if total else 0.0
    if share < EARLY:
        return _by_durations(total, elapsed, history)
    plain = elapsed * (1 - share) / share
    factors = [factor for past in history for factor in _wrong(past, int(share * SLOTS))]
    if len(factors) < LEAST_MEDIAN:
        return Estimate(plain)
    held, judged = _judge(history)
    bound = plain * quantile(factors, 0.9) if len(factors) >= LEAST_BOUND else None
    return Estimate(plain * quantile(factors, 0.5), bound, held, judged)


def _by_durations(total: float | None, elapsed: float, history: Sequence[Past]) -> Estimate:
    """As long as earlier runs took, for as many items; what took longer than all of them did is not known."""
    durations = [past.duration * (total / past.done if total and past.done else 1.0) for past in history]
    longer = [duration - elapsed for duration in durations if duration > elapsed]
    if len(longer) < LEAST_MEDIAN:
        return Estimate()
    bound = quantile(longer, 0.9) if len(longer) >= LEAST_BOUND else None
    return Estimate(quantile(longer, 0.5), bound)


def _wrong(past: Past, slot: int) -> list[float]:
    """Return by what factor the plain guess was wrong when *past* was in that slot, or in the nearest one before; none when it never said."""
    known = [(at, seconds) for at, seconds in past.reached if at <= slot]
    if not known:
        return []
    at, seconds = known[-1]
    share = max(at, 0.5) / SLOTS
    guess = seconds * (1 - share) / share
    return [(past.duration - seconds) / guess] if guess > 0 and past.duration >= seconds else []


def _judge(history: Sequence[Past]) -> tuple[int, int]:
    """Return how often the bound would have held, of how many times: at each quarter of each run, by what the others say."""
    held = judged = 0
    for index, past in enumerate(history):
        others = [*history[:index], *history[index + 1 :]]
        for slot in (SLOTS // 4, SLOTS // 2, 3 * SLOTS // 4):
            own = _wrong(past, slot)
            known = [factor for other in others for factor in _wrong(other, slot)]
            if own and len(known) >= LEAST_BOUND:
                judged += 1
                held += own[0] <= quantile(known, 0.9) * ROUNDING
    return held, judged


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which *share* of *values* lie, between two of them by their distance; of at least one value."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
