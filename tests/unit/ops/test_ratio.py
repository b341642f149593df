"""The arithmetic of paired measurements, against figures worked out by hand and against its own promise."""

import math
import random

import pytest

from flightlog.ops.ratio import ABOVE, BELOW, UNDECIDED, Ratio, of_pairs, student


def test_equal_pairs_leave_no_doubt():
    assert of_pairs([(1.0, 1.5)] * 4) == (pytest.approx(1.5), pytest.approx(1.5), pytest.approx(1.5), 4)


def test_a_case_worked_out_by_hand():
    """Logarithms 0.00, 0.02, 0.04: mean 0.02, standard deviation 0.02, t with two degrees 4.303."""
    found = of_pairs([(1.0, math.exp(x)) for x in (0.0, 0.02, 0.04)])
    half = 4.303 * 0.02 / math.sqrt(3)
    assert found[:3] == pytest.approx((math.exp(0.02), math.exp(0.02 - half), math.exp(0.02 + half)))


def test_two_pairs_say_nothing_certain():
    assert of_pairs([(1.0, 1.0), (1.0, 1.0)])[1:3] == (0.0, math.inf)


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(1.0, -1.0)]])
def test_what_has_no_ratio(pairs):
    with pytest.raises(ValueError, match="positive"):
        of_pairs(pairs)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(1.001, 1.019, BELOW), (1.021, 1.03, ABOVE), (1.01, 1.03, UNDECIDED), (0.5, 1.02, UNDECIDED)],
)
def test_against_a_limit(low, high, word):
    assert Ratio(1.0, low, high, 5).against(1.02) == word


def test_the_quantile_falls_to_the_normal_one():
    values = [student(freedom) for freedom in range(1, 200)]
    assert values == sorted(values, reverse=True)
    assert student(60) == pytest.approx(2.0003, abs=2e-3) and student(10**6) == pytest.approx(1.96, abs=1e-3)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    chosen, hits = random.Random(7), 0
    for _ in range(2000):
        pairs = [(1.0, 1.03 * math.exp(chosen.gauss(0, 0.05))) for _ in range(6)]
        found = of_pairs(pairs)
        hits += found.low <= 1.03 <= found.high
    assert 0.93 < hits / 2000 < 0.97
