"""The control page: what an owner says reaches readers, and what they do without one."""

import os

import pytest

from flightlog.config import control, quota
from flightlog.config.control import DISABLED, PAGE_BYTES, STATE, ControlPage, ControlReader, Limits

LIMITS = Limits(10**6, 5 * 10**8, 123, 10**9, 1_700_000_000_000_000_000, 5000)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "control" / "x.page")


def stale(path):
    with open(path, "r+b") as file:
        file.seek(16)
        file.write(bytes(8))


@pytest.mark.parametrize("pressure", [0, 1, 2, 3, quota.FULL])
def test_state_and_limits_reach_a_reader(path, pressure):
    page = ControlPage(path)
    page.set_state(pressure, disabled=False)
    page.set_limits(LIMITS)
    reader = ControlReader(path, "")
    reader.look()
    assert (reader.pressure, reader.limits, reader.quota) == (pressure, LIMITS, 10**6)
    assert control.read(path) == (pressure, LIMITS)
    page.set_state(pressure, disabled=True)
    assert reader.page[STATE] & DISABLED


def test_who_looks_once_believes_only_a_living_owner(path):
    assert control.read(path) is None
    ControlPage(path).set_limits(LIMITS)
    assert control.read(path) is not None
    stale(path)
    assert control.read(path) is None


def test_a_page_of_version_1_says_no_limits(path):
    ControlPage(path).set_limits(LIMITS)
    with open(path, "r+b") as file:
        file.seek(4)
        file.write(b"\1")
    reader = ControlReader(path, "")
    reader.look()
    assert reader.limits == control.NO_LIMITS
    assert control.read(path) is None


def test_numbers_that_do_not_fit_are_cut(path):
    page = ControlPage(path)
    page.set_limits(Limits(-5, 1 << 70, 0, 0, 0, 0.5))
    assert control.read(path)[1][:2] == (0, (1 << 64) - 1)


def test_another_users_page_is_not_mapped_for_writing(path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(bytes(PAGE_BYTES))
    os.chown(path, 1000, 1000)
    with pytest.raises(PermissionError):
        ControlPage(path)


def fill_to(folder, count):
    for name in os.listdir(folder):
        os.unlink(folder / name)
    (folder / "x.seg").write_bytes(bytes(count))


def test_without_an_owner_a_reader_looks_at_the_disk_by_the_limits_it_was_told(path, tmp_path):
    """Real files on a real disk; the limits are those that the agent left behind when it died."""
    spool = tmp_path / "spool"
    spool.mkdir()
    page = ControlPage(path)
    page.set_state(1)
    page.set_limits(LIMITS._replace(keep=0))
    reader = ControlReader(path, "", str(spool))
    reader.look()
    fill_to(spool, 990_000)
    reader.measure()
    assert reader.pressure == 1  # somebody beats: what he says counts
    stale(path)
    reader.look()
    assert reader.pressure == 0  # nobody has looked yet
    seen = []
    for count in (600_000, 710_000, 860_000, 960_000, 1_000_000, 900_000, 800_000, 500_000):
        fill_to(spool, count)
        reader.measure()
        seen.append(reader.pressure)
    assert seen == [0, 1, 2, 3, quota.FULL, quota.FULL, 2, 0]
    page.beat()
    reader.look()
    assert reader.pressure == 1


def test_under_pressure_of_its_own_finding_a_reader_looks_again(path, tmp_path, monkeypatch):
    spool = tmp_path / "spool"
    spool.mkdir()
    page = ControlPage(path)
    page.set_limits(LIMITS._replace(keep=0))
    stale(path)
    reader = ControlReader(path, "", str(spool))
    reader.look()
    fill_to(spool, 960_000)
    reader.measure()
    fill_to(spool, 0)
    reader.look()
    assert reader.pressure == 3  # not more often than every few seconds
    monkeypatch.setattr(reader, "_measure_at", 0)
    reader.look()
    assert reader.pressure == 0


def test_the_switch_works_without_an_owner_and_under_pressure(path, tmp_path):
    spool, config = tmp_path / "spool", tmp_path / "config.yml"
    spool.mkdir()
    ControlPage(path).set_limits(LIMITS._replace(keep=0))
    stale(path)
    reader = ControlReader(path, str(config), str(spool))
    reader.look()
    fill_to(spool, 990_000)
    reader.measure()
    assert reader.pressure == 3
    config.write_text("monitoring:\n  enabled: false\n")
    reader.look()
    assert reader.page[STATE] & DISABLED
    config.write_text("monitoring:\n  enabled: true # again\n")
    reader.look()
    assert reader.page[STATE] & DISABLED == 0 and reader.pressure == 3
