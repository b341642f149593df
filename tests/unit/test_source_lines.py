"""The lines of source that an exception's frames carry, in a Python that has loaded nothing to find them."""

import os
import subprocess
import sys

import pytest

from flightlog import sources

PROGRAM = """
import sys
from flightlog import records

def fall():
    raise %s("over")

try:
    fall()
except BaseException as problem:
    found = records.exception(problem)["frames"]
print([frame["code"] for frame in found], "linecache" in sys.modules, "tokenize" in sys.modules)
"""


@pytest.mark.parametrize("kind", ["ValueError", "KeyboardInterrupt"])
def test_nothing_is_loaded_to_find_them(tmp_path, kind):
    """A pipeline may have a step of that name beside its script: it is not for us to run it."""
    script = tmp_path / "fall.py"
    script.write_text(PROGRAM % kind)
    for step in ("tokenize", "token", "linecache"):
        (tmp_path / f"{step}.py").write_text("print('a step of the pipeline')\n")
    root = os.path.dirname(os.path.dirname(sources.__file__))
    out = subprocess.run([sys.executable, "-S", script], env={"PYTHONPATH": root}, capture_output=True, text=True)
    assert out.stdout.strip() == f"['fall()', 'raise {kind}(\"over\")'] False False", out.stderr


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "linecache")
    monkeypatch.setattr(sources, "_known", {})


def test_a_file_that_changes_is_read_again(tmp_path, alone):
    path = tmp_path / "a.py"
    path.write_text("one\ntwo\n")
    assert [sources.line(str(path), number) for number in (0, 1, 2, 3)] == ["", "one", "two", ""]
    path.write_text("three\r\nfour")
    assert [sources.line(str(path), number) for number in (1, 2)] == ["three", "four"]


def test_encodings(tmp_path, alone):
    path = tmp_path / "a.py"
    path.write_bytes("#!/bin/sh\n# -*- coding: latin-1 -*-\nx = 'ä'\n".encode("latin-1"))
    assert sources.line(str(path), 3) == "x = 'ä'"
    path.write_bytes("# vim: set fileencoding=nonsense :\nx = 'äö'\n".encode())
    assert sources.line(str(path), 2) == "x = 'äö'"
    path.write_bytes(b"x = '\xff'\n")
    assert sources.line(str(path), 1) == "x = '\ufffd'"


def test_few_files_are_remembered_and_only_files_are_read(tmp_path, alone):
    for number in range(40):
        (tmp_path / str(number)).write_text("x\n")
        assert sources.line(str(tmp_path / str(number)), 1) == "x"
    assert len(sources._known) <= sources.MAX_FILES
    os.mkfifo(tmp_path / "pipe")
    assert sources.line(str(tmp_path / "pipe"), 1) == ""
