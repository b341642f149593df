"""The agent dies, stands still, is there twice: every record arrives once all the same, and the next agent begins at once."""

import os
import random
import shutil
import signal
import time

from campaign import LONG, SEED, rounds
from load import load

from flightlog import identity
from flightlog.agent.faults import POINTS
from integration.shipping import fetch
from waiting import wait_until

SMALL_BATCHES = "agent:\n  batch_rows: 300\nspool:\n  keep: 0s\n"


def test_06_agent_kill_loop(scene):
    """kill -9 after 5 to 200 ms of work, again and again, while pipelines log; a minute in `make faults`."""
    choose = random.Random(SEED)
    with load(scene, count=2, burst=10) as pipelines:
        until = time.monotonic() + rounds(4, whole=60)
        while time.monotonic() < until:
            scene.start_agent(config=SMALL_BATCHES)
            moment = time.monotonic() + choose.uniform(0.005, 0.2)
            wait_until(lambda: time.monotonic() >= moment, 1)
            assert scene.kill_agent()
            scene.tally.add(rounds=1, kills=1)
        pipelines.more(100)
    scene.check(names=pipelines.names)


STEPS = """
import flightlog, worker
flightlog.init(pipeline="steps")
worker.rotate_at(20000)
log = flightlog.get_logger("steps")
for n in range(int(worker.argument(2))):
    worker.log(log.info, worker.argument(1), n, n % 5 * 100)
"""


def test_07_agent_killed_at_each_step(scene):
    """SIGKILL at every named point of scan, COPY, counts, COMMIT and removal, at the first to fourth passage."""
    choose = random.Random(SEED)
    reached = dict.fromkeys(POINTS, 0)
    for point in POINTS:
        removal = point.endswith("unlink")
        if removal and not LONG:
            continue  # an agent removes nothing before it is ten seconds old
        for round_ in range(rounds(1, whole=20)):
            assert scene.run(STEPS, f"{point}{round_}", choose.randrange(400, 900)) == 0, scene.words()
            agent = scene.start_agent(config=SMALL_BATCHES, FLIGHTLOG_FAULT=f"{point}:{choose.randrange(1, 3)}")
            wait_until(lambda: agent.poll() is not None or (removal and not _segments(scene)), 60, f"{point}")
            scene.tally.add(rounds=1)
            if agent.poll() is None:
                scene.stop_agent()
                continue
            assert agent.wait() == -signal.SIGKILL, scene.words()
            scene.agent = None
            reached[point] += 1
            scene.tally.add(kills=1)
    scene.check()
    never = [point for point, times in reached.items() if not times and (LONG or not point.endswith("unlink"))]
    assert not never, f"seed {SEED}: never reached: {never}"


def _segments(scene):
    return [name for name in os.listdir(scene.spool) if name.endswith(".seg")]


def _epoch(scene):
    """How many agents have had the node so far."""
    return max((row[0] for row in fetch(scene.dsn, "SELECT epoch FROM pipeline_agents")), default=0)


def test_08_stopped_agent_wakes_beside_a_second(scene):
    """SIGSTOP in the middle of a batch; its lock is taken from it, as when its file is removed; another one ships; SIGCONT."""
    choose = random.Random(SEED)
    with load(scene, count=2, burst=40) as pipelines:
        for _ in range(rounds(1, whole=5)):
            first = scene.start_agent(config=SMALL_BATCHES)
            wait_until(lambda: _epoch(scene), 30, "the first agent to connect")
            epoch = _epoch(scene)
            pipelines.more(choose.randrange(500, 3000))
            first.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            # Two agents of one home keep each other out by a lock; of one node, on two machines, by the epoch alone.
            os.unlink(os.path.join(scene.home, "agent.lock"))
            scene.agent = None
            scene.start_agent(config=SMALL_BATCHES)
            wait_until(lambda: _epoch(scene) > epoch, 30, "the second agent to connect")
            before = len(scene.rows())
            wait_until(lambda: len(scene.rows()) > before, 30, "the second agent to ship")
            until = stopped + (20 if LONG else 2)
            wait_until(lambda: time.monotonic() > until, 30)
            first.send_signal(signal.SIGCONT)
            wait_until(lambda: first.poll() is not None, 30, "the first agent to leave")
            assert first.wait() == 0, scene.words()
            assert "a newer agent ships for node" in scene.words() or "leaving" in scene.words()
            scene.tally.add(rounds=1)
    scene.check(names=pipelines.names)


def copy_if_there(source, target):
    """Copy a file of a spool that somebody works on: what is acknowledged may be removed at any moment."""
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        pass


def test_09_two_agents_and_a_copied_spool(scene, tmp_path):
    """Two agents under one node name on one spool at once; then the spool, copied, shipped under another node's name."""
    with load(scene, count=2, burst=20) as pipelines:
        one = scene.start_agent(config=SMALL_BATCHES)
        os.unlink(os.path.join(scene.home, "agent.lock"))
        scene.agent = None
        two = scene.start_agent(config=SMALL_BATCHES)
        pipelines.more(2000)
        wait_until(lambda: one.poll() is not None or two.poll() is not None, 30, "one of them to leave")
        pipelines.more(2000)
    if two.poll() is not None:
        scene.agent = one
    for agent in (one, two):
        assert agent.poll() in (None, 0), scene.words()
    scene.tally.add(rounds=1)
    scene.check(names=pipelines.names)
    # A copy, as of a machine's image: the store knows these writers, and whose they are.
    other = os.path.join(str(tmp_path), "other")
    identity.make_home(other)
    shutil.copytree(os.path.join(scene.home, "spool"), os.path.join(other, "spool"), copy_function=copy_if_there)
    before = fetch(scene.dsn, "SELECT count(*) FROM pipeline_logs")
    copied = [name for name in os.listdir(os.path.join(other, "spool", str(os.geteuid()))) if name.endswith(".seg")]
    assert copied, "nothing was left to copy"
    code, out, err = scene.command(
        "agent", "run", "--once", env=scene.env(FLIGHTLOG_HOME=other, FLIGHTLOG_NODE="another")
    )
    assert fetch(scene.dsn, "SELECT count(*) FROM pipeline_logs") == before, (code, out, err)
    scene.tally.add(rounds=1)
    scene.check(names=pipelines.names)
