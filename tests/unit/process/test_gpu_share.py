"""A run's share of what stands on the GPU page: its own processes, as long as the page is fresh."""

import json
import os
import stat
import types

import pytest

from flightlog import identity
from flightlog.config import gpu_page
from flightlog.process.gpu import Gpu

PROCESSES = {
    7: types.SimpleNamespace(pid=7, start=100, dead=False),
    8: types.SimpleNamespace(pid=8, start=110, dead=False),
    9: types.SimpleNamespace(pid=9, start=120, dead=True),
}
BOOT = identity.boot_id()
OURS = [[7, 100, 1000, 40, [0, 1]], [8, 110, 24, 50, [1]]]
SUM = {"gpu_mem_kb": 1024, "gpu_util_pct": 90, "gpu_count": 2}


def page(processes, **other):
    return json.dumps({"v": 1, "boot": BOOT, "until": 2**62, "processes": processes, **other})


@pytest.fixture
def path(tmp_path):
    return gpu_page.path_for(str(tmp_path / "0000-1.page"))


@pytest.fixture
def gpu(tmp_path):
    return Gpu(str(tmp_path / "0000-1.page"))


def test_own_processes_are_added_up(path, gpu):
    assert gpu.look(PROCESSES) == {}
    others = [[8, 111, 999, 9, [2]], [5, 100, 999, 9, [2]], [9, 120, 999, 9, [2]]]  # another start, stranger, zombie
    gpu_page.write(path, OURS + others, 60, 0o644)
    assert gpu.look(PROCESSES) == gpu.look(PROCESSES) == SUM
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    gpu_page.write(path, [[7, 100, None, None, [3]]], 60, 0o600)
    assert gpu.look(PROCESSES) == {"gpu_count": 1}  # what is not known is no zero
    gpu_page.remove(path)
    assert gpu.look(PROCESSES) == {}


def test_the_page_as_the_tests_write_it_is_one(path, gpu):
    with open(path, "w") as file:
        file.write(page([[7, 100, 1, 1, [0]]]))
    assert gpu.look(PROCESSES) == {"gpu_mem_kb": 1, "gpu_util_pct": 1, "gpu_count": 1}


def test_what_is_old_is_nobodys(path, gpu):
    gpu_page.write(path, OURS, -1, 0o600)
    assert gpu.look(PROCESSES) == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        page([[7, 100, 1, 1, [0]]], v=2),
        page([[7, 100, 1, 1, [0]]], boot="another"),
        page([[7, 100, 1, 1, [0]]], until="x"),
        page({"7": 100}),
        page([7, [], [[7], 100, 1, 1, [0]], [7, 100, 1, 1, 0], [7, 100]]),
        page([[7, 100, "1", True, [None, [0]]], [7, 100, -1, -1, []]]),
        "[" * 100_000,
        " " * (gpu_page.MAX_BYTES + 1),
    ],
)
def test_a_page_that_makes_no_sense_has_no_figures(path, gpu, content):
    with open(path, "w") as file:
        file.write(content)
    assert gpu.look(PROCESSES) == {}


def test_a_list_that_is_too_long_is_no_page(path, gpu):
    gpu_page.write(path, OURS, 60, 0o600)
    gpu_page.write(path, OURS * 20_000, 60, 0o600)
    assert not os.path.exists(path) and gpu.look(PROCESSES) == {}
