"""Whether a reading command goes on waiting for an agent that runs: as long as something waits that has not moved."""

import pytest

from flightlog.wiring import Reading, _stands

A, B = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("pending", "now", "stands"),
    [
        ({A: 9}, {A: (0, 50, False)}, True),
        ({A: 9}, {A: (0, 60, False)}, False),  # shipped; what has come since is for the next look
        ({A: 0}, {A: (0, 50, False)}, False),
        ({A: 9, B: 9}, {A: (0, 60, False)}, True),
        ({A: 9, B: 9}, {A: (0, 60, False), B: (0, 9, False)}, False),
        ({}, {}, False),
    ],
)
def test_it_is_known_by_the_positions(pending, now, stands):
    reading = Reading(None, "node", pending=pending, positions=now)
    assert _stands(reading, {A: (0, 50, False)}) is stands
