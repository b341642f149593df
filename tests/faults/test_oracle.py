"""The oracle can turn red: each of its sentences is broken once, in the real thing where that is possible; and all 48 faults have their test."""

import ast
import glob
import os
import re

import oracle
import pytest
from campaign import HERE
from oracle import compare

from integration.shipping import execute

LOGS = """
import flightlog, worker
log = flightlog.get_logger("victim")
for n in range(int(worker.argument(1))):
    worker.log(log.info, "a", n)
"""


def test_every_fault_has_its_test_once():
    found = []
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        with open(path) as file:
            names = [node.name for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.FunctionDef)]
        found += [int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_", name))]
    assert sorted(set(found)) == sorted(found), "a number is there twice"
    assert sorted(found) == list(range(1, 49))


@pytest.fixture
def told(scene):
    """A scene in which twenty records were logged, witnessed and stored."""
    assert scene.run(LOGS, 20) == 0, scene.words()
    scene.check()
    return scene


def test_green_when_nothing_happened(told):
    assert (told.tally.witnessed, told.tally.stored, told.tally.lost, told.tally.doubled) == (20, 20, 0, 0)


def test_red_when_the_database_is_not_what_was_witnessed(told):
    execute(told.dsn, "UPDATE pipeline_logs SET message = message || '!' WHERE message LIKE 'w:a:7:%'")
    with pytest.raises(AssertionError, match=r"texts of \[\('a', 7\)\] have changed"):
        told.check()
    execute(told.dsn, "UPDATE pipeline_logs SET message = rtrim(message, '!') WHERE message LIKE 'w:a:7:%'")
    columns = "run_id, ts, pos, seq, writer_id, levelno, level, message, source, node, flags"
    more = columns.replace(" pos", " pos + 1000").replace(" seq", " seq + 1000")
    copy = f"INSERT INTO pipeline_logs ({columns}) SELECT {more} FROM pipeline_logs WHERE message LIKE 'w:a:7:%'"
    execute(told.dsn, copy)
    with pytest.raises(AssertionError, match="a 7 is stored twice"):
        told.check()
    execute(told.dsn, "DELETE FROM pipeline_logs WHERE message LIKE 'w:a:7:%'")
    with pytest.raises(AssertionError, match="1 of 20 lost"):
        told.check()
    with pytest.raises(AssertionError, match="0 declared"):
        told.check(may_lose=True)


def test_red_when_a_frame_is_damaged_and_that_is_not_allowed(scene):
    assert scene.run(LOGS, 20) == 0
    (path,) = glob.glob(os.path.join(scene.spool, "*.seg"))
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(data.index(b"w:a:7:"))
        file.write(b"x")
    with pytest.raises(AssertionError, match="1 of 20 lost"):
        scene.check()
    scene.check(may_lose=True)
    assert (scene.tally.lost, scene.tally.declared) == (0, 1)


def test_red_when_no_agent_ships(told, monkeypatch):
    monkeypatch.setattr(oracle, "LIVENESS_SECONDS", 0.5)
    told.agent.kill()
    told.agent.wait()
    with pytest.raises(AssertionError, match="a fresh record"):
        told.check_alive()


def test_red_when_records_were_stored_that_no_call_returned_from():
    witnessed = {("a", 0): "x"}
    compare(witnessed, [("w", "a", 0, "x"), ("w", "a", 1, "y")], 1)
    with pytest.raises(AssertionError, match="no call was seen"):
        compare(witnessed, [("w", "a", 0, "x"), ("w", "a", 1, "y"), ("w", "a", 2, "z")], 1)
    with pytest.raises(AssertionError, match="stored behind"):
        compare(witnessed, [("w", "a", 1, "y"), ("w", "a", 0, "x")], 1)
