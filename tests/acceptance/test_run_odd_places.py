"""`flightlog run` where something about its place is wrong: the command runs, with its input, and ends as it would have."""

import os
import subprocess
import sys

import pytest
from running import environment, metas

RUN = f"'{sys.executable}' -m flightlog run --"


def shell(tmp_path, line, stdin=b"", **more):
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never", **more)
    done = subprocess.run(["sh", "-c", line], env=env, cwd=tmp_path, input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_working_directory_that_has_been_removed(tmp_path):
    (tmp_path / "gone").mkdir()
    code, out, err = shell(tmp_path, f"cd gone && rmdir ../gone && {RUN} sh -c 'echo ran; exit 3'")
    assert (code, out) == (3, b"ran\n"), err
    assert b"flightlog" not in err
    assert metas(tmp_path / "home"), "it was recorded"


@pytest.mark.parametrize("relative", ["config.yml", "missing.yml"])
def test_a_config_file_named_from_a_removed_directory(tmp_path, relative):
    (tmp_path / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && {RUN} sh -c 'echo ran; exit 3'"
    code, out, err = shell(tmp_path, line, FLIGHTLOG_CONFIG=relative)
    assert (code, out) == (3, b"ran\n"), err


def test_a_config_that_is_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    program = "import logging; logging.warning('seen'); print('ran')"
    code, out, err = shell(tmp_path, f"{RUN} '{sys.executable}' -c \"{program}\"", FLIGHTLOG_CONFIG="fifo")
    assert (code, out, err) == (0, b"ran\n", b"WARNING:root:seen\n")


def test_a_config_that_is_standard_input_leaves_it_to_the_command(tmp_path):
    for line in (f"cat words | {RUN} cat", f"{RUN} cat < words"):
        (tmp_path / "words").write_text("monitoring:\n  interval: 1\n")
        assert shell(tmp_path, line, FLIGHTLOG_CONFIG="/dev/stdin") == (0, b"monitoring:\n  interval: 1\n", b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_closed_around_it_are_closed_for_the_command(tmp_path, closed):
    """With standard input closed as well, files of ours get low numbers; none may be left to the command."""
    script = "for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && found=$found$n; done; : > open$found; echo a; echo b >&2"
    outcomes = []
    for name, prefix in (("bare", ""), ("kept", RUN)):
        (tmp_path / name).mkdir()
        outcomes.append(
            (shell(tmp_path, f"cd {name} && exec {prefix} sh -c '{script}' {closed}"), os.listdir(tmp_path / name))
        )
    assert outcomes[1] == outcomes[0]
