"""The store cannot be reached: reading commands answer from the spool of this node, say so, and exit 3."""

import json
import os

import pytest

from flightlog import identity
from integration.shipping import execute, log
from unit.query.command import Command
from unit.query.recorded import SECOND, Recorded, ago, event

MILLISECOND = 10**6


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def offline(home):
    """flightlog on the node that recorded, its server gone."""
    return Command(f"host={home}/nowhere dbname=x", home)


@pytest.fixture
def orders(recorded):
    at = ago(minutes=10)
    first, second, other = (identity.new_ulid(at + n * SECOND) for n in range(3))
    strange = 'tab\t back\\slash \\N "quoted" new\nline \x1b[31m é 日 \x00'
    recorded.write(
        first,
        [
            event(first, "run.started", at, {"pipeline": "orders", "kind": "supervised", "command": ["job"], "pid": 7}),
            log(first, "older", at + 1 * MILLISECOND),
            event(first, "run.ended", at + 9 * MILLISECOND, {"status": "failed", "exit_code": 3}),
        ],
    )
    recorded.write(
        second,
        [
            event(second, "run.started", at, {"pipeline": "orders", "kind": "attached"}),
            log(second, "loading", at + 1000 * MILLISECOND, lg="etl", s="extract"),
            log(
                second,
                strange,
                at + 4000 * MILLISECOND,
                lv=30,
                lg="etl.io",
                s="extract/merge",
                x={"ms": 7, "path": "a\\b"},
                th="T 1",
            ),
            log(
                second,
                "Failed",
                at + 5000 * MILLISECOND,
                lv=40,
                e={"type": "KeyError", "module": "builtins", "message": "'k'", "frames": []},
            ),
        ],
    )
    recorded.write(second, [log(second, "from a worker", at + 3000 * MILLISECOND)])  # another process of the same run
    recorded.write(other, [log(other, "no event at all", at + 2000 * MILLISECOND)], "team/other")
    return first, second, other


def test_it_is_said_and_the_exit_code_tells(offline, orders):
    for command in (["logs", "orders"], ["status"], ["list"], ["status", "orders", "-o", "json"]):
        out, err = offline(*command, code=3)
        assert out
        assert err.startswith("Error: cannot connect to host=")
        assert "-- from the spool of this node: " in err
    out, err = offline("audit", code=3)
    assert (out, "Error: cannot connect" in err) == ("", True)
    out, err = offline("logs", "-f", "orders", code=3)
    assert (out, "spool" in err) == ("", False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["logs", "-o", "jsonl"],
        ["logs", "-o", "json", "orders"],
        ["logs", "orders@all", "-n", "2"],
        ["logs", "orders", "-n", "all", "-r"],
        ["logs", "-o", "full", "team/*"],
        ["logs", "orders@-1"],
        ["logs", "-p", "warn", "-o", "jsonl"],
        ["logs", "-p", "..info", "-o", "jsonl"],
        ["logs", "-g", "Failed"],
        ["logs", "-g", "failed|older"],
        ["logs", "--stage", "extract"],
        ["logs", "--logger", "etl"],
        ["logs", "--source", "sdk", "--node", "testnode", "-S", "1h", "-U", "now"],
        ["logs", "-U", "1h"],
        ["list"],
        ["list", "-o", "json"],
        ["list", "orders", "--sort", "-lines", "-o", "jsonl"],
        ["list", "--sort", "ended"],
        ["list", "--pipelines", "-n", "1"],
        ["list", "--state", "failed", "-S", "1h"],
        ["status", "orders@failed", "-o", "json"],
        ["status", "-o", "json"],
    ],
    ids=" ".join,
)
def test_the_answer_is_the_stores(offline, recorded, orders, dsn, arguments):
    """What the spool says is what the store says when all was shipped, but for positions, which the store gives, and how full the spool is."""

    def comparable(text):
        return [_comparable(line.rstrip(",")) for line in text.splitlines()]

    before = offline(*arguments, code=3)[0]
    recorded.ship()
    execute(dsn, "SELECT pipeline_runs_lost_v1('testnode', '{}')")
    after = Command(dsn, os.path.join(offline.environment["FLIGHTLOG_HOME"], "reader"), FLIGHTLOG_NODE="reader")(
        *arguments
    )[0]
    assert comparable(before) == comparable(after)
    assert before or "1h" in arguments


def _comparable(line):
    try:
        data = json.loads(line)
    except ValueError:
        return line
    lines = data.get("lines")
    for line in lines if isinstance(lines, list) else [data, *data.get("runs", [])]:
        for name in ("pos", "spool"):  # what the store alone can tell
            line.pop(name, None)
    return data


def test_more_than_one_batch(offline, recorded):
    """What a run did is summed up over batches; lines are the newest."""
    at = ago(minutes=5)
    run = identity.new_ulid(at)
    began = event(run, "run.started", at, {"pipeline": "long", "kind": "attached"})
    lines = [log(run, f"line {n}", at + n * MILLISECOND, lv=30 if n % 5 == 0 else 20) for n in range(45_000)]
    recorded.write(run, [began, *lines], "long")
    data = json.loads(offline("status", "long", "-o", "json", code=3)[0])
    assert (data["lines"], data["warnings"], data["kind"]) == (45_000, 9000, "attached")
    shown = offline("logs", "long", "-n", "3", "-o", "cat", code=3)[0]
    assert shown.splitlines() == ["line 44997", "line 44998", "line 44999"]


def test_unknown_names_are_told_with_exit_3(offline, orders):
    out, err = offline("logs", "nobody", code=3)
    assert (out, "-- no run or pipeline is called nobody --" in err) == ("", True)
    assert "no regular expression: (" in offline("logs", "-g", "(", code=2)[1]


def test_an_empty_spool(offline):
    out, err = offline("status", code=3)
    assert (out, "-- there is nothing in it --" in err) == ("", True)


def test_lines_of_a_real_run_are_whole(offline):
    """Captured output, log records and the end of a run that no agent ever shipped."""
    script = "import logging; logging.basicConfig(); print('printed', flush=True); logging.warning('said'); 1 / 0"
    offline("run", "-n", "real", "--", "python3", "-c", script, code=1)
    lines = [json.loads(line) for line in offline("logs", "real", "-o", "jsonl", code=3)[0].splitlines()]
    assert {line["message"] for line in lines} >= {"printed"}
    data = json.loads(offline("status", "real", "-o", "json", code=3)[0])
    assert (data["state"], data["exit_code"], data["lines"]) == ("failed", 1, len(lines))


def test_a_run_that_nobody_ends_is_lost(offline, orders):
    """Its writer is dead, and there is no end."""
    assert json.loads(offline("status", "orders", "-o", "json", code=3)[0])["state"] == "lost"


def test_nothing_is_changed(offline, orders, home):
    def listing():
        return sorted(
            (os.path.join(folder, name), os.path.getsize(os.path.join(folder, name)))
            for folder, _, names in os.walk(os.path.join(home, "spool"))
            for name in names
        )

    before = listing()
    offline("logs", code=3)
    assert listing() == before
