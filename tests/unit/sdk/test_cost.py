"""What recording costs: the figures, and that measuring a record changes nothing about it."""

import random
import statistics

import pytest

from flightlog.sdk.cost import Cost
from flightlog.sdk.recorder import MEASURE, Recorder


def test_nothing_was_measured():
    assert Cost().figures(7) == {}


def test_figures_are_right_within_a_fifth():
    chosen, cost = random.Random(3), Cost()
    values = [int(chosen.lognormvariate(9, 1)) for _ in range(4000)]
    for value in values:
        cost.add(value, 100)
    found = cost.figures(5)
    assert (found["calls"], found["samples"], found["mean_bytes"], found["max_ns"]) == (5, 4000, 100, max(values))
    assert found["mean_ns"] == sum(values) // 4000
    cut = statistics.quantiles(values, n=10)
    assert found["p50_ns"] == pytest.approx(cut[4], rel=0.2) and found["p90_ns"] == pytest.approx(cut[8], rel=0.2)


@pytest.mark.parametrize("value", [0, 1, 5, 1 << 62])
def test_any_duration_has_a_bucket(value):
    cost = Cost()
    cost.add(value, 0)
    assert cost.figures(1)["p90_ns"] <= cost.figures(1)["max_ns"] == value


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    for name in ("FLIGHTLOG_RUN", "FLIGHTLOG_SCOPE", "FLIGHTLOG_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path))
    monkeypatch.setenv("FLIGHTLOG_SPOOL", str(tmp_path / "spool"))
    one = Recorder()
    yield one
    one.close()


def record(recorder, now):
    admitted = recorder.admit(now, 20) if now >= recorder.check_at else True
    return admitted and recorder.writer.append(b'{"k":"log"}')


def test_the_record_after_the_look_is_measured_and_no_other(recorder):
    now = 10**18
    first = record(recorder, now)
    assert recorder.check_at == MEASURE and recorder.cost.samples == 0
    assert [record(recorder, now + 1000 * n) for n in range(1, 50)] == list(range(first + 1, first + 50))
    assert recorder.cost.samples == 1 and recorder.check_at == now + 10**9
    assert recorder.costs()["calls"] == recorder.numbered() == first + 49


def test_where_records_are_rare_each_second_one_is_and_none_goes_unlooked(recorder):
    looks = []
    recorder.also = lambda: looks.append(1)
    for n in range(6):
        assert record(recorder, 10**18 + n * 10**10)
    assert len(looks) == 6 and recorder.cost.samples == 3


def test_a_record_that_was_to_be_measured_and_never_came_disturbs_nothing(recorder):
    record(recorder, 10**18)
    assert recorder.admit(10**18 + 5, 20)  # and then its maker fails
    recorder.check_at = 0
    assert record(recorder, 10**18 + 10) and record(recorder, 10**18 + 20)
    assert recorder.failed == recorder.errors == 0
