"""A pipeline is killed at random items, and inside the system calls of its checkpoints; it is resumed here and on another node, and ends as if undisturbed.

A witness outside has one line for each time an item was worked at; the pipeline's own database has one row for each item, committed with its checkpoint.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys

from campaign import SEED, environment, flightlog, rounds
from injection import shimmed

from waiting import wait_until

EVERY = 3  # items behind each of which what is finished is written
ITEMS = 90
VICTIM = """
import os, sqlite3, sys
import flightlog
from flightlog import checkpoint

folder, items, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
database = sqlite3.connect(os.path.join(folder, "rows.db"), timeout=30)
checkpoint.create_table(database)
witness = os.open(os.path.join(folder, "witness"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(witness, b"begin %d\\n" % os.getpid())
with flightlog.run("victim", resume=True, folder=folder) as run:
    total = checkpoint.in_transaction(database, run, "total", default={"sum": 0, "next": 0})
    with run.stage("load", total=items) as stage:
        for item in stage.track(range(items), key=int, every=every):
            os.write(witness, b"item %d\\n" % item)
            if item >= total["next"]:  # else its row was committed, and only the digest was not written any more
                total = {"sum": total["sum"] + item * item, "next": item + 1}
                database.execute("INSERT INTO rows (item, square) VALUES (?, ?)", (item, item * item))
                checkpoint.in_transaction(database, run, "total", total)
                database.commit()
            if item % 7 == 6:
                before = run.checkpoint("seen", default=-1)
                assert before <= item, (before, item)
                assert run.checkpoint("seen", item)
    run.checkpoint("sum", total["sum"])
    with open(os.path.join(folder, "result"), "w") as file:
        file.write("%d %d" % (total["sum"], run.checkpoint("seen")))
"""


class Work:
    """One piece of work: its folder, its two nodes, and what has been seen of it."""

    def __init__(self, folder, homes, dsn):
        self.folder = str(folder)
        folder.mkdir()
        with sqlite3.connect(os.path.join(self.folder, "rows.db")) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE rows (item INTEGER, square INTEGER)")
        self.program = os.path.join(self.folder, "victim.py")
        with open(self.program, "w") as file:
            file.write(VICTIM)
        self.command = [sys.executable, self.program, self.folder, str(ITEMS), str(EVERY)]
        self.envs = [
            environment(home, dsn, FLIGHTLOG_NODE=name) for home, name in zip(homes, ("one", "two"), strict=True)
        ]
        self.node = 0
        self.kills = 0
        self.on_its_way_out = False

    def attempts(self):
        """The items that were worked at, by attempt."""
        found = []
        with open(os.path.join(self.folder, "witness"), "rb") as file:
            for line in file.read().decode().splitlines():
                kind, number = line.split()
                if kind == "begin":
                    found.append([])
                else:
                    found[-1].append(int(number))
        return found

    def start(self, other=False, **more):
        """Start the next attempt, here or on the *other* node, of which only the database is known."""
        command, env = self.command, self.envs[self.node]
        if other:
            code, out, err = flightlog("checkpoints", "victim", env=env)  # ships what this node has
            assert code == 0, (out, err)
            self.node = 1 - self.node
            env = self.envs[self.node]
            command = [sys.executable, "-m", "flightlog", "run", "--resume", "victim", "--yes", "--", *command]
        return subprocess.Popen(command, env=dict(env, **more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def kill_at_random(self, process, choose):
        """Kill the attempt that has just been started when it is somewhere among its items; tell whether that came in time."""
        witness = os.path.join(self.folder, "witness")
        begun = len(self.attempts()) if os.path.exists(witness) else 0
        before = os.path.getsize(witness) if begun else 0
        wait_until(lambda: os.path.exists(witness) and os.path.getsize(witness) > before, 60, "the next attempt")
        enough = before + choose.randrange(20, 500)
        wait_until(lambda: process.poll() is not None or os.path.getsize(witness) > enough, 60, "some items")
        with open(witness, "rb") as file:
            pid = [int(line.split()[1]) for line in file if line.startswith(b"begin")][-1]
        if process.poll() is None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        killed = self.wait(process) != 0
        self.kills += killed
        # Killed on its way out, when all was done: whether that is resumed, with nothing to do, or was over already, is a matter of microseconds.
        result = os.path.join(self.folder, "result")
        self.on_its_way_out = killed and os.path.exists(result) and os.path.getsize(result) > 0
        return killed and not self.on_its_way_out

    def wait(self, process):
        error = process.communicate(timeout=120)[1]
        assert process.returncode in (0, -signal.SIGKILL), error
        assert b"Traceback" not in error, error
        return process.returncode

    def check(self):
        """It has ended as if nobody had killed it, and no attempt has done more again than it had to."""
        with open(os.path.join(self.folder, "result")) as file:
            total, seen = map(int, file.read().split())
        assert total == sum(n * n for n in range(ITEMS)) and seen == ITEMS - 1 - (ITEMS - 7) % 7
        with sqlite3.connect(os.path.join(self.folder, "rows.db")) as database:
            found = [row[0] for row in database.execute("SELECT item FROM rows ORDER BY rowid")]
        assert found == list(range(ITEMS)), (found, self.attempts())
        done = set()
        for attempt in self.attempts():
            again = [item for item in attempt if item in done]
            assert len(again) <= EVERY, (again, self.attempts())
            assert attempt == sorted(set(attempt)), attempt
            done.update(attempt)
        assert done == set(range(ITEMS))
        folder = os.path.join(self.envs[self.node]["FLIGHTLOG_HOME"], "spool", str(os.geteuid()), "checkpoints")
        left = os.listdir(folder) if os.path.isdir(folder) else []
        assert not left or self.on_its_way_out, left


def test_resume_after_random_kills_here_and_on_another_node(home, dsn, tmp_path):
    """Fifty kills in `make faults`, five in `make test`; every second attempt or so goes on on the other node."""
    choose = random.Random(SEED)
    wanted, number, kills = rounds(5, whole=50), 0, 0
    while kills < wanted:
        work = Work(tmp_path / f"w{number}", (os.path.join(home, f"a{number}"), os.path.join(home, f"b{number}")), dsn)
        number += 1
        for attempt in range(choose.randrange(2, 5)):
            if not work.kill_at_random(work.start(other=attempt > 0 and choose.random() < 0.5), choose):
                break
        else:
            assert work.wait(work.start(other=choose.random() < 0.5)) == 0
        work.check()
        kills += work.kills


# Where a checkpoint makes system calls: birth of the lineage, of a value, of a file of items, and each later one.
POINTS = [
    *[f"open/lineage:{n}:kill_{when}" for n in (1,) for when in ("before", "after")],
    *[f"write/lineage:1:kill_{when}" for when in ("before", "half", "after")],
    *[f"fsync/lineage:1:kill_{when}" for when in ("before", "after")],
    *[f"fsync/checkpoints/:{n}:kill_{when}" for n in (1, 2, 3, 5, 6, 9) for when in ("before", "after")],
    *[f"open/v-:{n}:kill_{when}" for n in (1, 4, 6) for when in ("before", "after")],
    *[f"write/v-:{n}:kill_{when}" for n in (1, 2, 3) for when in ("before", "half", "after")],
    *[f"open/i-:1:kill_{when}" for when in ("before", "after")],
    *[f"write/i-:{n}:kill_{when}" for n in (1, 2, 3, 9) for when in ("before", "half", "after")],
    "fdatasync/i-:1:kill_before",
]


def test_resume_after_a_kill_inside_a_checkpoint(machine, home, dsn, tmp_path):
    """Before, within and after each system call that a checkpoint makes; whatever is on disk then, the next attempt goes on from it."""
    shim = machine.need("shim")
    missed = []
    for number, point in enumerate(random.Random(SEED).sample(POINTS, rounds(4, whole=len(POINTS)))):
        work = Work(tmp_path / f"p{number}", (os.path.join(home, f"p{number}"), os.path.join(home, "other")), dsn)
        if work.wait(work.start(**shimmed(shim, point, FAULT_PATHS="/checkpoints/"))) == 0:
            missed.append(point)
            continue
        assert work.wait(work.start()) == 0
        work.check()
    assert not missed
