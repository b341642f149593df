"""docs/reference/journal-format.md names every key that a real run leaves in the spool, and the spool holds only files it names."""

import json
import os
import re
import sys

from running import metas, spool
from test_once import supervised

from flightlog.journal import reader
from flightlog.journal.format import parse_name, salt_of
from waiting import wait_until

DOCUMENT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "reference", "journal-format.md"
)
PROGRAM = """
import logging, os, sys, threading
import flightlog
logging.basicConfig()
log = flightlog.get_logger("n")
with flightlog.run("etl", day="2026-11-22") as run:
    with run.stage("extract", total=2) as stage:
        for i in stage.track([1, 2]):
            logging.warning("w %d", i, extra={"rows": i})
        stage.rows(read=2, written=1)
        stage.progress(2, loss=0.5)
    for kind in ("gauge", "counter", "histogram"):
        run.metric(kind, 1, kind, "unit")
    with flightlog.run("child"):
        pass
    log.info("long " * 20_000)
    log.info("fields", **{"k%d" % i: "v" * 20_000 for i in range(20)})
    from flightlog.sdk.recorder import recorder
    recorder.writer.drop(20, "pressure")
    try:
        try:
            {}["k"]
        except KeyError as problem:
            raise ValueError("v") from problem
    except ValueError:
        log.exception("failed")
print("printed")
flightlog.get_logger("late").info("after the run")
os.kill(os.getpid(), 9)
"""


def documented():
    """All words that the document sets as code."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    words = set()
    for code in re.findall(r"`([^`\n]+)`", text):
        words.update(re.findall(r"[A-Za-z_.]+", code))
        words.add(code.strip('"'))
    return words


def records_of(home):
    for name in sorted(os.listdir(spool(home))):
        if name.endswith(".seg"):
            for _, _, _, payload in reader.read_segment(os.path.join(spool(home), name), salt_of(name[:32])):
                yield json.loads(payload)


def exception_keys(data):
    keys = set(data)
    for frame in data.get("frames", ()):
        keys |= set(frame)
    for inner in ("cause", "context"):
        if data.get(inner):
            keys |= exception_keys(data[inner])
    return keys


def test_every_key_kind_and_event_of_a_real_run_is_documented(tmp_path):
    (tmp_path / "x.py").write_text(PROGRAM)
    done = supervised(tmp_path, sys.executable, "x.py")
    assert done.returncode == -9, done.stderr
    words, used, kinds, names = documented(), set(), set(), set()
    for record in records_of(tmp_path / "home"):
        kinds.add(record["k"])
        used |= set(record)
        if record["k"] == "event":
            names.add(record["ev"])
            used |= set(record["x"])
            used |= {key for capture in record["x"].get("captures", ()) for key in capture}
            used |= {key for part in ("rusage", "zombie") for key in record["x"].get(part, ())}
            if record["ev"] == "figures":
                used |= {key for one in record["x"]["figures"] for key in one}
        problem = record.get("e") or (record["k"] == "event" and record["x"].get("error"))
        if problem:
            used |= exception_keys(problem)
    for meta in metas(tmp_path / "home"):
        used |= set(meta)
    assert kinds == {"head", "log", "event", "drops"}
    assert {
        "run.started",
        "run.adopted",
        "run.left",
        "run.ended",
        "stage.started",
        "stage.ended",
        "progress",
        "figures",
    } <= names
    assert {"capture.opened", "cause", "tr", "rusage", "role", "writer"} <= names | used
    assert used | kinds | names <= words, sorted((used | kinds | names) - words)


def test_every_file_of_a_real_run_is_documented(tmp_path):
    (tmp_path / "x.py").write_text(PROGRAM)
    supervised(tmp_path, sys.executable, "x.py")
    folder = spool(tmp_path / "home")
    # The shim gives up its room for last words after the run was told to have ended.
    wait_until(lambda: not [name for name in os.listdir(folder) if name.endswith(".spare")], 20)
    suffixes = set()
    for name in os.listdir(folder):
        assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
        if name.startswith("reserve."):
            continue
        parsed = parse_name(name)
        assert parsed is not None, name
        suffixes.add(parsed[2])
        assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
    assert suffixes == {".seg", ".lock", ".cap", ".idx", ".meta", ".end"}
    assert os.stat(folder).st_mode & 0o777 == 0o700
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    assert all(f"{suffix}`" in text for suffix in suffixes)
