"""The arithmetic of room: limits, pressure with its hysteresis, parts of users, bounded looks."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.config import quota
from flightlog.config.quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, FULL, Amount

GB = 10**9


def test_of_a_quota_the_smaller_counts_and_of_what_stays_free_the_larger():
    assert quota.quota_bytes(DEFAULT_QUOTA, 5 * GB) == GB // 2
    assert quota.quota_bytes(DEFAULT_QUOTA, 500 * GB) == 2 * GB
    assert quota.quota_bytes(DEFAULT_QUOTA, 0) == 2 * GB
    assert quota.quota_bytes(Amount(0, 0.5), 5 * GB) == 5 * GB // 2
    assert quota.keep_bytes(DEFAULT_KEEP_FREE, 10 * GB) == GB
    assert quota.keep_bytes(DEFAULT_KEEP_FREE, 500 * GB) == 25 * GB


def test_the_default_leaves_room_on_a_small_file_system_and_a_wish_is_a_wish():
    assert quota.keep_bytes(DEFAULT_KEEP_FREE, GB) == GB // 4
    assert quota.keep_bytes(Amount(GB, 0.0), GB) == GB


@pytest.mark.parametrize(
    "used, free, share",
    [
        (500, 10_000, 0.5),
        (1000, 10_000, 1.0),
        (1500, 10_000, 1.5),
        (500, 700, 500 / 600),  # the disk ends before the quota does
        (0, 600, 1.0),  # only what is to be kept free is left
        (0, 601, 0.0),
    ],
)
def test_room_ends_at_the_quota_or_where_the_disk_does(used, free, share):
    assert quota.share_used(used, 1000, free, 600) == pytest.approx(share)


def test_a_level_begins_at_once_and_ends_late():
    seen, level = [], 0
    rising = [0.5, 0.69, 0.70, 0.84, 0.85, 0.94, 0.95, 0.99, 1.0, 1.2]
    falling = [0.95, 0.90, 0.89, 0.86, 0.85, 0.84, 0.80, 0.76, 0.74, 0.70, 0.65, 0.61, 0.60, 0.59]
    for share in rising + falling:
        level = quota.pressure(share, level)
        seen.append(level)
    assert seen[: len(rising)] == [0, 0, 1, 1, 2, 2, 3, 3, FULL, FULL]
    assert seen[len(rising) :] == [FULL, FULL, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0]


@given(st.lists(st.floats(0, 2), min_size=1, max_size=50))
def test_a_level_never_flickers(shares):
    """It comes down only where a fresh look would be a level lower even with RELEASE more in use."""
    level = 0
    for share in shares:
        before, level = level, quota.pressure(share, level)
        assert level >= quota.pressure(share, 0)
        if level < before:
            assert quota.pressure(share + quota.RELEASE - 1e-9, 0) <= level


def test_what_each_level_sheds():
    shed = [[lv for lv in (5, 10, 20, 25, 30, 40, 50) if lv < below] for below in quota.SHED_BELOW]
    assert shed == [[], [5, 10], [5, 10, 20], [5, 10, 20, 25], [5, 10, 20, 25, 30, 40, 50]]


@given(st.integers(1, 1 << 50), st.dictionaries(st.integers(0, 1 << 31), st.integers(0, 1 << 50), min_size=1))
def test_users_have_half_an_equal_part_each_and_together_no_more_than_there_is(most, used):
    parts = quota.shares(most, used)
    floor = most // (2 * len(used)) if len(used) > 1 else most
    assert parts.keys() == used.keys()
    assert all(floor <= part <= most for part in parts.values())
    within = {uid: min(count, parts[uid]) for uid, count in used.items()}
    if all(used[uid] <= parts[uid] for uid in used):
        assert sum(within.values()) <= most


def test_one_user_alone_has_everything_and_who_floods_leaves_the_others_their_half_part():
    assert quota.shares(1000, {0: 5000}) == {0: 1000}
    assert quota.shares(1000, {0: 750, 1000: 0}) == {0: 750, 1000: 250}
    assert quota.shares(1000, {0: 10, 1000: 20}) == {0: 750, 1000: 750}


def test_segments_are_a_sixteenth_of_the_quota_within_bounds():
    assert [quota.segment_bytes(n) for n in (0, 10**6, 64 << 20, 2 * GB)] == [65536, 65536, 4 << 20, 8 << 20]


def test_a_directory_is_counted_or_estimated(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}").write_bytes(bytes(1000))
    found = quota.directory_bytes(str(tmp_path))
    assert found == 300_000
    assert quota.directory_bytes(str(tmp_path / "missing")) == 0


def test_the_disk_of_a_directory_that_is_not_there_yet_is_that_of_its_parent(tmp_path):
    found = quota.disk(str(tmp_path / "a" / "b"))
    real = os.statvfs(tmp_path)
    assert found.total == real.f_blocks * real.f_frsize
