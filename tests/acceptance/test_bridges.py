"""One record of each bridge, in each way of running code: once, in the right run and stage, at the right level.

bridged_program.py says `<library.way>` for each of them. Supervised, it is looked at as people do: shipped, then `flightlog logs`; attached, in the
journal, which then is all there is.
"""

import collections
import json
import os
import re
import subprocess
import sys

import pytest

from acceptance import running
from unit.query.command import Command

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bridged_program.py")
SAID = re.compile(r"<([a-z ]+)\.([a-z ]+)>")
WAYS = ["main", "thread", "bare thread", "executor", "task", "fork", "spawn"]
LEVELS = {
    "console": 30,
    "own level": 25,
    "adapter": 40,
    "database": 20,
    "database and console": 50,
    "propagated": 20,
    "queue": 30,
    "rich": 40,
    "tqdm": 20,
    "tqdm idiom": 10,
    "structlog": 30,
    "structlog to logging": 20,
    "structlog processor": 40,
    "structlog processor to logging": 30,
    "structlog formatter": 40,
    "loguru": 25,
    "warnings": 30,
    "captured warnings": 30,
    "native": 5,
    "print": 20,
    "descriptor": 20,
}
RAW = {"print": "stdout", "descriptor": "stderr"}
FIELDS = {
    "adapter": ["outer"],  # as logging has it: an adapter replaces what another around it put there
    "database": ["rows"],
    "structlog": ["rows"],
    "structlog to logging": ["rows"],
    "structlog processor": ["rows"],
    "structlog processor to logging": ["rows"],
    "warnings": ["category"],
    "captured warnings": ["category"],
}
# A thread begun in C inherits nothing, and nobody hands it anything.
WITHOUT_STAGE = {"bare thread"}


def judge(rows, libraries, run_of):
    """Check (text, level, run, stage, source, fields) of all rows against the tables. A dict of what is wrong, empty when all is right."""
    found = collections.defaultdict(list)
    for row in rows:
        for said in sorted(set(SAID.findall(row[0]))):
            found[said].append(row)
    wrong = {}
    for name in libraries:
        for way in WAYS:
            rows = found.pop((name, way), [])
            if len(rows) != 1:
                wrong[name, way] = [(row[0], row[4]) for row in rows]
                continue
            _, level, run, stage, source, fields = rows[0]
            expected = {"", way} if name in RAW else {"" if way in WITHOUT_STAGE else way}
            good = (
                level == LEVELS[name]
                and run_of(way, run)
                and (stage or "") in expected
                and source == RAW.get(name, "sdk")
                and all(field in (fields or {}) for field in FIELDS.get(name, []))
            )
            if not good:
                wrong[name, way] = rows[0]
    wrong.update(found)  # what nobody said
    return wrong


def test_supervised_each_is_once_in_the_logs(dsn, tmp_path):
    pytest.importorskip("structlog")
    flightlog = Command(dsn, tmp_path / "home")
    flightlog.environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", "run", "--", sys.executable, PROGRAM, "supervised"],
        env=flightlog.environment,
        cwd=tmp_path,
        capture_output=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    flightlog("agent", "run", "--once")
    lines = [json.loads(line) for line in flightlog("logs", "bridges@all", "-n", "all", "-o", "jsonl")[0].splitlines()]
    run = json.loads(flightlog("status", "bridges", "-o", "json")[0])["run"]
    rows = [
        (line["message"], line["levelno"], line["run"], line["stage"], line["source"], line["fields"]) for line in lines
    ]
    assert judge(rows, LEVELS, lambda way, found: found == run) == {}
    said = {name for name, _ in SAID.findall(done.stdout.decode() + done.stderr.decode())}
    assert said == set(LEVELS) - {"database", "native", "captured warnings"}  # and what has a console was shown there


def test_attached_each_is_once_in_the_journal(tmp_path):
    env = running.environment(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, PROGRAM, "attached"], env=env, cwd=tmp_path, capture_output=True, timeout=150
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert b"\x1b_fl;" not in done.stdout + done.stderr
    (run,) = {e["r"] for e in running.events(tmp_path / "home") if e["ev"] == "stage.started"}
    rows = [
        (r["m"], r["lv"], r["r"], r.get("s"), r.get("src", "sdk"), r.get("x"))
        for r in running.records(tmp_path / "home")
        if r["k"] == "log"
    ]
    libraries = [name for name in LEVELS if name not in RAW]
    assert judge(rows, libraries, lambda way, found: found == run) == {}
