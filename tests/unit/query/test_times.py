"""Times as people type them."""

import datetime
import time

import pytest

from flightlog.cli.times import parse
from flightlog.errors import UsageError


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """A zone whose clock is changed: 2026-10-25 at 03:00 back, 2026-03-29 at 02:00 ahead."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def now(text="2026-11-24T16:40:00+01:00"):
    return datetime.datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", "2026-11-24T16:40:00+01:00"),
        ("10m", "2026-11-24T16:30:00+01:00"),
        (" 10 min ", "2026-11-24T16:30:00+01:00"),
        ("2h ago", "2026-11-24T14:40:00+01:00"),
        ("1h30m", "2026-11-24T15:10:00+01:00"),
        ("1.5h", "2026-11-24T15:10:00+01:00"),
        ("1 day 2 hours ago", "2026-11-23T14:40:00+01:00"),
        ("2w", "2026-11-10T16:40:00+01:00"),
        ("500ms", "2026-11-24T16:39:59.500+01:00"),
        ("today", "2026-11-24T00:00:00+01:00"),
        ("Yesterday", "2026-11-23T00:00:00+01:00"),
        ("yesterday 06:30", "2026-11-23T06:30:00+01:00"),
        ("06:00", "2026-11-24T06:00:00+01:00"),
        ("6:00:01", "2026-11-24T06:00:01+01:00"),
        ("2026-11-22", "2026-11-22T00:00:00+01:00"),
        ("2026-07-22", "2026-07-22T00:00:00+02:00"),
        ("2026-11-22 06:00", "2026-11-22T06:00:00+01:00"),
        ("2026-11-22T06:00:00Z", "2026-11-22T06:00:00+00:00"),
        ("2026-11-22T06:00:00.123456-05:00", "2026-11-22T06:00:00.123456-05:00"),
    ],
)
def test_what_people_type(text, wanted):
    found = parse(text, "--since", now())
    assert found.tzinfo is not None
    assert found == datetime.datetime.fromisoformat(wanted)


def test_days_begin_at_midnight_by_the_clock_on_the_wall():
    after = now("2026-10-25T12:00:00+01:00")
    assert parse("today", "-S", after) == datetime.datetime.fromisoformat("2026-10-25T00:00:00+02:00")
    assert parse("yesterday", "-S", now("2026-03-30T12:00:00+02:00")) == datetime.datetime.fromisoformat(
        "2026-03-29T00:00:00+01:00"
    )


@pytest.mark.parametrize(
    "text", ["", "x", "10", "10x", "25:00", "06:60", "2026-13-01", "m", "99999999999999w", "10m 5", "-5m"]
)
def test_what_is_no_time(text):
    with pytest.raises(UsageError, match="--since"):
        parse(text, "--since", now())
