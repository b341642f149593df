"""The database dies, stays away, refuses: pipelines see nothing, the agent holds everything and goes on by itself, each record is stored once."""

import contextlib
import os
import random
import signal
import subprocess
import time

import psycopg
import pytest
from campaign import SEED, rounds
from load import load
from oracle import peak_bytes

from flightlog.errors import FlightlogError
from integration.shipping import execute, fetch
from waiting import wait_until

BATCHES = "agent:\n  batch_rows: 1000\n"
WRITE = """
import flightlog, worker
flightlog.init(pipeline="pipeline")
log = flightlog.get_logger("pipeline")
for n in range(int(worker.argument(2))):
    worker.log(log.info, worker.argument(1), n, int(worker.argument(3, "40")))
"""


def moved(scene):
    """Wait until the agent has stored something more."""
    before = count(scene)
    wait_until(lambda: count(scene) > before, 60, f"rows to arrive: {scene.words()}")


def count(scene):
    with contextlib.suppress(Exception):
        return fetch(scene.dsn, "SELECT count(*) FROM pipeline_logs")[0][0]
    return -1


def pause(seconds):
    """Let the load go on for a while."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 1)


def test_10_database_immediate_stop(own_scene):
    """Stopped like a crash in the middle of COPY, again and again."""
    choose = random.Random(SEED)
    with load(own_scene, count=2, burst=20) as pipelines:
        own_scene.start_agent(config=BATCHES)
        for _ in range(rounds(2, whole=20)):
            moved(own_scene)
            pause(choose.uniform(0, 0.5))
            own_scene.server.stop(immediate=True)
            pipelines.more(500)
            own_scene.server.start()
            own_scene.tally.add(rounds=1, kills=1)
    own_scene.check(names=pipelines.names)


def test_11_backend_kill(own_scene):
    """The agent's session is ended by the server every 100 ms."""
    with load(own_scene, count=2, burst=10) as pipelines:
        own_scene.start_agent(config=BATCHES)
        with psycopg.connect(own_scene.dsn, autocommit=True) as connection:
            until = time.monotonic() + rounds(3, whole=30)
            while time.monotonic() < until:
                pause(0.1)
                killed = connection.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'flightlog agent%'"
                ).fetchone()[0]
                own_scene.tally.add(rounds=1, kills=killed)
    assert own_scene.tally.kills
    own_scene.check(names=pipelines.names)


def test_12_postmaster_sigkill(own_scene):
    """kill -9 of the postmaster, its children die or not, and it is started again over what it left."""
    with load(own_scene, count=2, burst=20) as pipelines:
        own_scene.start_agent(config=BATCHES)
        for _ in range(rounds(1, whole=10)):
            moved(own_scene)
            pid = own_scene.server.pid
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: own_scene.server.pid != pid, 30, "the postmaster to be gone")
            pipelines.more(500)

            def started():
                try:  # as long as a child has not noticed, the shared memory is in use
                    return own_scene.server.start()
                except FlightlogError as problem:
                    said.append(problem.message)
                    return None

            said = []
            try:
                wait_until(started, 60, "the server to start again")
            except AssertionError as problem:
                raise AssertionError(f"{problem}: {said[-1]}") from None
            own_scene.tally.add(rounds=1, kills=1)
    own_scene.check(names=pipelines.names)


def test_13_database_down_for_an_hour(own_scene):
    """What an hour brings, written at once; drained in the order of each writer, with bounded memory."""
    own_scene.start_agent()
    assert own_scene.run(WRITE, "before", 10) == 0
    wait_until(lambda: count(own_scene) == 10, 60, "the first ones")
    own_scene.server.stop()
    assert own_scene.run(WRITE, "first", rounds(10_000, whole=300_000), 100, timeout=600) == 0, own_scene.words()
    with load(own_scene, count=2, burst=20) as pipelines:
        pipelines.more(rounds(1000, whole=60_000), seconds=300)
        own_scene.server.start()
        moved(own_scene)
    largest = peak_bytes(own_scene.agent.pid)
    own_scene.tally.add(rounds=1)
    own_scene.check(names=[*pipelines.names, "first"])
    assert largest < 150 << 20, f"the agent took {largest >> 20} MiB"


def test_14_database_read_only(own_scene):
    """default_transaction_read_only: everything is held, said, and shipped when it is over; nothing becomes a dead letter."""
    own_scene.start_agent(config=BATCHES)
    with load(own_scene, count=1, burst=5) as pipelines:
        moved(own_scene)
        execute(own_scene.dsn, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        wait_until(lambda: "read-only" in own_scene.words(), 30, "the agent to say so")
        pipelines.more(200)
        execute(
            own_scene.dsn,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
        moved(own_scene)
    own_scene.tally.add(rounds=1)
    assert fetch(own_scene.dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(0,)]
    own_scene.check(names=pipelines.names)


def test_15_database_disk_full(own_scene, machine):
    """The day's partition of the logs lies in a tablespace of 20 MB: held, and shipped when there is room."""
    machine.need("root")
    folder = os.path.join(own_scene.server.folder, "small")
    os.mkdir(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=777", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"not run: no tmpfs can be mounted: {mounted.stderr.decode().strip()}")
    try:
        assert own_scene.run(WRITE, "before", 10) == 0
        own_scene.start_agent(config=BATCHES)
        wait_until(lambda: count(own_scene) == 10, 60, "the first ones")
        inside = os.path.join(folder, "space")
        os.mkdir(inside)
        owner = os.stat(own_scene.server.data)
        os.chown(inside, owner.st_uid, owner.st_gid)
        execute(own_scene.dsn, f"CREATE TABLESPACE small LOCATION '{inside}'")
        (partition,) = fetch(own_scene.dsn, "SELECT tableoid::regclass::text FROM pipeline_logs LIMIT 1")[0]
        execute(own_scene.dsn, f"ALTER TABLE {partition} SET TABLESPACE small")
        assert own_scene.run(WRITE, "much", 25_000, 1500, timeout=300) == 0, own_scene.words()
        wait_until(lambda: "No space left" in own_scene.words(), 90, f"the disk to be full: {own_scene.words()}")
        assert own_scene.agent.poll() is None
        subprocess.run(["mount", "-o", "remount,size=400m", folder], check=True)
        own_scene.tally.add(rounds=1)
        assert fetch(own_scene.dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(0,)]
        own_scene.check(names=["before", "much"])
    finally:
        own_scene.close()
        own_scene.server.stop(immediate=True)
        subprocess.run(["umount", "-l", folder], check=False)


# What is wrong -> (how it is made so, how it is mended, what the agent says).
WRONG = {
    "revoked": (
        "REVOKE INSERT ON pipeline_logs FROM flightlog_writer",
        "GRANT INSERT ON pipeline_logs TO flightlog_writer",
        "permission denied",
    ),
    "missing_table": (
        "ALTER TABLE pipeline_logs RENAME TO gone",
        "ALTER TABLE gone RENAME TO pipeline_logs",
        "does not exist",
    ),
    "no_connections": (
        "ALTER DATABASE flightlog CONNECTION LIMIT 0",
        "ALTER DATABASE flightlog CONNECTION LIMIT -1",
        "too many connections",
    ),
    "no_login": ("ALTER ROLE shipper NOLOGIN", "ALTER ROLE shipper LOGIN", "not permitted to log in"),
}


@pytest.mark.parametrize("what", WRONG)
def test_16_database_refuses(own_scene, what):
    """Rights, tables, connections or logins that are missing: held and said, then shipped without a restart of anything."""
    dsn = own_scene.dsn
    spoil, mend, words = WRONG[what]
    execute(dsn, "CREATE ROLE shipper LOGIN IN ROLE flightlog_writer")
    _let_in(own_scene, "shipper")
    own_scene.agent_variables["FLIGHTLOG_DSN"] = dsn.replace("user=flightlog", "user=shipper")
    own_scene.start_agent(config=BATCHES)
    assert own_scene.run(WRITE, f"{what}-before", 10) == 0
    wait_until(lambda: count(own_scene) == 10, 60, "the first ones")
    stored = count(own_scene)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(spoil)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'flightlog agent%'"
        )
        assert own_scene.run(WRITE, f"{what}-meanwhile", 100) == 0
        wait_until(lambda: words in own_scene.words(), 30, f"the agent to say {words}: {own_scene.words()}")
        assert own_scene.agent.poll() is None
        connection.execute(mend)
        wait_until(
            lambda: connection.execute("SELECT count(*) FROM pipeline_logs").fetchone()[0] == stored + 100,
            60,
            f"the rest to arrive: {own_scene.words()}",
        )
    own_scene.tally.add(rounds=1)
    assert fetch(dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(0,)]
    own_scene.check(names=[f"{what}-before", f"{what}-meanwhile"])


def _let_in(scene, role):
    """Let the account that we are log in as *role*, too."""
    with open(os.path.join(scene.server.data, "pg_hba.conf"), "a") as file:
        file.write(f"local all {role} peer map=flightlog\n")
    with open(os.path.join(scene.server.data, "pg_ident.conf"), "r+") as file:
        lines = file.read().splitlines()
        file.write("".join(f"{line.rsplit(None, 1)[0]} {role}\n" for line in lines if line and line[0] != "#"))
    execute(scene.dsn, "SELECT pg_reload_conf()")
