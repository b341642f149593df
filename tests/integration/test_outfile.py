"""Rotation of output under a program that writes all the time: the pieces together are its exact bytes."""

import os
import subprocess
import sys

import pytest

from flightlog.process import linux, outfile
from waiting import wait_until

PROGRAM = """
import os
for number in range(60000):
    os.write(1, b"line %06d of the output that must not be lost\\n" % number)
"""


def contents(path):
    with open(path, "rb") as file:
        file.seek(outfile.data_start(file.fileno()))
        return file.read()


def together(path, backups):
    names = [f"{path}.{number}" for number in range(backups, 0, -1)]
    return b"".join(contents(name) for name in [*names, path] if os.path.exists(name))


@pytest.fixture(params=["collapse", "punch"])
def way(request, monkeypatch):
    if request.param == "punch":
        real = linux.fallocate
        monkeypatch.setattr(linux, "fallocate", lambda fd, mode, *rest: mode != 8 and real(fd, mode, *rest))
    return request.param


def test_nothing_is_lost_while_it_writes(tmp_path, way):
    path = str(tmp_path / "stdout.log")
    out = outfile.open_output(path)
    writer = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=out)
    os.close(out)
    rotations = 0
    while writer.poll() is None:
        rotations += outfile.rotate(path, 64 << 10, 1000)
    assert writer.returncode == 0 and rotations > 1
    expected = b"".join(b"line %06d of the output that must not be lost\n" % number for number in range(60000))
    assert together(path, 1000) == expected


def test_only_so_many_backups_are_kept(tmp_path, way):
    path = str(tmp_path / "stdout.log")
    for number in range(6):
        out = outfile.open_output(path)
        os.write(out, b"%d" % number * (1 << 20))
        os.close(out)
        assert outfile.rotate(path, 64 << 10, 2)
    assert sorted(os.listdir(tmp_path)) == ["stdout.log", "stdout.log.1", "stdout.log.2"]
    assert b"5" in contents(path) and b"2" not in together(path, 2)
    assert os.stat(path).st_blocks * 512 < 128 << 10  # it gave its room back


def test_small_ones_and_missing_ones_are_left_alone(tmp_path):
    path = str(tmp_path / "stdout.log")
    assert not outfile.rotate(path, 10, 2)
    with open(path, "wb") as file:
        file.write(b"x" * 10)
    assert not outfile.rotate(path, 10, 2) and os.listdir(tmp_path) == ["stdout.log"]
    assert wait_until(lambda: contents(path) == b"x" * 10)
