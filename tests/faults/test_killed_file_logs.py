"""The agent is killed with -9 at each named step of writing text logs, and at random moments; the files must agree with the witness, exactly once."""

import collections
import contextlib
import glob
import gzip
import json
import os
import random
import signal
import subprocess
import sys

import pytest
from campaign import SEED, environment, flightlog, rounds

from flightlog import identity
from flightlog.agent.faults import FILE_POINTS
from integration.shipping import log, segment, spool_of
from waiting import wait_until

CONFIG = """\
agent: {batch_rows: 150}
spool: {keep: 0s}
logging:
  database: {enabled: false}
  file: {enabled: true, format: jsonl, max_bytes: 16KiB, backups: 100000, compress: %s}
"""
NO_DATABASE = "host=/nonexistent dbname=nothing"  # nothing may connect to it


def fill(home, choose, tag):
    """Write a spool of several writers, pipelines and segments; return what has to be in the logs."""
    spool = spool_of(home)
    wanted = []
    for number in range(5):
        writer, run, n = identity.new_writer_id(), identity.new_ulid(), 1
        for segno in range(choose.randrange(1, 4)):
            said = [f"{tag} {number} {n + i} {'x' * choose.choice([5, 200])}" for i in range(choose.randrange(1, 150))]
            segment(
                spool, writer, segno, [log(run, text) for text in said], n, run=run, pipeline=f"p{number % 3}-{tag}"
            )
            n += len(said)
            wanted += said
    return wanted


def logged(home):
    """All messages in all files of all logs."""
    found = []
    for path in glob.glob(os.path.join(home, "logs", "*.jsonl*")):
        assert not path.endswith(".tmp")
        opened = gzip.open if path.endswith(".gz") else open
        with opened(path, "rt", encoding="ascii") as file:
            found += [json.loads(line)["message"] for line in file]
    return found


def check(found, wanted, seed):
    """Say what differs, in a few words: a comparison of two such lists takes a test more memory than there is."""
    counts = collections.Counter(found)
    twice = [message for message, count in counts.items() if count > 1]
    missing = sorted(set(wanted) - counts.keys())
    unknown = sorted(counts.keys() - set(wanted))
    wrong = {
        kind: (len(those), those[:3], those[-3:])
        for kind, those in (("twice", twice), ("missing", missing), ("unknown", unknown))
        if those
    }
    assert not wrong, f"seed {seed}: {wrong}"


@pytest.mark.parametrize("point", [point for point in FILE_POINTS if point != "file_removed"])
def test_killed_at(point, home, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text(CONFIG % ("true" if point == "file_compressed" else "false"))
    kills, wanted = 0, []
    for number in range(rounds(2)):
        seed = SEED + number
        choose = random.Random(seed)
        wanted += fill(home, choose, number)
        for attempt in range(8):
            fault = f"{point}:{choose.randrange(1, 12 if attempt else 4)}"  # the first one in the first batch
            env = environment(home, NO_DATABASE, FLIGHTLOG_CONFIG=str(config), FLIGHTLOG_FAULT=fault)
            code, _, err = flightlog("agent", "run", "--once", env=env)
            if code == 0:
                break
            assert code == -9, (seed, fault, code, err)
            kills += 1
        code, _, err = flightlog(
            "agent", "run", "--once", env=environment(home, NO_DATABASE, FLIGHTLOG_CONFIG=str(config))
        )
        assert code == 0, (seed, err)
        check(logged(home), wanted, seed)
    assert kills > 0, "the point was never reached"


def test_killed_while_the_budget_is_enforced(home, tmp_path):
    """Old lines may go; what is left is there once, and whole from some line on."""
    config = tmp_path / "config.yml"
    config.write_text((CONFIG % "false").replace("backups: 100000", "backups: 0"))
    kills = 0
    for number in range(rounds(2)):
        choose = random.Random(SEED + number)
        fill(home, choose, number)
        for _ in range(8):
            env = environment(
                home,
                NO_DATABASE,
                FLIGHTLOG_CONFIG=str(config),
                FLIGHTLOG_FAULT=f"file_removed:{choose.randrange(1, 3)}",
            )
            code, _, err = flightlog("agent", "run", "--once", env=env)
            if code == 0:
                break
            assert code == -9, err
            kills += 1
        found = logged(home)
        assert found and len(found) == len(set(found))
    assert kills > 0


@pytest.mark.parametrize("how", ["alone", "moved by others"])
def test_killed_at_random_under_load(how, home, tmp_path):
    """A writer says what it logged after the call returned; the agent is killed again and again meanwhile."""
    config = tmp_path / "config.yml"
    config.write_text(CONFIG % "true")
    env = environment(home, NO_DATABASE, FLIGHTLOG_CONFIG=str(config))
    choose = random.Random(SEED)
    code = (
        "import flightlog, sys, time\n"
        "flightlog.init(pipeline='load')\n"
        "log = flightlog.get_logger('w')\n"
        "end = time.monotonic() + 3600\n"
        "n = 0\n"
        "while time.monotonic() < end and not __import__('os').path.exists(sys.argv[1]):\n"
        "    for _ in range(50):\n"
        "        log.info('load %d' % n)\n"
        "        print('load %d' % n)\n"
        "        n += 1\n"
        "    sys.stdout.flush()\n"
        "    time.sleep(0.005)\n"
    )
    stop = tmp_path / "stop"
    with open(tmp_path / "witness", "w") as witness:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", code.replace("load %d", f"{index} %d"), str(stop)], env=env, stdout=witness
            )
            for index in range(2)
        ]
    for number in range(rounds(6, 5)):
        with open(tmp_path / "agent.err", "wb") as err:
            agent = subprocess.Popen([sys.executable, "-m", "flightlog", "agent", "run"], env=env, stderr=err)
        size = os.path.getsize(tmp_path / "witness")
        wait_until(lambda: (tmp_path / "agent.err").stat().st_size > 0, 20)
        target = choose.randrange(1, 200_000)
        wait_until(lambda: os.path.getsize(tmp_path / "witness") > size + target or agent.poll() is not None, 60)
        if how != "alone" and number % 2:
            path = os.path.join(home, "logs", "load.jsonl")
            with contextlib.suppress(FileNotFoundError):  # not begun yet, or in the middle of our own rotation
                os.rename(path, f"{path}.mine{number}")  # as logrotate does
        agent.send_signal(signal.SIGKILL)
        assert agent.wait(10) == -9, (tmp_path / "agent.err").read_text()
    stop.touch()
    for writer in writers:
        assert writer.wait(30) == 0
    code, _, err = flightlog("agent", "run", "--once", env=env)
    assert code == 0, err
    wanted = [line for line in (tmp_path / "witness").read_text().splitlines() if line]
    found = [message for message in logged(home) if message[0].isdigit()]
    assert len(wanted) > 1000
    check(found, wanted, SEED)
