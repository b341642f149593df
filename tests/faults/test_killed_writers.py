"""A program that logs from four threads is killed at a random moment. An outside witness knows which calls had returned."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from campaign import SEED, environment, flightlog, rounds

from integration.shipping import fetch, sums_are_right

PROGRAM = """
import os, sys, threading
import flightlog, logging
flightlog.init(pipeline="victim")
log = flightlog.get_logger("native")
std = logging.getLogger("std")
std.setLevel(logging.INFO)
witness = int(sys.argv[1])
padding = "x" * int(sys.argv[2])

def work(name):
    n = 0
    while True:
        if n % 2:
            std.info("%s %d %s", name, n, padding)
        else:
            log.info("%s %d %s" % (name, n, padding))
        os.write(witness, b"%s %d\\n" % (name.encode(), n))
        n += 1

for name in "abcd":
    threading.Thread(target=work, args=(name,)).start()
"""


def kill_one(home, dsn, choose, tmp_path):
    """Run the program, kill it, return what its witness saw: name -> the last number whose call had returned."""
    script = tmp_path / "victim.py"
    script.write_text(PROGRAM)
    source, sink = os.pipe()
    command = [sys.executable, str(script), str(sink), str(choose.choice([0, 100, 3000, 20000]))]
    if choose.random() < 0.3:
        command = [sys.executable, "-m", "flightlog", "run", "--", *command]
    process = subprocess.Popen(command, env=environment(home, dsn), pass_fds=[sink], stdout=subprocess.DEVNULL)
    os.close(sink)
    seen = os.read(source, 65536)
    until = time.monotonic() + choose.uniform(0, 0.25)
    while time.monotonic() < until:
        seen += os.read(source, 1 << 20)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while True:
        more = os.read(source, 1 << 20)
        if not more:
            break
        seen += more
    os.close(source)
    last = {}
    for line in seen.split(b"\n")[:-1]:
        name, n = line.split()
        last[name.decode()] = int(n)
    return last


def test_a_killed_program_and_the_database_agree_record_for_record(home, dsn, tmp_path):
    for number in range(rounds(6, 10)):
        seed = SEED + number
        choose = random.Random(seed)
        before = {row[0] for row in fetch(dsn, "SELECT writer_id FROM pipeline_writers")}
        last = kill_one(home, dsn, choose, tmp_path)
        code, out, err = flightlog("agent", "run", "--once", env=environment(home, dsn))
        assert code == 0, (seed, out, err)
        rows = fetch(
            dsn,
            "SELECT split_part(message, ' ', 1), array_agg(split_part(message, ' ', 2)::int ORDER BY seq) FROM pipeline_logs"
            " WHERE logger IN ('native', 'std') AND NOT writer_id = ANY (%s) GROUP BY 1, writer_id",
            list(before),
        )
        stored = {}  # a birth that takes long gives a thread a writer of its own: the order is each writer's
        for name, numbers in rows:
            assert numbers == sorted(numbers), f"seed {seed}: thread {name} is out of order"
            stored[name] = sorted(stored.get(name, []) + numbers)
        for name in "abcd":
            numbers = stored.get(name, [])
            assert numbers == list(range(len(numbers))), f"seed {seed}: thread {name} has a gap or a duplicate"
            returned = last.get(name, -1) + 1
            assert returned <= len(numbers) <= returned + 1, (
                f"seed {seed}: thread {name}: {returned} returned, {len(numbers)} stored"
            )
    sums_are_right(dsn)
    code, out, err = flightlog("audit", env=environment(home, dsn))
    assert code == 0, (out, err)
    states = fetch(dsn, "SELECT DISTINCT state FROM pipeline_runs")
    assert set(states) <= {("lost",), ("failed",)}, states


@pytest.mark.slow
def test_the_witness_would_notice(home, dsn, tmp_path):
    """The comparison above can fail: take one row away."""
    last = kill_one(home, dsn, random.Random(1), tmp_path)
    flightlog("agent", "run", "--once", env=environment(home, dsn))
    name = next(iter(last))
    fetch(
        dsn,
        "DELETE FROM pipeline_logs WHERE split_part(message, ' ', 1) = %s AND split_part(message, ' ', 2)::int = 0 RETURNING 1",
        name,
    )
    with pytest.raises(AssertionError):
        sums_are_right(dsn)
    code, out, err = flightlog("audit", env=environment(home, dsn))
    assert code == 1, (out, err)
