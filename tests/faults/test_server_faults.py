"""The database dies under load, stays away for a while, comes back: pipelines see nothing, the agent stays small, everything arrives once."""

import random
import signal
import subprocess
import sys

import psutil
from campaign import SEED, environment, rounds

from integration.shipping import execute, fetch, sums_are_right
from waiting import wait_until

PROGRAM = """
import os, sys, time
import flightlog
log = flightlog.get_logger("load")
flightlog.init(pipeline="load")
slowest = 0.0
n = 0
with flightlog.run("load"):
    while not os.path.exists(sys.argv[1]):
        for _ in range(200):
            before = time.perf_counter()
            log.info("n", n=n, padding="x" * 200)
            slowest = max(slowest, time.perf_counter() - before)
            n += 1
        print(n, slowest, flush=True)
        time.sleep(0.005)
"""


def count(dsn):
    return fetch(dsn, "SELECT count(*) FROM pipeline_logs WHERE logger = 'load'")[0][0]


def test_the_database_dies_under_load(own_server, home, tmp_path):
    choose = random.Random(SEED)
    server, dsn = own_server, own_server.dsn
    enough = tmp_path / "enough"
    script = tmp_path / "load.py"
    script.write_text(PROGRAM)
    env = environment(home, dsn)
    agent = subprocess.Popen([sys.executable, "-m", "flightlog", "agent", "run"], env=env, stderr=subprocess.DEVNULL)
    output = tmp_path / "output"
    with open(output, "wb") as file:
        load = subprocess.Popen([sys.executable, str(script), str(enough)], env=env, stdout=file)

    def said():
        words = output.read_text().split("\n")[-2:-1]
        return int(words[0].split()[0]) if words else 0

    largest = 0
    for _ in range(rounds(2)):
        stored = count(dsn)
        wait_until(lambda: count(dsn) > stored, 60, "rows to arrive")
        server.stop(immediate=choose.random() < 0.8)
        before = said()
        more = choose.choice([3000, 20000])
        wait_until(lambda: said() > before + more, 60, "the pipeline to go on without a database")
        largest = max(largest, psutil.Process(agent.pid).memory_info().rss)
        assert agent.poll() is None
        server.start()
    enough.touch()
    assert load.wait(60) == 0
    total = said()
    wait_until(lambda: count(dsn) == total, 120, f"all {total} records")
    largest = max(largest, psutil.Process(agent.pid).memory_info().rss)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0
    ((rows, distinct, least, most),) = fetch(
        dsn,
        "SELECT count(*), count(DISTINCT (fields->>'n')::int), min((fields->>'n')::int), max((fields->>'n')::int)"
        " FROM pipeline_logs WHERE logger = 'load'",
    )
    assert (rows, distinct, least, most) == (total, total, 0, total - 1), f"seed {SEED}"
    sums_are_right(dsn)
    assert largest < 200 << 20, f"the agent took {largest >> 20} MiB"


def test_a_server_that_is_read_only_or_lacks_its_tables_holds_everything(own_server, home, tmp_path):
    dsn = own_server.dsn
    env = environment(home, dsn)
    script = tmp_path / "one.py"
    script.write_text("import flightlog\nflightlog.init()\nflightlog.get_logger('load').info('one')\n")
    subprocess.run([sys.executable, str(script)], env=env, check=True)
    execute(dsn, "ALTER DATABASE flightlog SET default_transaction_read_only = on")
    log = tmp_path / "agent.log"
    with open(log, "wb") as file:
        agent = subprocess.Popen([sys.executable, "-m", "flightlog", "agent", "run"], env=env, stderr=file)
    wait_until(lambda: "holding everything" in log.read_text(), 30, "the agent to say so")
    assert "read-only" in log.read_text()
    execute(
        dsn,
        "SET default_transaction_read_only = off",
        "ALTER DATABASE flightlog RESET default_transaction_read_only",
    )
    wait_until(lambda: count(dsn) == 1, 60, "the record")
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0
    assert fetch(dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(0,)]
    sums_are_right(dsn)
