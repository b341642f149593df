"""Counting: exact whoever counts, told by the clock and never by how often somebody counts."""

import threading

import pytest

from flightlog.sdk import progress
from flightlog.sdk.progress import EVERY_NS, MOST_STEP, Count


class Clock:
    """Goes on by *step* each time somebody looks."""

    def __init__(self, step):
        self.now, self.step, self.looks = 10**9, step, 0

    def __call__(self):
        self.looks += 1
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    def make(step):
        made = Clock(step)
        monkeypatch.setattr(progress, "_clock", made)
        return made

    return make


def test_threads_count_without_losing_any():
    count = Count()
    gate = threading.Barrier(4)

    def work():
        gate.wait()
        for _ in count.track(range(5000), lambda now: None):
            count.add(2)
        for _ in range(5000):
            count.add()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.value() == 4 * (5000 + 10000 + 5000)


def test_an_item_counts_when_the_next_is_asked_for():
    count = Count()
    loop = count.track("abc", lambda now: None)
    assert (next(loop), count.value()) == ("a", 0)
    assert (next(loop), count.value()) == ("b", 1)
    loop.close()  # `break`: b was not finished
    assert count.value() == 1
    count.put(10)
    count.add(0.5)
    assert count.value() == 10.5


@pytest.mark.parametrize(
    ("step", "items", "told"),
    [
        (1000, 100_000, 0),  # a microsecond each look: too fast to be told of
        (EVERY_NS, 10, 10),  # half a second each: each is told
        (EVERY_NS // 2, 10, 5),
    ],
)
def test_it_is_told_twice_a_second_at_most(clock, step, items, told):
    clock(step)
    count, found = Count(), []

    def due(now):
        count.told_at = now
        found.append(count.value())

    count.told_at = progress._clock()
    assert list(count.track(range(items), due)) == list(range(items))
    assert len(found) == told
    assert count.value() == items


def test_the_clock_is_read_for_each_slow_item_and_for_few_of_the_fast_ones(clock):
    slow = clock(progress.SLOW_NS + 1)
    list(Count().track(range(100), lambda now: None))
    assert slow.looks == 100
    fast = clock(1)
    list(Count().track(range(32_000), lambda now: None))
    assert fast.looks <= 32_000 / MOST_STEP + 10
    fast.looks, count = 0, Count()
    assert [count.due() for _ in range(3200)].count(0) < 3200  # nothing was ever told: it is due at the first look
    assert fast.looks <= 3200 / MOST_STEP + 10


def test_what_iterates_fails_as_it_does_by_itself():
    def items():
        yield 1
        raise KeyError("own")

    count = Count()
    with pytest.raises(KeyError):
        list(count.track(items(), lambda now: None))
    assert count.value() == 1
