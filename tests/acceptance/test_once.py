"""Each line once: what a library logs is one record, what a program prints is raw output, and the console shows what it shows without us.

Each program of `once/` runs bare and under `flightlog run`. Then three things are compared: the console, byte for byte (times and
addresses aside; sorted where threads or processes race); the messages in the journal; and the captured bytes outside of verified marks.
"""

import glob
import json
import os
import re
import subprocess
import sys

import pytest
from running import environment, metas, spool
from test_injected import VERSIONS, interpreter

from flightlog.journal import mark, reader
from flightlog.journal.format import salt_of

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "once")
VARYING = re.compile(rb"0x[0-9a-f]+|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?|(?<=\bthread )\d+|(?<=\bThread-)\d+")

# program: (messages in the journal, raw output). The order does not matter where the program is named in RACING.
CASES = {
    "logging_basic": (["info 1", "warn 2", "boom"], "print 1\nprint 2\nprint 3\n"),
    "logging_last_resort": (["w1"], "p\n"),
    "logging_two_handlers": (["to both"], ""),
    "logging_reconfigured": (["before any configuration", "a", "b", "c"], ""),
    "logging_json_no_propagate": (["json line", "dbg"], "between\n"),
    "logging_queue": ([f"q {i}" for i in range(20)], ""),
    "logging_queue_to_logger": (["from fork", "from spawn"], ""),
    "logging_memory": (["one", "two", "three"], "between\n"),
    "logging_redirected_descriptor": (["before", "inside file", "after"], "b'INFO:root:inside file\\n'\n"),
    "logging_redirected_stdout": (["to both"], "got 'swallowed\\nto both\\n'\n"),
    "logging_wrapped_stream": (["via idiom \u00e9"], "pending print\nafter\n"),
    "logging_partial_lines": (["logged", "first line\nsecond line\n"], "half  rest\n"),
    "logging_handler_logs": (["outer", "handler says outer"], ""),
    "logging_own_records": (
        ["plain 1", "by a factory", "BY A CLASS", "MADE"],
        "LogRecord logging <LogRecord:\n[True, True, True]\n" * 2,
    ),
    "logging_errors": (["%d (arguments do not fit: TypeError)", "\u00e9", "ok", "dies"], None),
    # Shown twice, because nobody can tell what these streams do with a text: a record, and raw output.
    "streams_of_the_programs_own": (
        ["tee", "caf\u00e9", "line of Windows", "as usual", "in a file"],
        "b'tee\\n'\nb'in a file\\n'\ntee\ncaf\u00e9\nline of Windows\r\n",
    ),
    "logging_adapter": (["adapted", "same", "same", "between levels", "stack"], ""),
    "logging_threads_and_children": (
        [f"thread {n} line {i} {'x' * (i % 90)}" for n in range(6) for i in range(200)],
        "".join(
            [f"child {n} {i}\n" for n in range(2) for i in range(200)] + [f"print from {n}\n" for n in range(6)],
        ),
    ),
    "asyncio_tasks": ([f"task {n} {i}" for i in range(20) for n in range(10)], ""),
    "warnings_captured": (['warnings_captured.py:6: UserWarning: old\n  warnings.warn("old", stacklevel=1)\n'], "x\n"),
    "warnings_printed": (
        ["old", "gone soon", "two\nlines", "asked for", "own format"],
        "between\n1\nfile.py:3: RuntimeWarning: to another stream\nown: own function\n",
    ),
    "logging_more": (
        ["noticed", "fine", "b: a: nested", "fields", "where", "handled", "given", "from a thread of C"],
        "",
    ),
    "consoles_of_others": (
        [
            "[bold]rich[/bold] " + "words that are folded " * 8,
            "failed",
            "held",
            "to nowhere",
            "error stream",
            "chatty",
            "beside a bar",
            "beside a bar",
        ],
        "True\na print\nabout to say it\nsaid\na line of its own\n",
    ),
    "processes": (
        [f"worker {name} {i}" for name in ("fork", "spawn", "forkserver") for i in range(2)]
        + ["in a bare fork", "main"],
        "",
    ),
    "structlog_default": (["s1", "s2", "s3", "s4"], "p1\n"),
    "structlog_bytes": (["shown", "e"], "p\n"),
    "structlog_write": (["w1", "w2"], ""),
    "structlog_stdlib": (["std1", "inner", "std2", "inner", "std3", "plain 1"], ""),
    "structlog_callsite": (["where", "stack", "dead"], ""),
    "loguru_default": (["l1", "l2 3", "l3"], "p\n"),
    "loguru_reconfigured": (["a", "ax", "s", "raw without a newline", "colour"], ""),
    "loguru_enqueue": ([f"e {i}" for i in range(30)] + ["from a thread", "from a spawned process"], "p\n"),
    "loguru_intercept": (
        ["from stdlib ByDepth", "native ByDepth", "from stdlib ByWalking", "native ByWalking"],
        "",
    ),
    "loguru_propagate": (["prop", "std"], ""),
    "uncaught": (["KeyError: 'in a thread'", "ValueError: dead"], "p\n"),
}
RACING = {"logging_threads_and_children", "processes", "loguru_enqueue", "logging_queue_to_logger"}


def supervised(tmp_path, *command, **more):
    front = [sys.executable, "-m", "flightlog", "run", "--"]
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never", **more)
    return subprocess.run([*front, *command], env=env, cwd=tmp_path, capture_output=True, timeout=120)


def bare(tmp_path, *command):
    return subprocess.run([*command], env=environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=120)


def journalled(tmp_path):
    """The log records of all writers, in the order of their times."""
    found = []
    for path in glob.glob(os.path.join(spool(tmp_path / "home"), "*.seg")):
        for _, _, _, payload in reader.read_segment(path, salt_of(os.path.basename(path)[:32])):
            assert payload is not None, "bytes that are no frame"
            found.append(json.loads(payload))
    return sorted((record for record in found if record["k"] == "log"), key=lambda record: record["t"])


def captured(tmp_path):
    """(raw bytes, references of marks) of all captures, those of standard output first."""
    raw, references = b"", []
    home = tmp_path / "home"
    for meta in sorted(metas(home), key=lambda meta: meta["stream"] == "stderr"):
        splitter = mark.Splitter()
        parts = []
        for path in sorted(glob.glob(os.path.join(spool(home), meta["writer"] + ".*.cap"))):
            with open(path, "rb") as file:
                parts += splitter.feed(file.read())
        parts += splitter.flush()
        raw += b"".join(text for reference, text in parts if not reference)
        references += [reference.decode() for reference, _ in parts if reference]
    return raw, references


def shown(data, racing):
    """What a console shows, less what differs from run to run."""
    text = VARYING.sub(b"N", data)
    return sorted(text.splitlines()) if racing else text


def test_every_program_is_a_case():
    assert {name[:-3] for name in os.listdir(FOLDER) if name.endswith(".py")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_each_line_is_once_in_the_journal_or_in_the_raw_output_and_the_console_is_the_same(tmp_path, name):
    check(tmp_path, sys.executable, name)


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_the_same_in_every_interpreter(tmp_path, version):
    """The replacements are laid over the lines of the library they replace: those of each version."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    for name in (
        "logging_errors",
        "logging_own_records",
        "logging_reconfigured",
        "logging_adapter",
        "logging_more",
        "warnings_printed",
        "warnings_captured",
        "processes",
    ):
        folder = tmp_path / name
        folder.mkdir()
        check(folder, python, name)


@pytest.mark.parametrize("options", [["-u"], ["-X", "dev"], ["-W", "error"], ["-bb"], ["-OO"], ["-P"]], ids="".join)
def test_the_same_with_options_of_python(tmp_path, options):
    for name in (
        "logging_errors",
        "logging_partial_lines",
        "structlog_bytes",
        "loguru_default",
        "uncaught",
        "processes",
    ):
        folder = tmp_path / name
        folder.mkdir()
        check(folder, sys.executable, name, options)


def test_the_order_of_both_streams_is_kept_when_they_go_to_one_place(tmp_path):
    for name in ("logging_basic", "loguru_default", "structlog_default", "logging_memory"):
        script = os.path.join(FOLDER, name + ".py")
        plain = bare(tmp_path, "sh", "-c", f"exec '{sys.executable}' '{script}' 2>&1")
        env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never")
        done = subprocess.run(
            [sys.executable, "-m", "flightlog", "run", "--", sys.executable, script],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        assert shown(done.stdout, False) == shown(plain.stdout, False)


def check(tmp_path, python, name, options=()):
    messages, raw = CASES[name]
    racing = name in RACING
    command = [python, *options, os.path.join(FOLDER, name + ".py")]
    plain, done = bare(tmp_path, *command), supervised(tmp_path, *command)
    assert done.returncode == plain.returncode, done.stderr
    assert shown(done.stdout, racing) == shown(plain.stdout, racing)
    assert shown(done.stderr, racing) == shown(plain.stderr, racing)
    found = [record["m"].replace(FOLDER + os.sep, "") for record in journalled(tmp_path)]
    output = captured(tmp_path)[0].decode("utf-8" if name != "streams_of_the_programs_own" else "latin-1")
    if racing:
        assert sorted(found) == sorted(messages)
        assert sorted(output.splitlines()) == sorted(raw.splitlines())
        return
    assert found == messages
    if raw is None:  # logging's complaints about its own errors are output of the program
        assert "--- Logging error ---" in output
        assert "work ok" not in output
    else:
        assert output == raw


def test_marks_name_the_records_they_are_copies_of(tmp_path):
    for name in ("loguru_enqueue", "logging_memory", "logging_queue_to_logger"):
        folder = tmp_path / name
        folder.mkdir()
        supervised(folder, sys.executable, os.path.join(FOLDER, name + ".py"))
        numbers = set()
        for path in glob.glob(os.path.join(spool(folder / "home"), "*.seg")):
            writer = os.path.basename(path)[:32]
            for _, _, n, payload in reader.read_segment(path, salt_of(writer)):
                if payload.startswith(b'{"k":"log"'):
                    numbers.add(f"{writer}.{n}")
        references = captured(folder)[1]
        assert references
        assert sorted(references) == sorted(numbers)


def test_records_that_were_not_journalled_are_shown_as_raw_output(tmp_path):
    """Switched off, or nothing could be written: a mark would make the line vanish."""
    config = tmp_path / "own.yml"  # not the shim's: it obeys the switch as well and captures nothing any more
    program = f"""
import os; os.environ["FLIGHTLOG_CONFIG"] = {str(config)!r}
import logging, sys, structlog
from loguru import logger
logging.basicConfig(level=20)
logger.remove(); logger.add(sys.stderr, format="{{message}}"); logger.add(sys.stderr, format="queued {{message}}", enqueue=True)
def say(when):
    logging.info("logging " + when); structlog.get_logger().info("structlog " + when); logger.info("loguru " + when); logger.complete()
say("before")
open({str(config)!r}, "w").write("monitoring: {{enabled: false}}\\n")
from flightlog.sdk.recorder import recorder
recorder.check_at = 0
say("after")
"""
    config.write_text("monitoring: {enabled: true}\n")
    (tmp_path / "x.py").write_text(program)
    done = supervised(tmp_path, sys.executable, "x.py")
    assert done.returncode == 0, done.stderr
    assert [record["m"] for record in journalled(tmp_path)] == ["logging before", "structlog before", "loguru before"]
    text = captured(tmp_path)[0].decode()
    assert [line for line in text.splitlines() if "before" in line] == []
    for line in ("INFO:root:logging after", "loguru after", "queued loguru after"):
        assert text.splitlines().count(line) == 1
    assert "structlog after" in text


def test_fields_and_place_of_structlog_records_are_the_callers(tmp_path):
    supervised(tmp_path, sys.executable, os.path.join(FOLDER, "structlog_stdlib.py"))
    records = {record["m"]: record for record in journalled(tmp_path)}
    assert records["std1"]["x"] == {"a": 1}
    assert records["std3"]["x"] == {"b": 2}
    assert "x" not in records["inner"]
    folder = tmp_path / "callsite"
    folder.mkdir()
    supervised(folder, sys.executable, os.path.join(FOLDER, "structlog_callsite.py"))
    assert {(os.path.basename(r["f"]), r["fn"]) for r in journalled(folder)} == {("structlog_callsite.py", "work")}
    folder = tmp_path / "write"
    folder.mkdir()
    supervised(folder, sys.executable, os.path.join(FOLDER, "structlog_write.py"))
    assert [r["x"] for r in journalled(folder)] == [{"request": "r1"}, {"request": "r1", "n": 2}]


def test_fields_of_records_of_logging_and_warnings(tmp_path):
    for name in ("logging_more", "warnings_printed", "warnings_captured"):
        supervised(tmp_path, sys.executable, os.path.join(FOLDER, name + ".py"))
    records = {record["m"]: record for record in journalled(tmp_path)}
    assert (records["noticed"]["lv"], records["noticed"]["fn"], records["fine"]["lv"]) == (25, "notice", 7)
    assert records["fields"]["x"] == {"rows": 3, "taskName2": None, "levelname_": "x"}
    assert records["where"]["x"]["stack_info"].startswith("Stack (most recent call last):")
    assert (records["handled"]["e"]["type"], records["given"]["e"]["type"]) == ("KeyError", "ValueError")
    old, soon = records["old"], records["gone soon"]
    assert (old["lv"], old["lg"], old["x"]) == (30, "py.warnings", {"category": "UserWarning"})
    assert os.path.basename(old["f"]) == "warnings_printed.py"
    assert soon["ln"] - old["ln"] == 5 and soon["x"] == {"category": "DeprecationWarning"}  # where stacklevel points
    (captured,) = [record for record in records.values() if "warnings_captured.py:6" in record["m"]]
    assert (captured["lv"], captured["x"]) == (30, {"category": "UserWarning"})
