"""The bench's own promises: a hung worker is named, a section replaces itself only."""

import sys

import pytest
from bench import results
from bench.subject import Subject

TALKER = """
import json, sys, time
open("started", "a").write("x")
for line in sys.stdin:
    if line.startswith("busy"): time.sleep(1000)
    if line.startswith("threads"): sys.exit(3)
    print(json.dumps({"mean": 2000.0, "calls": 10}), flush=True)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def talker(tmp_path, code=TALKER):
    return Subject("talker", str(tmp_path), seconds=1, command=[sys.executable, "-c", code])


def test_worker_that_hangs_or_dies_costs_that_kind_of_round_only(tmp_path):
    subject = talker(tmp_path)
    for _ in range(2):
        for kind in (("idle", 1), ("busy", 1), ("threads", 4, 1)):
            subject.ask(*kind)
    subject.close()
    assert subject.trouble == {"busy": "hangs", "threads 4": "died"}
    assert (subject.median("idle", "mean"), subject.median("busy", "mean")) == (2.0, None)
    assert subject.calls == 20
    assert (
        tmp_path / "started"
    ).read_text() == "xxx"  # at first, after the hang, after the death: neither is tried again


def test_worker_that_cannot_start_is_asked_once(tmp_path):
    subject = talker(tmp_path, "raise SystemExit(1)")
    subject.ask("idle", 1)
    subject.ask("busy", 1)
    subject.close()
    assert subject.trouble == {"start": "died"}


def test_section_replaces_itself_and_keeps_the_order_of_the_others():
    text = ""
    for name in ("startup", "calls", "startup"):
        text = results.replaced(text, name, results.wrapped(name, name.title(), f"body of {name}"))
    text = results.replaced(text, "calls", results.wrapped("calls", "Calls", "new body"))
    assert text.startswith(results.HEAD)
    assert text.count("<!-- calls -->") == text.count("<!-- startup -->") == 1
    assert text.index("new body") < text.index("body of startup")
    assert "body of calls" not in text


def test_aim_that_was_not_measured_is_neither_met_nor_missed():
    lines = results.verdicts([("a", 0.5, 0.9), ("b", 0.95, 0.9), ("c", None, 1)]).splitlines()[2:]
    assert [line.rsplit("|", 2)[1].strip() for line in lines] == ["met", "**missed**", "not measured"]
