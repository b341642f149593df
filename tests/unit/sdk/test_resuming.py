"""What a pipeline keeps, and what is done again when it was killed: real processes, under every interpreter that is here."""

import glob
import json
import os
import subprocess
import sys

import pytest

from acceptance.interpreters import VERSIONS, find
from flightlog.journal import reader
from flightlog.journal.format import salt_of

SRC = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src")
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


class Home:
    """One home in which programs run one after the other."""

    def __init__(self, path, python=sys.executable):
        self.path, self.python = path, python
        self.spool = path / "spool" / str(os.geteuid())
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("FLIGHTLOG_", "PYTHON"))}
        self.env.update(FLIGHTLOG_HOME=str(path), PYTHONPATH=SRC, PYTHONDONTWRITEBYTECODE="1")

    def __call__(self, code, *arguments, status=0, **more):
        """Run *code*; return (what it printed as JSON, one value a line; standard error)."""
        done = subprocess.run(
            [self.python, "-u", "-c", "import flightlog, json, os, signal, sys\n" + code, *arguments],
            env=dict(self.env, **more),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def records(self):
        found = []
        for path in glob.glob(str(self.spool / "*.seg")):
            for _, _, _, payload in reader.read_segment(path, salt_of(os.path.basename(path)[:32])):
                found.append(json.loads(payload))
        return sorted(found, key=lambda record: record["t"])

    def said(self):
        return [r["m"] for r in self.records() if r["k"] == "log" and r["lg"] == "flightlog.checkpoint"]

    def lineages(self):
        return sorted(os.listdir(self.spool / "checkpoints")) if (self.spool / "checkpoints").exists() else []


@pytest.fixture
def at(tmp_path):
    return Home(tmp_path / "home")


PROGRAM = """
def say(value): print(json.dumps(value), flush=True)
die = int(sys.argv[1])
with flightlog.run("orders", resume=True, day="2026-11-22") as run:
    say([run.attempt, run.origin != "", run.checkpoint("cursor", default="none")])
    with run.stage("load") as stage:
        for item in stage.track([str(n) for n in range(9)] + ["3"], key=str, every=1):
            say(item)
            if len(item) and int(item) == die: os.kill(os.getpid(), signal.SIGKILL)
            if item == "2": say(run.checkpoint("cursor", {"row": [2, None, "\\u00e9\\0\\ud800", 1.5, 2**70]}))
"""
CURSOR = {"row": [2, None, "é\0\ud800", 1.5, 2**70]}


@pytest.mark.parametrize("version", ["3.8", "3.13", "pypy3", "this"])
def test_a_killed_run_goes_on_where_it_was(tmp_path, version):
    python = sys.executable if version == "this" else find(version)
    if python is None:
        pytest.skip(f"no {version} here; {', '.join(name for name in VERSIONS if find(name))} are")
    at = Home(tmp_path / "home", python)
    first, _ = at(PROGRAM, "6", status=-9)
    assert first == [[1, False, "none"], "0", "1", "2", True, "3", "4", "5", "6"]
    second, _ = at(PROGRAM, "7", status=-9)
    assert second == [[2, True, CURSOR], "6", "7"]
    third, _ = at(PROGRAM, "-1")
    assert third == [[3, True, CURSOR], "7", "8", "3"]  # the second "3" is an item of its own
    assert at.lineages() == []
    ends = [r["x"] for r in at.records() if r.get("ev") == "stage.ended"]
    assert [(end["done"], end["passed"]) for end in ends] == [(10, 7)]
    assert at(PROGRAM, "-1")[0][0] == [1, False, "none"]
    assert any("goes on with what" in text for text in at.said())


def test_other_parameters_are_other_work_and_a_good_end_closes_what_was_left(at):
    keep = "with flightlog.run('p', resume=True, n=int(sys.argv[1])) as run:\n print(json.dumps(run.checkpoint('k')))\n run.checkpoint('k', run.params); "
    at(keep + KILL, "1", status=-9)
    assert at(keep + KILL, "2", status=-9)[0] == [None]
    assert len(at.lineages()) == 2
    fresh = "with flightlog.run('p', n=1) as run: pass"  # does the work of n=1 from the beginning, and well
    at(fresh)
    assert len(at.lineages()) == 1
    assert at(keep, "1")[0] == [None]
    assert at(keep, "2")[0] == [{"n": 2}]
    assert at.lineages() == []


def test_the_next_try_in_the_same_process_goes_on_and_a_good_one_closes_what_was_left(at):
    code = """
def items(work, fails):
    done = []
    try:
        with work, work.stage("load") as stage:
            for item in stage.track("abcd", key=str, every=1):
                if item == fails: raise ValueError(item)
                done.append(item)
    except ValueError: pass
    print(json.dumps([work.attempt, work.origin, done]), flush=True)
    return work
work = items(flightlog.run("p", resume=True, attempt=3), "c")
print(json.dumps(work.id))
work = items(work.retry(), "d")
items(work.retry(), "")
work = items(flightlog.run("q"), "c")
items(work.retry(), "")

@flightlog.run("r", resume=True)
def again(fails):
    with flightlog.stage("s") as stage:
        for item in stage.track("ab", key=str):
            if item == fails: raise ValueError(item)
            print(json.dumps(item), flush=True)
try: again("b")
except ValueError: pass
again("")
"""
    (third, first, fourth, fifth, *other, one, two), _ = at(code)
    assert third == [3, "", ["a", "b"]] and fourth == [4, first, ["c"]] and fifth == [5, first, ["d"]]
    assert [(attempt, done) for attempt, _, done in other] == [(1, ["a", "b"]), (2, ["a", "b", "c", "d"])]
    assert (one, two) == ("a", "b")
    assert at.lineages() == []


def test_an_item_at_hand_in_a_fork_is_the_parents_to_finish(at):
    code = """
with flightlog.run("p", resume=True) as run:
    with run.stage("load") as stage:
        for item in stage.track("ab", key=str, every=1):
            print(json.dumps(item), flush=True)
            if sys.argv[1] == "dies":
                if os.fork() == 0: break
                os.wait()
                os.kill(os.getpid(), signal.SIGKILL)
"""
    assert at(code, "dies", status=-9)[0] == ["a"]
    assert at(code, "lives")[0] == ["a", "b"]


def test_a_pipeline_that_is_not_in_the_rollout_goes_on_as_well_and_levels_do_not_touch_checkpoints(at, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("monitoring: {rollout: {percent: 0}}\n")
    out = {"FLIGHTLOG_CONFIG": str(config)}
    keep = "with flightlog.run('p', resume=True) as run:\n print(json.dumps(run.checkpoint('k')))\n run.checkpoint('k', 1); "
    assert at(keep + KILL, status=-9, **out)[0] == [None]
    assert at(keep + KILL, status=-9, **out)[0] == [1]
    assert at.records() == []
    config.write_text("logging: {level: CRITICAL}\n")
    subprocess.run(
        [sys.executable, "-m", "flightlog", "run", "--", "true"],
        env=dict(at.env, FLIGHTLOG_AGENT="never", **out),
        check=True,
    )  # has the settings compiled
    assert at(keep, **out)[0] == [1]
    assert [r["x"]["what"] for r in at.records() if r.get("ev") == "checkpoint"] == ["begun", "value"]
    assert at.said() == []


def test_one_at_a_time_and_forked_children_neither_hold_nor_end_it(at):
    code = """
def again():
    import subprocess
    child = "import flightlog, json\\nwith flightlog.run('p', resume=True) as run: print(json.dumps([run.attempt, run.checkpoint('k')]))"
    return json.loads(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
run = flightlog.run("p"); run.__enter__(); run.checkpoint("k", 1)
first = again()
if os.fork() == 0:
    run.__exit__(None, None, None)  # a child leaves the block of its parent
    signal.pause()
print(json.dumps([first, run.checkpoint("k")]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.Popen(
        [sys.executable, "-c", "import flightlog, json, os, signal, sys\n" + code],
        env=at.env,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        assert json.loads(done.stdout.readline()) == [[1, None], 1]
        assert done.wait(30) == -9
        again = "with flightlog.run('p', resume=True) as run: print(json.dumps([run.attempt, run.checkpoint('k')]))"
        assert at(again)[0] == [[2, 1]]  # although a child of the one before still lives
    finally:
        os.killpg(done.pid, 9)
        done.stdout.close()
    assert any("still goes on" in text for text in at.said())


def test_what_cannot_be_kept_is_said_and_nothing_raises(at):
    code = """
import datetime
with flightlog.run("p") as run:
    kept = [run.checkpoint("k", 1), run.checkpoint("k", {1, 2}), run.checkpoint("k", float("nan")), run.checkpoint("k", "x" * (1 << 20)),
            run.checkpoint("k", datetime), run.checkpoint("v", "one", version=1)]
    class Odd(dict):
        def items(self): raise StopAsyncIteration
        __iter__ = __len__ = __str__ = __repr__ = items
    kept[4] = run.checkpoint("odd", Odd(a=1)) and kept[4]
    run.checkpoint(Odd(), 1, version=Odd()); run.checkpoint(Odd())
    deep = []
    for _ in range(100000): deep = [deep]
    kept.append(run.checkpoint("k", deep))
    print(json.dumps(kept))
    print(json.dumps([run.checkpoint("k"), run.checkpoint("v", version=1), run.checkpoint("v", version=2, default="other"), run.checkpoint("v")]))
    run.checkpoint("t", (1, {2: "x"}))
    print(json.dumps(run.checkpoint("t")))
    os.chmod(run.lineage.folder, 0o500)
    import shutil; shutil.rmtree(os.path.dirname(run.lineage.folder))
    print(json.dumps([run.checkpoint("k", 2), run.checkpoint("k", default="gone")]))
print(json.dumps(flightlog.run("q").checkpoint("k", 1)))
"""
    printed, error = at(code)
    assert printed[0] == [True, False, False, False, False, True, False]
    assert printed[1] == [1, "one", "other", None]
    assert printed[2] == [1, {"2": "x"}]
    assert printed[3] == [False, "gone"] and printed[4] is False
    assert "1048578 bytes" in error and "Traceback" not in error
    assert any("version 1 and version 2 is wanted" in text for text in at.said())


def test_a_secret_stays_in_the_file_and_the_record_says_so(at):
    code = """
with flightlog.run("p") as run:
    run.checkpoint("plain", {"row": 1})
    run.checkpoint("login", {"password": "hunter2-secret"})
    print(json.dumps(run.checkpoint("login")))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert at(code, status=-9)[0] == [{"password": "hunter2-secret"}]
    values = [r["x"] for r in at.records() if r.get("ev") == "checkpoint" and r["x"]["what"] == "value"]
    assert [(x["key"], x.get("value"), x.get("local")) for x in values] == [
        ("plain", '{"row":1}', None),
        ("login", None, True),
    ]
    segments = b"".join(open(path, "rb").read() for path in glob.glob(str(at.spool / "*.seg")))
    assert b"hunter2" not in segments
    assert any("looks like a secret" in text for text in at.said())


def test_nothing_is_created_before_something_is_kept_and_it_works_switched_off(at, tmp_path):
    at("with flightlog.run('p', resume=True) as run: print(json.dumps(run.checkpoint('k')))")
    assert not (at.spool / "checkpoints").exists()
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: false\n")
    before = len(at.records())
    code = (
        "with flightlog.run('p', resume=True) as run:\n print(json.dumps(run.checkpoint('k'))); run.checkpoint('k', 1); "
        + KILL
    )
    off = {"FLIGHTLOG_CONFIG": str(config)}
    assert at(code, status=-9, **off)[0] == [None] and at(code, status=-9, **off)[0] == [1]
    assert len(at.records()) == before


def test_an_attached_run_without_a_local_checkpoint_says_so_where_a_database_is_named(at, tmp_path):
    code = "with flightlog.run('p', resume=True): pass"
    assert at(code)[1] == ""
    _, error = at(code, FLIGHTLOG_DSN="postgresql:///nowhere")
    assert error.count("flightlog: no checkpoint of p lies on this node") == 1
    config = tmp_path / "config.yml"
    config.write_text("logging:\n  level: INFO\ndatabase:\n  # ours\n  dsn_file: /etc/dsn\n")
    assert "no checkpoint" in at(code, FLIGHTLOG_CONFIG=str(config))[1]
    assert len([text for text in at.said() if "no checkpoint" in text]) == 2


def test_items_are_finished_when_the_next_is_asked_for_or_the_stage_ends_well(at):
    code = """
how = sys.argv[1]
try:
    with flightlog.run("p", resume=True) as run:
        with run.stage("load") as stage:
            seen = []
            for item in stage.track("abcd", key=lambda item: item if item != "c" else 1 / 0):
                seen.append(item)
                if how == "raise" and item == "b": raise KeyError(item)
                if how == "break" and item == "b": break
        print(json.dumps(["".join(seen), stage.done]))
        if how == "break": os.kill(os.getpid(), signal.SIGKILL)
except KeyError: print(json.dumps("".join(seen)))
"""
    assert at(code, "raise")[0] == ["ab"]  # b was not finished
    assert at(code, "break", status=-9)[0] == [["b", 1]]
    assert at(code, "all")[0] == [["cd", 4]]  # c has no key, and is done whenever it comes
    ended = [r["x"] for r in at.records() if r.get("ev") == "stage.ended"]
    assert [x["status"] for x in ended] == ["failed", "ok", "ok"]


def test_damaged_items_are_done_again_and_that_is_said(at):
    code = """
with flightlog.run("p", resume=True) as run, run.stage("load") as stage:
    seen = []
    for item in stage.track(range(6), key=int, every=1):
        seen.append(item)
        if item == int(sys.argv[1]):
            print(json.dumps(seen), flush=True); os.kill(os.getpid(), signal.SIGKILL)
print(json.dumps(seen))
"""
    at(code, "4", status=-9)
    (path,) = glob.glob(str(at.spool / "checkpoints" / "*" / "i-*"))
    data = open(path, "rb").read()
    with open(path, "wb") as file:
        file.write(data[:-7])  # the last block is torn: 3 is done again
    assert at(code, "5", status=-9)[0] == [[3, 4, 5]]
    with open(path, "wb") as file:
        file.write(b"\0" * 100)
    assert at(code, "-1")[0] == [[0, 1, 2, 5]]
    assert any("could not be read" in text for text in at.said())


def test_a_folder_that_does_not_say_what_it_is_of_is_spoken_of_when_nobody_makes_it_now(at):
    at("with flightlog.run('orders') as run:\n    run.checkpoint('at', 1)\n    " + KILL, status=-9)
    (folder,) = [path for path in glob.glob(str(at.path / "**" / "*-*"), recursive=True) if os.path.isdir(path)]
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    resumes = "with flightlog.run('orders', resume=True) as run:\n    print(json.dumps(run.checkpoint('at')))"
    printed, said = at(resumes)
    assert printed == [None] and "says not what it is of" not in said
    os.makedirs(folder, exist_ok=True)  # the good end has closed what was left
    os.utime(folder, (1, 1))
    assert "says not what it is of" in at(resumes)[1]
