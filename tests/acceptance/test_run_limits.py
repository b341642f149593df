"""`flightlog run` under a limit on file sizes that an ordinary user cannot lift: the command and its caller notice nothing, the end is known."""

import ctypes
import functools
import glob
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest
from running import environment, spool

from flightlog.agent.facts import RunFacts
from flightlog.journal import reader
from flightlog.journal.format import salt_of
from waiting import wait_until

PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24
LONG = "a-pipeline-with-a-rather-long-name-as-some-teams-like-them"
RUN = [sys.executable, "-m", "flightlog", "run"]


@pytest.fixture
def place():
    """A folder that somebody without rights can use."""
    path = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(path, 0o777)
    yield pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)


def bound(limit):
    """In a child, before its exec: take a hard limit on file sizes. Root keeps its account (its Pythons may be its own), and loses the right to lift it."""
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def limited(place, front, command, limit):
    """Run under a hard limit that nobody in there can lift; return (return code, stdout, stderr)."""
    env = environment(place / "home", FLIGHTLOG_AGENT="never", HOME=str(place))
    before = functools.partial(bound, limit)
    done = subprocess.run(
        [*front, *command], env=env, cwd=place, stdin=-3, capture_output=True, preexec_fn=before, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def records(place):
    """The records of all segments. None of these has a torn end: nothing was written that does not fit."""
    found = []
    for path in glob.glob(os.path.join(os.path.dirname(spool(place / "home")), "*", "*.seg")):
        name = os.path.basename(path)
        with open(path, "rb") as file:
            chunk = reader.read_chunk(file.fileno(), salt_of(name[:32]), 0)
        assert (chunk.stop, chunk.next) == (reader.END, os.path.getsize(path)), name
        found += [json.loads(payload) for _, _, payload in chunk.frames]
    return found


def fate(place):
    """What the agent makes of the events: state, exit code, signal, verdict, pipeline."""
    facts = RunFacts("r", 0, "")
    for record in sorted((r for r in records(place) if r["k"] == "event"), key=lambda r: r["t"]):
        facts.event(record["ev"], record["t"], None, record["x"])
    row = facts.row("n", 1)
    return row["state"], row["exit_code"], row["term_signal"], row["verdict"], row["pipeline"]


ENDS = {
    "exit 0": (0, ("succeeded", 0, None, "ok")),
    "exit 3": (3, ("failed", 3, None, "exit-status")),
    "kill -SEGV $$": (-11, ("failed", None, "SIGSEGV", "native-crash")),
}


@pytest.mark.parametrize("limit", [512, 1024, 2048, 1 << 17])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_is_known(place, limit, end):
    """512 bytes is what `ulimit -f 1` means in dash, 1024 in bash."""
    code, known = ENDS[end]
    command = ["sh", "-c", f"echo out; echo err >&2; {end}", "x" * 3000]
    assert limited(place, [*RUN, "-n", LONG, "--"], command, limit) == (code, b"out\n", b"err\n")
    assert fate(place) == (*known, LONG)
    names = [record["ev"] for record in records(place) if record["k"] == "event"]
    assert names == ["run.started", "capture.opened", "capture.opened", "run.ended"] or sorted(names) == [
        "capture.opened",
        "capture.opened",
        "run.ended",
        "run.started",
    ]


@pytest.mark.parametrize("limit", [0, 1, 300])
def test_where_nothing_can_be_written_the_command_runs_bare(place, limit):
    code, out, err = limited(place, [*RUN, "--"], ["sh", "-c", "echo out; exit 3"], limit)
    assert (code, out) == (3, b"out\n")
    assert err.count(b"\n") == 1 and b"not recorded" in err


PROGRAM = """
import logging, os, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
for n in range(300):
    logging.info("record %d %s", n, "x" * (n * 7 % 90))
logging.warning("y" * 5000)
try:
    with open("own", "wb", buffering=0) as file:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        print(file.write(bytes(1 << 20)))
finally:
    os.unlink("own")
"""


@pytest.mark.parametrize("limit", [512, 1024, 4096, 20_000, 1 << 17])
def test_a_logging_program_gets_no_signal_and_its_console_no_mark(place, limit):
    """Python ignores SIGXFSZ; a program may not, and it has written nothing that could bring it one."""
    (place / "job.py").write_text(PROGRAM)
    command = [sys.executable, "job.py"]
    bare = limited(place, [], command, limit)
    assert bare[0] == 0 and bare[1].endswith(b"%d\n" % limit)
    assert limited(place, [*RUN, "--"], command, limit) == bare
    assert fate(place)[:2] == ("succeeded", 0)
    heads = [record for record in records(place) if record["k"] in ("head", "drops")]
    dropped = max([sum(head.get("dropped", {}).values()) for head in heads], default=0)
    logs = len([record for record in records(place) if record["k"] == "log" and record.get("src") != "flightlog"])
    assert logs + dropped == 301 or limit == 512, (logs, dropped)


def test_a_program_that_handles_the_signal_is_not_called(place):
    program = "import signal, logging, sys\nsignal.signal(signal.SIGXFSZ, lambda *_: print('called'))\n"
    program += "logging.basicConfig()\nfor n in range(100): logging.warning('record %d', n)\nsys.exit(5)\n"
    (place / "job.py").write_text(program)
    code, out, err = limited(place, [*RUN, "--"], [sys.executable, "job.py"], 2048)
    assert (code, out) == (5, b"")
    assert err == b"".join(b"WARNING:root:record %d\n" % n for n in range(100))


def test_the_agent_that_is_started_is_not_limited(home):
    """A soft limit, which anybody may lift."""
    from flightlog.agent import door

    config = os.path.join(home, "config.yml")
    with open(config, "w") as file:
        file.write("logging:\n  database: {enabled: false}\n  file: {enabled: true}\n")
    env = environment(home, FLIGHTLOG_AGENT="always", FLIGHTLOG_CONFIG=config)
    command = ["sh", "-c", 'ulimit -S -f 1; exec "$@"', "sh", *RUN, "--", "true"]
    subprocess.run(command, env=env, cwd=home, check=True, timeout=60)
    agent = wait_until(lambda: door.holder(home), 30, "the agent")
    with open(f"/proc/{agent['pid']}/limits") as file:
        (line,) = [line for line in file if line.startswith("Max file size")]
    assert line.split()[3:5] == ["unlimited", "unlimited"]


def test_no_agent_is_started_where_it_could_not_write(place):
    code = "from flightlog import daemons; print(daemons.ensure_agent())"
    env = environment(place / "home", FLIGHTLOG_AGENT="auto")
    before = functools.partial(bound, 4096)
    done = subprocess.run([sys.executable, "-c", code], env=env, preexec_fn=before, capture_output=True, timeout=60)
    assert b"no agent is started by itself under a limit on file sizes" in done.stdout, done.stderr
