"""`flightlog run` where something about its place is wrong: the command runs, with its input, and ends as it would have."""

import glob
import json
import os
import subprocess
import sys

import pytest
from running import environment, metas

from flightlog.journal import reader
from flightlog.journal.format import salt_of

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


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_status_is_known_where_files_may_have_a_few_hundred_bytes_only(tmp_path, blocks):
    """The limit is the hard one, which an ordinary user cannot lift; a long command line and what it wrote fit in no file."""
    if os.geteuid() == 0:
        limited = f"ulimit -f {blocks}; exec setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all"
    else:
        limited = f"ulimit -f {blocks}; exec env"
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    long = "x" * 3000
    line = f"{limited} {RUN} sh -c 'echo out; echo err >&2; exit 7' {long}"
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never", PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(["bash", "-c", line], env=env, cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    found = [record for record in records(tmp_path / "home") if record["k"] == "event"]
    names = [record["ev"] for record in found]
    assert names.count("run.started") == names.count("run.ended") == 1
    (end,) = [record["x"] for record in found if record["ev"] == "run.ended"]
    assert (end["wait_status"], end.get("lost", 0)) == (7 << 8, 0)


def records(home):
    """The whole records of all segments, whoever's: a segment may be torn at its end here."""
    for path in glob.glob(str(home / "spool" / "*" / "*.seg")):
        with open(path, "rb") as file:
            chunk = reader.read_chunk(file.fileno(), salt_of(os.path.basename(path)[:32]), 0)
            yield from (json.loads(payload) for _, _, payload in chunk.frames)
