"""The ratio of paired measurements, with what is known about it: B over A, a confidence interval, and what follows of a limit.

Pairs are compared and not means, because a machine's speed changes with time and the two of a pair are close together. The ratios' logarithms are taken
for normally distributed: the interval is Student's for their mean, of 95 %. Owns: this arithmetic. Leaves measuring to `pairs`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LEAST_PAIRS = 3
BELOW, ABOVE, UNDECIDED = "below", "above", "undecided"
# Student's t for 95 % two-sided, by degrees of freedom 1 to 30; then the normal distribution's with its first correction.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_Z95 = 1.96


class Ratio(NamedTuple):
    """A ratio and its interval.

    Attributes:
        value: the geometric mean of the pairs' ratios.
        low, high: the bounds of the 95 % confidence interval; 0 and infinity with fewer than three pairs.
        pairs: how many there were.
    """

    value: float
    low: float
    high: float
    pairs: int

    def against(self, limit: float) -> str:
        """Return whether it lies `below` *limit*, `above` it, or that is `undecided`: the limit lies in the interval."""
        if self.high < limit:
            return BELOW
        return ABOVE if self.low > limit else UNDECIDED


def student(freedom: int) -> float:
    """Return Student's t for a two-sided interval of 95 % with *freedom* degrees, at least 1."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    return _Z95 + 2.4 / freedom


def of_pairs(pairs: Sequence[tuple[float, float]]) -> Ratio:
    """Return B over A of *pairs* (A, B), each above 0; at least one. Raises ValueError otherwise."""
    if not pairs or any(before <= 0 or after <= 0 for before, after in pairs):
        raise ValueError("a ratio needs pairs of positive numbers")
    logs = [math.log(after / before) for before, after in pairs]
    mean = sum(logs) / len(logs)
    if len(logs) < LEAST_PAIRS:
        return Ratio(math.exp(mean), 0.0, math.inf, len(logs))
    variance = sum((one - mean) ** 2 for one in logs) / (len(logs) - 1)
    half = student(len(logs) - 1) * math.sqrt(variance / len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))
