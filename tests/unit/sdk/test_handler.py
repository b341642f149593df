"""`DatabaseLogHandler`, `structlog_processor` and `loguru_sink` where nothing is hooked: what reaches them is recorded, once. And beside the hooks, once as well."""

import os
import subprocess

import pytest
from test_recording import SRC, messages, records, run

from acceptance.interpreters import VERSIONS, find

CONFIG = """
import logging, logging.config, logging.handlers, os, queue, sys
class Even(logging.Filter):
    def filter(self, record):
        return record.args is None or not record.args or record.args[0] % 2 == 0
logging.config.dictConfig({
    "version": 1,
    "formatters": {"named": {"format": "%(name)s says %(message)s"}},
    "filters": {"even": {"()": Even}},
    "handlers": {
        "database": {"class": "flightlog.DatabaseLogHandler", "level": "INFO", "filters": ["even"], "pipeline": "configured"},
        "another": {"class": "flightlog.DatabaseLogHandler"},
        "formatted": {"class": "flightlog.DatabaseLogHandler", "formatter": "named"},
    },
    "loggers": {
        "a": {"handlers": ["database"], "level": "DEBUG"},
        "a.twice": {"handlers": ["another"]},
        "b": {"handlers": ["formatted", "another"], "level": "DEBUG"},
    },
})
"""
PROGRAM = (
    CONFIG
    + """
log = logging.getLogger("a")
log.debug("below")
for number in range(3):
    log.info("number %d", number, extra={"n": number})
logging.getLogger("a.twice").warning("twice")
logging.getLogger("b").info("hello")
logging.getLogger("unhandled").warning("to nobody")
try:
    {}["k"]
except KeyError:
    log.exception("failed", stack_info=True)
log.info("arguments %d", 4, 5)
log.info("a") if False else log.handlers[0].handle(logging.makeLogRecord({"msg": "made", "levelno": 30, "levelname": "WARNING"}))
lines = queue.Queue()
queued = logging.getLogger("queued")
queued.propagate = False
queued.setLevel(10)
queued.addHandler(logging.handlers.QueueHandler(lines))
listener = logging.handlers.QueueListener(lines, log.handlers[0], logging.getLogger("b").handlers[1])
listener.start()
queued.info("through a queue")
listener.stop()
pid = os.fork()
if pid == 0:
    log.info("in a child")
    os._exit(0)
os.waitpid(pid, 0)
print("callHandlers is logging's own:", "_fl_take" not in logging.Logger.callHandlers.__code__.co_names)
"""
)
SAID = [
    "number 0",
    "number 2",
    "twice",
    "b says hello",
    "failed",
    "%d (arguments do not fit)",
    "made",
    "through a queue",
]
SAID[5] = "arguments %d (arguments do not fit: TypeError)"


def check(done, found, implicit=1):
    assert (done.returncode, done.stdout) == (0, "callHandlers is logging's own: True\n"), done.stderr
    logs = {record["m"]: record for record in found if record["k"] == "log"}
    assert sorted(messages(found)) == sorted([*SAID, "in a child"])
    assert (logs["number 2"]["x"], logs["number 2"]["lv"], logs["number 2"]["lg"]) == ({"n": 2}, 20, "a")
    assert logs["number 2"]["f"] == "<string>" and logs["number 2"]["fn"] == "<module>"
    assert logs["failed"]["e"]["type"] == "KeyError" and "stack_info" in logs["failed"]["x"]
    events = [(record["ev"], record["x"].get("pipeline")) for record in found if record["k"] == "event"]
    assert ("run.started", "configured") in events
    assert [name for name, _ in events].count("run.ended") == 1
    assert len({record["r"] for record in logs.values()}) == 1


def test_named_in_a_dictconfig_and_nothing_hooked(tmp_path):
    check(*run(tmp_path, PROGRAM))


def other(python, folder, code):
    """As `run`, in another interpreter."""
    spool = folder / "home" / "spool" / "1"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FLIGHTLOG_", "PYTHON"))}
    env.update(FLIGHTLOG_HOME=str(folder / "home"), FLIGHTLOG_SPOOL=str(spool), PYTHONPATH=SRC)
    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    return done, records(spool)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version in ("3.8", "3.13", "pypy3")])
def test_in_other_interpreters(tmp_path, version):
    python = find(version) or pytest.skip(f"no Python {version} on this machine")
    check(*other(python, tmp_path, PROGRAM))


def test_beside_the_hooks_each_record_is_one_and_it_is_the_hooks(tmp_path):
    """With its plain message, and also what the handler's level and filter would have kept out."""
    code = "import flightlog; flightlog.init()\n" + PROGRAM.replace("is logging's own:", "")
    done, found = run(tmp_path, code)
    assert done.returncode == 0, done.stderr
    expected = [*SAID, "in a child", "below", "number 1", "to nobody", "hello"]
    expected.remove("b says hello")
    assert sorted(messages(found)) == sorted(expected)


def test_a_handler_that_gets_nothing_makes_no_file(tmp_path):
    done, found = run(tmp_path, CONFIG + "logging.getLogger('other').warning('w'); logging.getLogger('a').debug('d')")
    assert (done.returncode, found) == (0, [])
    assert not (tmp_path / "home").exists()


def test_a_filter_that_puts_another_record_in_its_place(tmp_path):
    """As Python allows from 3.12 on: what is recorded is the replacement, once; beside the hooks, what was logged."""
    python = find("3.13") or pytest.skip("no Python 3.13 on this machine")
    code = """
import copy, logging, flightlog, sys
class Masking(logging.Filter):
    def filter(self, record):
        twin = copy.copy(record) if self.name else logging.makeLogRecord(vars(record))
        twin.msg = "masked"
        return twin
log = logging.getLogger("x"); log.setLevel(10)
for name in ("", "copy"):
    handler = flightlog.DatabaseLogHandler(); handler.addFilter(Masking(name)); log.addHandler(handler)
log.info("plain")
"""
    assert messages(other(python, tmp_path / "alone", code)[1]) == ["masked"]
    code = "import flightlog; flightlog.init()\n" + code
    assert messages(other(python, tmp_path / "hooked", code)[1]) == ["plain"]


def test_switched_off_it_does_nothing_and_says_nothing(tmp_path):
    (tmp_path / "config.yml").write_text("monitoring: {enabled: false}\n")
    code = CONFIG + "logging.getLogger('a').error('e'); logging.getLogger('a').error('e')"
    done, found = run(tmp_path, code, FLIGHTLOG_CONFIG=str(tmp_path / "config.yml"))
    assert (done.returncode, done.stdout, done.stderr, found) == (0, "", "", [])


def test_structlog_and_loguru_wired_by_hand(tmp_path):
    pytest.importorskip("structlog")
    pytest.importorskip("loguru")
    code = """
import sys, structlog, loguru, flightlog
if sys.argv[1:] == ["hooked"]: flightlog.init()
def drop(logger, method, event_dict):
    if event_dict["event"] == "dropped later": raise structlog.DropEvent
    return event_dict
structlog.configure(processors=[structlog.processors.add_log_level, flightlog.structlog_processor, drop, structlog.processors.KeyValueRenderer()])
log = structlog.get_logger()
log.info("one", a=1)
log.bind(b=2).warning("dropped later", a=1)
log.info("one", a=1)
try: {}["k"]
except KeyError: log.exception("failed")
loguru.logger.remove()
loguru.logger.add(flightlog.loguru_sink, level="INFO")
loguru.logger.add(flightlog.loguru_sink, level="INFO", enqueue=True) if sys.argv[1:] else None
loguru.logger.debug("below")
loguru.logger.bind(c=3).info("two {}", 2)
loguru.logger.info("two 2")
loguru.logger.complete()
"""
    for hooked in ([], ["hooked"]):
        text = code.replace("sys.argv[1:]", repr(hooked))
        folder = tmp_path / str(len(hooked))
        folder.mkdir()
        done, found = run(folder, text)
        assert done.returncode == 0 and "one" in done.stdout, done.stderr
        assert messages(found) == ["one", "dropped later", "one", "failed", "two 2", "two 2"]
        logs = [record for record in found if record["k"] == "log"]
        assert [record.get("x") for record in logs] == [{"a": 1}, {"b": 2, "a": 1}, {"a": 1}, None, {"c": 3}, None]
        assert [record["lv"] for record in logs] == [20, 30, 20, 40, 20, 20]
        assert logs[3]["e"]["type"] == "KeyError" and logs[0]["fn"] == "<module>"
        assert [record["ev"] for record in found if record["k"] == "event"] == ["run.started", "run.ended"]


def test_what_is_refused_is_counted_once_whatever_it_passes_through(tmp_path):
    pytest.importorskip("loguru")
    code = """
import flightlog, logging, logging.handlers, queue, time; flightlog.init()
from loguru import logger
from flightlog.config.control import STATE
from flightlog.sdk.recorder import recorder
class ToLoguru(logging.Handler):
    def emit(self, record): logger.log(record.levelname, record.getMessage())
lines = queue.Queue()
logger.remove(); logger.add(flightlog.loguru_sink); logger.add(flightlog.DatabaseLogHandler(), format="{time} {message}")
log = logging.getLogger("x"); log.setLevel(10)
for handler in (flightlog.DatabaseLogHandler(), ToLoguru(), flightlog.DatabaseLogHandler(), logging.handlers.QueueHandler(lines)): log.addHandler(handler)
log.error("before")
page = bytearray(recorder.page); page[STATE] = 2
recorder.page = recorder.control.page = page
recorder.check_at = time.time_ns() + 5 * 10**9
log.debug("refused")
log.handlers[0].handle(lines.get()); log.handlers[0].handle(lines.get())
recorder.check_at = 0
"""
    done, found = run(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert messages([record for record in found if record.get("src") != "flightlog"]) == ["before"]
    assert [record["dropped"] for record in found if record["k"] == "drops"] == [{"10/pressure": 1}]
