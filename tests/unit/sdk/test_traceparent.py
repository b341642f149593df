"""The W3C header, in and out."""

import pytest

from flightlog import identity
from flightlog.sdk import traceparent
from flightlog.sdk.context import Scope

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, "01")),
        (f" 00-{TRACE}-{SPAN}-00\n", (TRACE, SPAN, "00")),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", (TRACE, SPAN, "01")),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[:-1]}-{SPAN}-01", None),
        ("", None),
        (None, None),
        (b"00", None),
    ],
)
def test_what_can_be_followed(header, wanted):
    assert traceparent.parse(header) == wanted


def test_a_run_has_a_trace_of_its_own_and_each_stage_a_span():
    headers = [traceparent.of(Scope(RUN, stage)) for stage in ("", "a", "b", "a/b")]
    found = [traceparent.parse(header) for header in headers]
    assert all(found) and len({one[0] for one in found}) == 1 and len({one[1] for one in found}) == 4
    assert traceparent.of(Scope(RUN, "a")) == headers[1]
    assert traceparent.parse(traceparent.of(Scope(identity.new_ulid())))[0] != found[0][0]
    assert traceparent.of(None) == ""


def test_a_run_inside_of_a_trace_belongs_to_it(monkeypatch):
    run = identity.new_ulid()
    traceparent.remember(run, f"00-{TRACE}-{SPAN}-00")
    assert traceparent.foreign(run) == TRACE
    assert traceparent.parse(traceparent.of(Scope(run, "a")))[::2] == (TRACE, "00")
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
    assert traceparent.given() == f"00-{TRACE}-{SPAN}-01"
    assert traceparent.given("nonsense") == f"00-{TRACE}-{SPAN}-01"
    monkeypatch.setenv("TRACEPARENT", "nonsense")
    assert traceparent.given() == ""


def test_what_is_remembered_is_bounded():
    for _ in range(2 * traceparent.MAX_RUNS):
        traceparent.remember(identity.new_ulid(), f"00-{TRACE}-{SPAN}-01")
    assert len(traceparent._known) <= traceparent.MAX_RUNS
