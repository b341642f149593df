"""The usual command lines of `flightlog run` are read without click, and as it would read them."""

import os
import subprocess
import sys

import pytest

from flightlog.cli import quick
from flightlog.cli.run import run
from flightlog.process import bare


def without_site():
    """Return an environment in which our package is found, and no other."""
    import flightlog

    return {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(flightlog.__file__))}


USUAL = [
    ["--", "python", "x.py"],
    ["python", "x.py", "-n", "mine", "--", "theirs"],
    ["-n", "orders", "--", "a"],
    ["--pipeline", "orders", "a", "--merge"],
    ["--pipeline=orders=x", "--pty", "--merge", "--", "--", "a"],
    ["-n", "a", "-n", "b", "--record", "/x/y", "a=b", "-c"],
    ["--", ""],
]
LEFT = [
    [],
    ["--"],
    ["--help"],
    ["-h", "--", "a"],
    ["-norders", "--", "a"],
    ["-n", "--", "a"],
    ["-n", "-x", "--", "a"],
    ["-n", "", "--", "a"],
    ["-n=orders", "--", "a"],
    ["--merge=1", "a"],
    ["--pipe", "orders", "--", "a"],
    ["-d", "--", "a"],
    ["--resume", "orders", "--", "a"],
    ["-", "a"],
    ["-n"],
]


@pytest.mark.parametrize("words", USUAL, ids=" ".join)
def test_it_reads_what_click_reads(words):
    read = run.make_context("run", list(words)).params
    command, pipeline, more = quick.read(["run", *words])
    assert (command, pipeline) == (list(read["command"]), read["pipeline"])
    assert {name: bool(value) for name, value in more.items()} == {
        name: bool(read[name]) for name in ("merge", "pty", "record")
    }
    assert not (read["detach"] or read["resume"] or read["yes"])


@pytest.mark.parametrize("words", LEFT, ids=" ".join)
def test_all_else_is_left_to_click(words):
    assert quick.read(["run", *words]) is None


def test_other_commands_are_left_to_click(monkeypatch):
    assert quick.read(["status"]) is None and quick.read([]) is None
    monkeypatch.setenv("_FLIGHTLOG_COMPLETE", "bash_complete")
    assert quick.read(["run", "--", "a"]) is None


def test_click_is_not_loaded_to_run_a_command(home):
    command = [sys.executable, "-X", "importtime", "-m", "flightlog", "run", "--", "/bin/echo", "hello"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "flightlog.cli.quick" in done.stderr and "click" not in done.stderr


def test_a_record_overwrites_what_a_run_has_written_and_nothing_else(home, tmp_path):
    command = [sys.executable, "-m", "flightlog", "run", "--record"]
    theirs, ours = tmp_path / "passwd", tmp_path / "record"
    theirs.write_text("root:x:0:0\n")
    done = subprocess.run([*command, theirs, "--", "touch", tmp_path / "began"], capture_output=True, text=True)
    assert done.returncode == 2 and theirs.read_text() == "root:x:0:0\n" and not (tmp_path / "began").exists()
    assert done.stderr.startswith(f"Error: --record would overwrite {theirs}, which no run has written\nTry: ")
    ours.touch()  # as mktemp makes one
    for code in (3, 4):
        done = subprocess.run([*command, ours, "--", "sh", "-c", f"exit {code}"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, "")
        assert f'"exit_code":{code}' in ours.read_text().replace(" ", "")


def test_a_record_that_is_no_file_is_refused_and_not_waited_for(home, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "flightlog", "run", "--record", tmp_path / "pipe", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--record would overwrite" in done.stderr


def test_without_click_a_command_with_a_record_runs_each_time(home, tmp_path):
    command = [sys.executable, "-S", "-m", "flightlog", "run", "--record", tmp_path / "record", "--", "echo", "ran"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=without_site())
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


def test_whatever_is_asked_of_run_a_damaged_installation_finds_the_command():
    for words in (*USUAL[:1], ["--record", "/x", "--pty", "--merge", "--record=/y", "-n", "a", "--", "python", "x.py"]):
        assert bare.command_of(["run", *words]) == ["python", "x.py"]
