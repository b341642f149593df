"""What a process records: each test runs a real interpreter and reads the journal it left behind."""

import glob
import json
import os
import signal
import subprocess
import sys

import pytest

from flightlog.journal import reader
from flightlog.journal.format import salt_of

SRC = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src")


def run(tmp_path, code, **environment):
    """Run *code*; return (process, records without headers)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_") and k != "PYTHONUNBUFFERED"}
    spool = tmp_path / "home" / "spool" / "1"
    env.update(
        {"FLIGHTLOG_HOME": str(tmp_path / "home"), "FLIGHTLOG_SPOOL": str(spool), "PYTHONPATH": SRC}, **environment
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    return done, records(spool)


def records(spool):
    found = []
    for path in sorted(glob.glob(str(spool / "*.seg"))):
        for _, _, _, payload in reader.read_segment(path, salt_of(os.path.basename(path)[:32])):
            if payload is None:  # a write that the file size limit cut short: torn, declared by the reader
                continue
            found.append(json.loads(payload))
    return [record for record in found if record["k"] != "head"]


def messages(found):
    return [record["m"] for record in found if record["k"] == "log"]


def test_importing_needs_the_standard_library_only_and_little_of_it(tmp_path):
    code = "import sys, flightlog; print([m for m in ('logging', 'typing', 'dataclasses', 'asyncio', 'json') if m in sys.modules])"
    env = dict(os.environ, PYTHONPATH=SRC)
    done = subprocess.run([sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_exports_are_what_all_says():
    import flightlog

    assert sorted(flightlog.__all__) == flightlog.__all__
    for name in flightlog.__all__:
        assert getattr(flightlog, name) is not None


def test_process_that_records_nothing_creates_no_file(tmp_path):
    done, found = run(tmp_path, "import flightlog; flightlog.init(); flightlog.get_logger('x')")
    assert (done.returncode, done.stderr, found) == (0, "", [])
    assert not (tmp_path / "home").exists()


def test_logging_is_recorded_and_stays_as_it_was(tmp_path):
    code = """
import flightlog; flightlog.init()
import logging
logging.basicConfig(level=logging.INFO, format='%(levelname)s|%(funcName)s|%(lineno)d|%(message)s')
def work(): logging.getLogger('etl').info('rows %d', 3, extra={'rows': 3, 'db_password': 'x'})
work(); logging.debug('hidden'); logging.warning('a %s b')
print(logging.getLogger().level, len(logging.getLogger().handlers))
"""
    done, found = run(tmp_path, code)
    plain = subprocess.run(
        [sys.executable, "-c", code.replace("import flightlog; flightlog.init()", "")], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (plain.stdout, plain.stderr)
    assert messages(found) == ["rows 3", "a %s b"]
    record = next(r for r in found if r.get("m") == "rows 3")
    assert (record["lv"], record["lg"], record["fn"], record["ln"]) == (20, "etl", "work", 5)
    assert record["x"] == {"rows": 3, "db_password": "[redacted]"}


def test_native_records_carry_run_stage_and_fields(tmp_path):
    code = """
import flightlog
log = flightlog.get_logger('etl')
with flightlog.run('orders') as run:
    with run.stage('extract', total=2) as stage:
        for i in stage.track([1, 2]):
            with stage.stage('merge'): log.info('loaded', i=i, big=2**80, bad=float('nan'), text='\\ud800')
log.warning('outside')
"""
    done, found = run(tmp_path, code)
    assert done.returncode == 0, done.stderr
    logs = [r for r in found if r["k"] == "log"]
    assert [(r["m"], r.get("s")) for r in logs] == [("loaded", "extract/merge")] * 2 + [("outside", None)]
    assert logs[0]["x"] == {"i": 1, "big": str(2**80), "bad": "nan", "text": "\\ud800"}
    events = [(r["ev"], r.get("s")) for r in found if r["k"] == "event" and r["r"] == logs[0]["r"]]
    assert events[0][0] == "run.started"
    assert events[-1][0] == "run.ended"
    assert ("stage.ended", "extract") in events
    assert logs[2]["r"] != logs[0]["r"]


def test_uncaught_exceptions_are_recorded_with_their_chain_and_change_nothing(tmp_path):
    code = """
import flightlog, threading; flightlog.init()
def broken(): raise KeyError('in thread')
t = threading.Thread(target=broken); t.start(); t.join()
try: 1/0
except ZeroDivisionError as problem: raise ValueError('dead') from problem
"""
    done, found = run(tmp_path, code)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: dead")
    thread, main = [r for r in found if r["k"] == "log"]
    assert thread["e"]["type"] == "KeyError"
    assert (main["lv"], main["e"]["cause"]["type"]) == (50, "ZeroDivisionError")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.closerange(3, 70000)",
        "import os, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))",
        "import os, shutil; shutil.rmtree(os.environ['FLIGHTLOG_HOME'])",
    ],
)
def test_trouble_never_reaches_the_program(tmp_path, code):
    program = f"""
import flightlog, logging; flightlog.init(); logging.getLogger().addHandler(logging.NullHandler())
log = flightlog.get_logger('x'); log.info('before')
{code}
for i in range(600): log.info('after', i=i); logging.error('e %d', i)
print('end')
"""
    done, _ = run(tmp_path, program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_kill_switch_of_the_config_stops_recording_and_nothing_else(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: false\n")
    code = "import flightlog, logging; flightlog.init(); logging.warning('w'); flightlog.get_logger('x').info('i'); print('ran')"
    done, found = run(tmp_path, code, FLIGHTLOG_CONFIG=str(config))
    assert (done.stdout, done.stderr, found) == ("ran\n", "WARNING:root:w\n", [])


def test_records_whose_call_returned_survive_sigkill(tmp_path):
    code = """
import flightlog, os, threading
log = flightlog.get_logger('k')
def work(t):
    i = 0
    while True:
        log.info('r', t=t, i=i); os.write(1, b'%d %d\\n' % (t, i)); i += 1
for t in range(4): threading.Thread(target=work, args=(t,), daemon=True).start()
threading.Event().wait()
"""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_")}
    for round_ in range(8):
        spool = tmp_path / str(round_)
        env.update(FLIGHTLOG_SPOOL=str(spool), PYTHONPATH=SRC)
        process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
        witnessed = process.stdout.read(3000 + 700 * round_)
        process.send_signal(signal.SIGKILL)
        witnessed += process.stdout.read()
        process.wait()
        process.stdout.close()
        said = {tuple(map(int, line.split())) for line in witnessed.decode().splitlines(True) if line.endswith("\n")}
        seen, rest = [], []
        for path in glob.glob(str(spool / "*.seg")):
            for _, _, _, payload in reader.read_segment(path, salt_of(os.path.basename(path)[:32])):
                record = json.loads(payload) if payload else {}
                if record.get("k") == "log":
                    seen.append((record["x"]["t"], record["x"]["i"]))
                else:
                    rest.append(record)
        assert len(seen) == len(set(seen))
        files = [(path.name, path.stat().st_size) for path in spool.iterdir()]
        assert said <= set(seen), (said - set(seen), rest, files)


def test_what_failed_stays_owed_when_its_declaration_is_broken_off(tmp_path):
    code = """
import flightlog; flightlog.init()
from flightlog.sdk.recorder import recorder
logger = flightlog.get_logger("x")
logger.info("first")
writer, drop, calls = recorder.writer, recorder.writer.drop, []
def broken_off(level, reason, pressure=0):
    calls.append(reason)
    if len(calls) == 2:
        raise ValueError("from another thread")
    drop(level, reason, pressure)
writer.drop = broken_off
recorder.failed, recorder.check_at = 3, 0
logger.info("not lost with it")
logger.info("third")
"""
    done, found = run(tmp_path, code)
    assert (done.returncode, done.stderr, messages(found)[:3]) == (0, "", ["first", "not lost with it", "third"])
    assert [record["dropped"] for record in found if record["k"] == "drops"][-1] == {"0/failed": 3}


def test_what_a_program_records_before_and_after_its_own_run_is_one_implicit_run_that_ends(tmp_path):
    code = """
import flightlog
log = flightlog.get_logger("x")
log.info("before")
with flightlog.run("own"):
    log.info("within")
log.info("after")
"""
    done, found = run(tmp_path, code)
    assert (done.returncode, done.stderr, messages(found)) == (0, "", ["before", "within", "after"])
    before, within, after = [record["r"] for record in found if record["k"] == "log"]
    assert before == after != within
    events = [(record["ev"], record["r"]) for record in found if record["k"] == "event"]
    assert sorted(events) == sorted((name, r) for name in ("run.started", "run.ended") for r in (before, within))


def test_threads_whose_first_records_come_at_once_have_one_run_and_one_writer(tmp_path):
    code = """
import threading
import flightlog
from flightlog.sdk import recorder as module
recorder, both = module.recorder, threading.Barrier(2)
find_config, choose = module.switch.find_config, recorder._choose_run
def together(what):
    both.wait(20)
    return what()
module.switch.find_config = lambda: together(find_config)
recorder._choose_run = lambda: together(choose)
log = flightlog.get_logger("x")
threads = [threading.Thread(target=log.info, args=("first",)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    done, found = run(tmp_path, code)
    assert (done.returncode, done.stderr, messages(found)) == (0, "", ["first", "first"])
    assert len({record["r"] for record in found if "r" in record}) == 1
    assert len(list((tmp_path / "home" / "spool" / "1").glob("*.seg"))) == 1
    assert [record["ev"] for record in found if record["k"] == "event"] == ["run.started"]
