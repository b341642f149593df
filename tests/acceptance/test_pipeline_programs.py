"""Programs of other people's libraries, unchanged: what they log is recorded once, as records, and what they show and return is what they show without us.

`python -m compileall` and tqdm are always here. scikit-learn, Luigi, Dagster, Prefect and Airflow are large: they are played when `make programs` has put
them into an environment of their own (FLIGHTLOG_PROGRAMS names another one), and else skipped with that as the reason.
"""

import os
import re
import subprocess
import sys

import pytest

from acceptance import running
from flightlog.journal import mark

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TIMES = re.compile(rb"\d+(?:\.\d+)?(?:ms|s\b|it/s)|\d\d:\d\d(?:[:<.\d]*)|\?it/s|\d\.\d+e-\d+")


def interpreter(package):
    """The Python that has *package*, or skip."""
    python = os.environ.get("FLIGHTLOG_PROGRAMS") or os.path.join(ROOT, ".venv-programs", "bin", "python")
    if not os.path.exists(python):
        pytest.skip(f"not run: {package} is not here; make programs installs it")
    if subprocess.run([python, "-c", f"import {package}"], capture_output=True, timeout=120).returncode:
        pytest.skip(f"not run: {python} has no {package}")
    return python


def both(command, tmp_path, timeout=150, **more):
    """Run *command* alone and under the keeper; return (status, stdout, stderr) of both."""
    env = running.environment(tmp_path / "home", **more)
    alone = running.run(command, tmp_path, cwd=tmp_path, env=env, timeout=timeout)
    kept = running.run(running.kept(command), tmp_path, cwd=tmp_path, env=env, timeout=timeout)
    assert kept[0] == alone[0], kept[2][-3000:]
    return alone, kept


def recorded(tmp_path):
    """({message: record} of what was logged, raw output of both streams); each message once."""
    logs = [record for record in running.records(tmp_path / "home") if record["k"] == "log"]
    raw = {}
    for meta in running.metas(tmp_path / "home"):
        splitter = mark.Splitter()
        parts = splitter.feed(running.captured(tmp_path / "home", meta["stream"])) + splitter.flush()
        raw[meta["stream"]] = b"".join(text for reference, text in parts if not reference)
    assert len({record["r"] for record in logs}) <= 1
    return logs, raw


def said(logs, raw, **expected):
    """Check that each of the messages was recorded once at its level, and that none is raw output as well."""
    for message, level in expected.items():
        text = message.replace("_", " ")
        assert [record["lv"] for record in logs if text in record["m"]] == [level], text
        assert text.encode() not in raw["stdout"] + raw["stderr"], text


def test_compileall(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    for name in ("a", "b"):
        (package / (name + ".py")).write_text("x = 1\n")
    (package / "c.py").write_text("x = = 1\n")
    alone, kept = both([sys.executable, "-m", "compileall", "-f", "package"], tmp_path)
    assert kept == alone and kept[0] == 1
    assert recorded(tmp_path) == ([], {"stdout": kept[1], "stderr": kept[2]})


BARS = """
import logging, tqdm, warnings
from tqdm.contrib.logging import logging_redirect_tqdm
logging.basicConfig(level=20)
with logging_redirect_tqdm():
    for number in tqdm.tqdm(range(3), desc="items", mininterval=60):
        logging.info("item done %d", number)
        if number == 1:
            warnings.warn("slow item")
"""


def test_a_script_with_a_bar_log_lines_and_a_warning(tmp_path):
    pytest.importorskip("tqdm")
    (tmp_path / "bars.py").write_text(BARS)
    alone, kept = both([sys.executable, "bars.py"], tmp_path)
    assert kept[1] == alone[1] and TIMES.sub(b"", kept[2]) == TIMES.sub(b"", alone[2])
    logs, raw = recorded(tmp_path)
    said(logs, raw, item_done_0=20, item_done_1=20, item_done_2=20, slow_item=30)
    assert b"items: 100%" in raw["stderr"] and raw["stdout"] == b""


FOREST = """
import logging, warnings
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
logging.basicConfig(level=20, format="%(levelname)s %(message)s")
x, y = make_classification(200, random_state=0)
model = LogisticRegression(max_iter=1).fit(x, y)
logging.info("score is %.2f", model.score(x, y))
print(model.score(x, y) > 0.5)
"""


@pytest.mark.slow
def test_scikit_learn(tmp_path):
    """Its ConvergenceWarning is one record, at its level, with its category."""
    python = interpreter("sklearn")
    (tmp_path / "model.py").write_text(FOREST)
    alone, kept = both([python, "model.py"], tmp_path)
    assert kept == alone and kept[0] == 0, kept[2]
    logs, raw = recorded(tmp_path)
    said(logs, raw, score_is=20, failed_to_converge=30)
    (warned,) = [record for record in logs if record["lv"] == 30]
    assert warned["x"] == {"category": "ConvergenceWarning"}
    assert raw == {"stdout": b"True\n", "stderr": b""}


LUIGI = """
import logging, luigi
class Extract(luigi.Task):
    ready = False
    def run(self):
        logging.getLogger("luigi-interface").info("extracting rows")
        print("printed by the task", flush=True)
        Extract.ready = True
    def complete(self):
        return Extract.ready
class Load(luigi.Task):
    ready = False
    def requires(self):
        return Extract()
    def run(self):
        logging.getLogger("mine").warning("loading rows")
        Load.ready = True
    def complete(self):
        return Load.ready
assert luigi.build([Load()], local_scheduler=True, workers=1)
"""


@pytest.mark.slow
def test_luigi(tmp_path):
    python = interpreter("luigi")
    (tmp_path / "nightly.py").write_text(LUIGI)
    alone, kept = both([python, "nightly.py"], tmp_path)
    assert kept[0] == 0 and kept[1] == alone[1]
    assert len(kept[2].splitlines()) == len(alone[2].splitlines())  # they name pids and random numbers
    logs, raw = recorded(tmp_path)
    said(logs, raw, extracting_rows=20, loading_rows=30, Done_scheduling_tasks=20)
    assert raw == {"stdout": b"printed by the task\n", "stderr": b""}


DAGSTER = """
import dagster, logging
@dagster.op
def work(context):
    context.log.info("said by the op", extra={"rows": 3})
    context.log.error("trouble in the op")
    logging.getLogger("lib").warning("said by a library")
    print("printed by the op", flush=True)
@dagster.job
def nightly():
    work()
assert nightly.execute_in_process().success
"""


@pytest.mark.slow
def test_dagster(tmp_path):
    """Its handler makes another text of each message and logs that again, for the console: one record all the same."""
    python = interpreter("dagster")
    (tmp_path / "nightly.py").write_text(DAGSTER)
    alone, kept = both([python, "nightly.py"], tmp_path)
    assert kept[0] == 0 and kept[1] == alone[1], kept[2]
    assert len(kept[2].splitlines()) == len(alone[2].splitlines())
    logs, raw = recorded(tmp_path)
    said(logs, raw, said_by_the_op=20, trouble_in_the_op=40, said_by_a_library=30)
    assert [record["x"] for record in logs if record["m"] == "said by the op"] == [{"rows": 3}]
    assert raw == {"stdout": b"printed by the op\n", "stderr": b""}


PREFECT = """
import logging
from prefect import flow, get_run_logger, task
@task
def load(number):
    get_run_logger().info("loading part %d", number)
    print("printed by the task")
@flow(log_prints=True)
def nightly():
    get_run_logger().warning("said by the flow")
    load(3)
nightly()
"""


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_prefect(tmp_path):
    """It starts a server of its own for the time of the flow, which takes long: once only, under the keeper."""
    python = interpreter("prefect")
    (tmp_path / "nightly.py").write_text(PREFECT)
    env = running.environment(
        tmp_path / "home",
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="500",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )
    status, out, err = running.run(running.kept([python, "nightly.py"]), tmp_path, cwd=tmp_path, env=env, timeout=600)
    assert status == 0, err[-3000:]
    assert out == b"" and b"Task run 'load-" in err and err.count(b"loading part 3") == 1
    logs, raw = recorded(tmp_path)
    said(logs, raw, said_by_the_flow=30, loading_part_3=20, printed_by_the_task=20)
    (loading,) = [record for record in logs if record["m"] == "loading part 3"]
    assert loading["lg"] == "prefect.task_runs" and loading["x"]["task_name"] == "load"
    assert raw == {"stdout": b"", "stderr": b""}
