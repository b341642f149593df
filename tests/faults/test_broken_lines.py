"""The line between agent and database is cut, held, slowed, or refuses: nothing is doubled or lost, the agent stays small and goes on by itself."""

import random
import time

import pytest
from campaign import LONG, SEED, rounds
from load import load
from oracle import peak_bytes
from proxy import Proxy

from waiting import wait_until

BATCHES = "agent:\n  batch_rows: 500\n"


@pytest.fixture
def line(scene):
    """A proxy before the scene's database, used by its agents only."""
    one = Proxy(scene.dsn, random.Random(SEED))
    scene.agent_variables["FLIGHTLOG_DSN"] = one.dsn
    yield one
    one.close()


WRITE = """
import flightlog, worker
flightlog.init(pipeline="line")
log = flightlog.get_logger("line")
for n in range(int(worker.argument(2))):
    worker.log(log.info, worker.argument(1), n, n % 5 * 40)
"""


def write(scene, name, count):
    """Let a pipeline log *count* records and end."""
    assert scene.run(WRITE, name, count) == 0, scene.words()


def arrived(scene, name, count, seconds=60):
    """Wait until all records of *name* are stored."""
    wait_until(
        lambda: sum(row[1] == name for row in scene.rows()) == count, seconds, f"{name} (seed {SEED}): {scene.words()}"
    )


def test_17_commit_answer_lost(scene, line):
    """COMMIT is not passed on, or its answer is not: what became of it is found out, and it is stored once."""
    scene.start_agent(config=BATCHES)
    for round_ in range(rounds(3, whole=50)):
        for when in ("after", "before"):
            line.cut_commit = when
            write(scene, f"{when}{round_}", 100)
            wait_until(lambda: not line.cut_commit, 60, "a COMMIT")
            write(scene, f"{when}{round_}then", 1)
            arrived(scene, f"{when}{round_}then", 1)  # after a success the agent's next pause is short again
            scene.tally.add(rounds=1)
    assert line.cuts >= scene.tally.rounds
    scene.check()


def test_18_cut_after_each_byte(scene, line):
    """The line is cut after N bytes of a connection; N from a grid of 97 bytes over the whole of one batch, chosen by the seed."""
    scene.start_agent(config=BATCHES)
    write(scene, "whole", 30)
    arrived(scene, "whole", 30)
    line.cut()  # how many bytes it takes to open, find and ship so much
    write(scene, "measured", 30)
    arrived(scene, "measured", 30)
    whole = line.sent
    steps = range(1, whole + 97, 97)
    chosen = random.Random(SEED).sample(steps, min(len(steps), 60 if LONG else 8))
    for limit in chosen:
        line.forward_limit = limit
        before = line.cuts
        line.cut()
        write(scene, f"n{limit}", 30)
        wait_until(lambda: line.cuts > before or line.sent > limit + 97, 30, f"the cut at {limit}")
        line.forward_limit = None
        arrived(scene, f"n{limit}", 30)  # after a success the agent's next pause is short again
        scene.tally.add(rounds=1)
    scene.tally.notes.append(f"one batch with its connection takes {whole} bytes")
    scene.check()


def test_19_half_open_line(scene, line):
    """Nothing comes back and nobody says so, in the middle of work: found dead within thirty seconds and a bit; pipelines see nothing of it."""
    if not LONG:
        pytest.skip("only in make faults: it takes half a minute; tests/integration/test_watch.py is quick")
    for round_ in range(4):
        with load(scene, count=1, burst=10, name=f"r{round_}p") as pipelines:
            scene.start_agent(config=BATCHES)
            pipelines.more(500)
            line.hold = True
            accepted = line.accepted
            wait_until(lambda: line.accepted > accepted, 40, f"the agent to try again: {scene.words()}")
            pipelines.more(200)
            line.hold = False
            line.cut()
            pipelines.more(200)
        scene.tally.add(rounds=1)
    scene.check()


def test_20_slow_database(scene, line):
    """50 KB/s: batches arrive nevertheless, the agent's memory is bounded, and no logging call waits for it."""
    line.bytes_per_second = 50_000
    scene.start_agent()
    with load(scene, count=1, burst=40, name="slow") as pipelines:
        begun = len(scene.rows())
        pipelines.more(rounds(4000, whole=200_000), seconds=300)
        wait_until(lambda: len(scene.rows()) > begun, 90, f"a batch to arrive: {scene.words()}")
        slowest = pipelines.stop()
    assert peak_bytes(scene.agent.pid) < 150 << 20
    scene.tally.notes.append(f"slowest logging call {slowest * 1000:.1f} ms")
    line.bytes_per_second = 0
    scene.tally.add(rounds=1)
    scene.check(names=pipelines.names)


def test_21_connection_storm(scene, line):
    """Half of all connections are refused, and those that stand are cut again and again."""
    line.refuse = 0.5
    choose = random.Random(SEED)
    with load(scene, count=2, burst=10) as pipelines:
        scene.start_agent(config=BATCHES)
        for _ in range(rounds(5, whole=60)):
            wait = time.monotonic() + choose.uniform(0, 1)
            wait_until(lambda: time.monotonic() >= wait, 5)
            line.cut()
            scene.tally.add(rounds=1)
        wait_until(lambda: line.cut() or line.refused, 60, "a connection to be refused")
    line.refuse = 0.0
    scene.check(names=pipelines.names)
