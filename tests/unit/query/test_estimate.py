"""Rate and time left: pure, so as tables."""

import random

import pytest

from flightlog.query.estimate import SLOTS, Estimate, Past, left, quantile, rate


def steady(duration, items=100):
    return Past(duration, items, [(slot, duration * slot / SLOTS) for slot in range(1, SLOTS)])


def slowing(duration, items=100, power=2.0):
    """Goes with the square: half of the work takes a quarter of the time."""
    return Past(duration, items, [(slot, duration * (slot / SLOTS) ** power) for slot in range(1, SLOTS)])


@pytest.mark.parametrize(
    ("done", "seconds", "recent", "wanted"),
    [(0, 10, None, None), (30, 10, None, 3), (30, 10, (10, 5), 2), (30, 10, (0, 5), 3), (5, 0, None, None)],
)
def test_rate(done, seconds, recent, wanted):
    assert rate(done, seconds, recent) == wanted


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "history", "p50", "p90"),
    [
        (25, 100, 10, [], 30, None),  # as fast as so far
        (25, 100, 20, [], 60, None),  # standing still
        (25, 100, 10, [steady(50)] * 2, 30, None),  # too few
        (25, 100, 10, [steady(50)] * 3, 30, None),
        (25, 100, 10, [steady(50)] * 5, 30, 30),
        (50, 100, 10, [slowing(40)] * 5, 30, 30),  # the second half takes three times as long
        (100, 100, 10, [steady(50)] * 5, 0, 0),
        (100, 100, 10, [], 0, None),
        (0, None, 10, [Past(60)] * 5, 50, 50),  # no total: as long as before
        (0, None, 70, [Past(60)] * 5, None, None),  # longer than ever
        (0, 200, 10, [Past(60, 100)] * 5, 110, 110),  # twice as much to do
        (0, None, 10, [Past(60)] * 2, None, None),
        (7, None, 10, [], None, None),
    ],
)
def test_left(done, total, elapsed, history, p50, p90):
    found = left(done, total, elapsed, history)
    assert found.p50 == (None if p50 is None else pytest.approx(p50))
    assert found.p90 == (None if p90 is None else pytest.approx(p90))


def test_the_bound_is_wider_where_runs_differ_and_it_is_told_how_often_it_held():
    chance = random.Random(5)
    history = [slowing(40, power=chance.uniform(0.8, 2.5)) for _ in range(20)]
    found = left(50, 100, 10, history)
    assert found.p50 < found.p90
    assert found.judged == 3 * len(history)
    assert 0.7 * found.judged < found.held < found.judged
    assert left(50, 100, 10, [steady(40)] * 10).held == 30


def test_a_stage_that_never_said_how_far_it_was_is_no_history():
    assert left(50, 100, 10, [Past(40, 100)] * 9) == Estimate(10.0)


@pytest.mark.parametrize(
    ("values", "share", "wanted"), [([5], 0.9, 5), ([1, 2, 3], 0.5, 2), ([0, 10], 0.9, 9), ([3, 1, 2], 1, 3)]
)
def test_quantile(values, share, wanted):
    assert quantile(values, share) == pytest.approx(wanted)
