"""A soak: eight processes log at a steady rate while the database is restarted again and again; nothing is lost or doubled, the agent stays small.

`make test` runs some seconds of it; `make soak` 20 minutes at 20,000 records a second with a restart each minute (FLIGHTLOG_SOAK_SECONDS,
FLIGHTLOG_SOAK_RATE), and prints the figures that docs/explanation/guarantees.md reports.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from campaign import SEED, environment, flightlog

from flightlog.store.db import connect
from integration.shipping import sums_are_right
from waiting import wait_until

SECONDS = float(os.environ.get("FLIGHTLOG_SOAK_SECONDS", "8"))
RATE = int(os.environ.get("FLIGHTLOG_SOAK_RATE", "4000"))
PROCESSES = 8
EVERY = min(60.0, SECONDS / 3)  # between two restarts
MAX_RSS = 80 << 20

# The witness: after each call returned the number is counted; at the end the process says how many there were, and how late it was.
PROGRAM = """
import sys, time, flightlog
me, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
flightlog.init(pipeline="soak")
log = flightlog.get_logger("soak")
begin = time.monotonic()
n, late = 0, 0.0
with flightlog.run("soak"):
    while True:
        now = time.monotonic() - begin
        if now >= seconds:
            break
        due = int(now * rate)
        while n < due:
            log.info("tick", p=me, n=n, path="/data/in/%d.csv" % (n % 1000), seconds=0.25)
            n += 1
        late = max(late, time.monotonic() - begin - now)
        time.sleep(0.005)
print(n, round(late, 3))
"""


def patiently(dsn, statement):
    """What the store has, however many rows it counts."""
    with connect(dsn, "test", statement_seconds=1800) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.timeout(SECONDS * 3 + 600)
def test_soak(own_server, home, tmp_path):
    choose = random.Random(SEED)
    server, dsn = own_server, own_server.dsn
    env = environment(home, dsn)
    agent = subprocess.Popen([sys.executable, "-m", "flightlog", "agent", "run"], env=env, stderr=subprocess.DEVNULL)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(number), str(RATE / PROCESSES), str(SECONDS)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    sizes, restarts, immediate = [], 0, 0
    restart_at = time.monotonic() + EVERY
    process = psutil.Process(agent.pid)
    while any(writer.poll() is None for writer in writers):
        try:
            writers[0].wait(1.0)
        except subprocess.TimeoutExpired:
            pass
        sizes.append(process.memory_info().rss)
        if time.monotonic() >= restart_at and writers[0].poll() is None:
            hard = choose.random() < 0.5
            server.stop(immediate=hard)
            server.start()
            restarts, immediate = restarts + 1, immediate + hard
            restart_at = time.monotonic() + EVERY
    said = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    ended = time.monotonic()
    wanted = [int(count) for count, _ in said]

    def drained():
        sizes.append(process.memory_info().rss)
        _, out, _ = flightlog("agent", "status", "-o", "json", env=env)
        return json.loads(out)["backlog_bytes"] == 0

    wait_until(drained, 300, "an empty spool")
    seconds = time.monotonic() - ended
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0
    found = patiently(
        dsn,
        "SELECT (fields->>'p')::int, count(*), count(DISTINCT (fields->>'n')::int), min((fields->>'n')::int), max((fields->>'n')::int)"
        " FROM pipeline_logs WHERE logger = 'soak' GROUP BY 1 ORDER BY 1",
    )
    lost = sum(wanted) - sum(distinct for _, _, distinct, _, _ in found)
    doubled = sum(count - distinct for _, count, distinct, _, _ in found)
    quarter = max(1, len(sizes) // 4)
    first, last = max(sizes[quarter : 2 * quarter]), max(sizes[-quarter:])
    figures = {
        "seconds": round(SECONDS),
        "records": sum(wanted),
        "per second": round(sum(wanted) / SECONDS),
        "restarts": restarts,
        "of them immediate": immediate,
        "lost": lost,
        "doubled": doubled,
        "agent MiB at most": round(max(sizes) / 2**20, 1),
        "second quarter, last": [round(first / 2**20, 1), round(last / 2**20, 1)],
        "drained after s": round(seconds, 1),
        "longest late s": max(float(late) for _, late in said),
        "seed": SEED,
    }
    print("\nsoak:", json.dumps(figures))
    assert found == [(number, count, count, 0, count - 1) for number, count in enumerate(wanted)], figures
    assert restarts >= (2 if SECONDS > 60 else 1)  # some seconds may not be enough for a second one on a busy machine
    assert max(sizes) < MAX_RSS, figures
    assert SECONDS < 60 or last < first * 1.15 + (4 << 20), figures  # within some seconds it only grows to its size
    code, out, _ = flightlog("audit", "-o", "json", env=env, timeout=900)
    assert (code, json.loads(out)["good"]) == (0, True), out[:500]
    if sum(wanted) < 1_000_000:
        sums_are_right(dsn)  # a second reading of all rows
