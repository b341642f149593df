"""What a capture could not keep is told by every command that shows the run, and `audit` calls it incomplete."""

import glob
import json
import os
import re
import subprocess

import pytest

from flightlog.cli import output
from unit.query.command import FLIGHTLOG, Command

TOTAL = sum(len(str(number)) + 1 for number in range(1, 50001))
BLOCKS = 20  # of 1024 bytes: what a file may have


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, home)


@pytest.fixture
def recorded(flightlog):
    """A run whose capture may have some KB only, and one that lost nothing; return how many bytes the first one lost."""
    line = f'ulimit -f {BLOCKS}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *FLIGHTLOG, "run", "-n", "small", "--", "seq", "1", "50000"],
        env=flightlog.environment,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, len(done.stdout), done.stderr) == (0, TOTAL, b"")
    kept = sum(map(os.path.getsize, glob.glob(f"{flightlog.environment['FLIGHTLOG_HOME']}/spool/*/*.cap")))
    flightlog("run", "-n", "good", "--", "echo", "hi")
    assert 0 < kept < TOTAL
    return TOTAL - kept


def test_audit_says_not_complete(flightlog, recorded):
    out, _ = flightlog("audit", code=1)
    lines = [line.split("  ") for line in out.splitlines()]
    assert lines[0][-1].strip() == "LOST"
    shown = {line[0]: line[-1].strip() for line in lines[1:4]}
    assert shown["good"] == "0" and shown["small"] == shown["total"] == output.size(recorded)
    assert f"NOT complete: {output.size(recorded)} of output were not kept; all " in out
    assert re.search(r"\n  capture [0-9a-f]{32} of small \w{6}: [\d.]+ KiB of output were not kept\n$", out)
    flightlog("audit", "good")


def test_audit_counts_it_once_as_json(flightlog, recorded):
    data = json.loads(flightlog("audit", "small", "-o", "json", code=1)[0])
    assert (data["good"], data["lost_bytes"], data["missing"]) == (False, recorded, 0)
    assert [(item["kind"], item["lost_bytes"]) for item in data["writers"] if item["lost_bytes"]] == [
        ("capture", recorded)
    ]


def test_status_and_list_show_it(flightlog, recorded):
    assert (
        f"\n  not kept  {output.size(recorded)} of output, which the console had\n" in flightlog("status", "small")[0]
    )
    for command in ("status", "list"):
        out, _ = flightlog(command)
        assert re.search(rf" small .* exit 0, {output.size(recorded)} of output not kept\n", out)
        assert re.search(r" good .* exit 0\n", out)
        runs = json.loads(flightlog(command, "-o", "json")[0])["runs"]
        assert {run["pipeline"]: (run["lost_bytes"], run["dropped"]) for run in runs} == {
            "small": (recorded, 0),
            "good": (0, 0),
        }


def test_logs_show_where_it_is_missing(flightlog, recorded):
    out, err = flightlog("logs", "small", "-n", "all")
    lines = out.splitlines()
    (at,) = [n for n, line in enumerate(lines) if " WARN " in line]
    assert f" WARN   {recorded} bytes of stdout were not kept (the spool could not be written)" in lines[at]
    assert lines[0].endswith(" 1") and lines[-1].endswith(" 50000") and 1000 < at < len(lines) - 1  # where the gap is
    assert err == f"-- {output.size(recorded)} of output were not kept; flightlog audit says why --\n"
    assert flightlog("logs", "small", "-q", "-p", "error") == ("", "")
    (told,) = [json.loads(line) for line in flightlog("logs", "small", "-p", "warn", "-o", "jsonl")[0].splitlines()]
    assert (told["source"], told["fields"]) == (
        "flightlog",
        {"lost_bytes": recorded, "stream": "stdout", "pressure": 0},
    )
    assert flightlog("logs", "good")[1] == ""


def test_the_spool_knows_it_as_well(home, recorded):
    away = Command(f"host={home}/nowhere dbname=x", home)
    assert f"not kept  {output.size(recorded)}" in away("status", "small", code=3)[0]
    assert json.loads(away("list", "small", "-o", "jsonl", code=3)[0])["lost_bytes"] == recorded
    assert f"{output.size(recorded)} of output were not kept" in away("logs", "small", "-n", "1", code=3)[1]
    assert "were not kept" not in away("logs", "good", code=3)[1]
