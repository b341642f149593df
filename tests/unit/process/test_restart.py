"""The restart policy: bounded delays that grow and are reset, limits that hold, verdicts that are never tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightlog.process.restart import (
    END,
    NEVER,
    QUARANTINE,
    RESTART,
    End,
    History,
    Policy,
    affected,
    backoff,
    decide,
    reserve,
)
from flightlog.process.verdict import VERDICTS

chances = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    Policy,
    auto=st.booleans(),
    daemon=st.booleans(),
    base_s=st.floats(0.01, 10),
    cap_s=st.floats(10, 1000),
    healthy_s=st.floats(1, 100),
    max_restarts=st.none() | st.integers(0, 5),
    window_restarts=st.integers(0, 10),
    window_s=st.floats(1, 1000),
)
ends = st.lists(
    st.tuples(st.sampled_from(VERDICTS), st.booleans(), st.floats(0, 200), st.floats(0, 50), chances), max_size=40
)


@given(policies, ends)
def test_whatever_happens_delays_are_bounded_and_limits_hold(policy, story):
    history, now, restarts = History(), 0.0, []
    for verdict, failed, ran, pause, chance in story:
        now += ran + pause
        found = decide(policy, history, End(verdict, failed, ran, now), chance)
        history = found.history
        if found.action == RESTART:
            restarts.append(now)
            least = policy.cooldown_s if verdict in ("oom-cgroup", "oom-host", "memory-error") else 0
            assert 0 <= found.delay_s <= max(policy.cap_s, least) and found.delay_s >= least
            assert verdict not in NEVER and policy.auto and (policy.daemon or failed)
            assert len([one for one in restarts if now - one < policy.window_s]) <= policy.window_restarts
            if policy.max_restarts is not None:
                assert history.failures <= policy.max_restarts
        assert found.reason


@given(policies, st.integers(0, 60), chances)
def test_full_jitter_doubles_up_to_its_cap(policy, failures, chance):
    assert backoff(policy, failures, 0.0) == 0.0
    assert backoff(policy, failures, chance) <= backoff(policy, failures + 1, chance) <= policy.cap_s
    assert backoff(policy, 0, chance) == chance * min(policy.cap_s, policy.base_s)


def test_who_was_healthy_begins_anew():
    policy = Policy(max_restarts=2, base_s=1, healthy_s=10)
    one = decide(policy, History(2), End("exit-status", True, 9.9, 100), 0.5)
    assert one.action == QUARANTINE
    other = decide(policy, History(2), End("exit-status", True, 10.0, 100), 0.5)
    assert (other.action, other.delay_s, other.history.failures) == (RESTART, 0.5, 1)


def test_the_window_is_a_limit_although_each_attempt_was_healthy():
    policy = Policy(daemon=True, window_restarts=3, window_s=100, healthy_s=1)
    history = History()
    actions = []
    for now in (10, 20, 30, 40):
        found = decide(policy, history, End("ok", False, 5, now), 0.1)
        history = found.history
        actions.append(found.action)
    assert actions == [RESTART] * 3 + [QUARANTINE]
    assert decide(policy, history, End("ok", False, 5, 111), 0.1).action == RESTART  # the first one has left the window


@pytest.mark.parametrize("verdict", sorted(NEVER))
def test_what_cannot_get_better_is_never_tried_again(verdict):
    assert decide(Policy(daemon=True), History(), End(verdict, True, 999, 0), 0.5).action == END


def test_jobs_restart_on_failure_only_daemons_on_any_end():
    done = End("ok", False, 1, 0)
    assert decide(Policy(daemon=False), History(), done, 0.5).action == END
    assert decide(Policy(daemon=True), History(), done, 0.5).action == RESTART
    assert decide(Policy(daemon=True, auto=False), History(), done, 0.5).action == END
    assert decide(Policy(daemon=False), History(), End("stopped-outside", True, 1, 0), 0.5).action == RESTART


def test_groups():
    members = ["db", "api", "web"]
    assert affected("one", members, "api") == ["api"]
    assert affected("all", members, "api") == members
    assert affected("rest", members, "api") == ["api", "web"]
    assert affected("all", members, "other") == []


@given(st.integers(1, 50), st.floats(1, 20), st.floats(0.1, 10))
def test_a_crowd_starts_at_the_rate(crowd, burst, rate):
    tokens, waits = burst, []
    for _ in range(crowd):
        tokens, wait = reserve(tokens, 0.0, burst, rate)
        waits.append(wait)
    assert waits == sorted(waits)
    assert sum(wait == 0.0 for wait in waits) == min(crowd, int(burst))
    for begin in waits:  # in no second more than burst and rate
        assert sum(begin <= wait < begin + 1 for wait in waits) <= burst + rate + 1


@given(st.floats(-50, 20), st.floats(0, 1e6))
def test_a_bucket_never_holds_more_than_its_burst(tokens, elapsed):
    level, wait = reserve(tokens, elapsed, 20, 2)
    assert level <= 19 and wait >= 0
