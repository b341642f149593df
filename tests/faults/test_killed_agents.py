"""The agent is killed with -9 at each named step of shipping; what the next one finds and does must agree with the spool."""

import random

import pytest
from campaign import SEED, environment, flightlog, rounds

from flightlog import identity
from flightlog.agent.faults import POINTS
from integration.shipping import fetch, log, segment, spool_of, sums_are_right


def fill(home, choose):
    """Write a spool of several writers, runs, segments and a poisonous record; return what has to arrive."""
    spool = spool_of(home)
    wanted = []
    for number in range(6):
        writer, run, n = identity.new_writer_id(), identity.new_ulid(), 1
        for segno in range(choose.randrange(1, 4)):
            said = [f"{number} {n + i} {'x' * choose.choice([5, 200])}" for i in range(choose.randrange(1, 400))]
            payloads = [log(run, text) for text in said]
            if number == 3 and segno == 0:
                payloads.insert(len(payloads) // 2, log(run, "poison").replace(b'"k"', b'"x":{"a":1e400000},"k"'))
            segment(spool, writer, segno, payloads, n, run=run)
            n += len(payloads)
            wanted += said
    return wanted


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point, home, dsn, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("agent:\n  batch_rows: 300\nspool:\n  keep: 0s\n")
    kills = 0
    wanted = []
    for number in range(rounds(1)):
        seed = SEED + number
        choose = random.Random(seed)
        wanted += fill(home, choose)
        for _ in range(40):
            fault = f"{point}:{choose.randrange(1, 4)}"
            env = environment(home, dsn, FLIGHTLOG_CONFIG=str(config), FLIGHTLOG_FAULT=fault)
            code, out, err = flightlog("agent", "run", "--once", env=env)
            if code == 0:
                break
            assert code == -9, (seed, fault, code, err)
            kills += 1
        else:
            raise AssertionError(f"seed {seed}: killed 40 times and still not done")
        code, out, err = flightlog("agent", "run", "--once", env=environment(home, dsn, FLIGHTLOG_CONFIG=str(config)))
        assert code == 0, (seed, err)
        stored = sorted(row[0] for row in fetch(dsn, "SELECT message FROM pipeline_logs"))
        assert stored == sorted(wanted), f"seed {seed}"
        assert len(fetch(dsn, "SELECT 1 FROM pipeline_dead_letters")) == number + 1, f"seed {seed}"
        sums_are_right(dsn)
    assert kills > 0, "the point was never reached"
    code, out, err = flightlog("audit", env=environment(home, dsn, FLIGHTLOG_CONFIG=str(config)))
    assert code == 0, (out, err)
