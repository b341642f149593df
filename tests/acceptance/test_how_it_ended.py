"""A Python program that nobody supervises and that dies of an exception is not shown as one that succeeded."""

import json
import os
import pwd
import subprocess
import sys

import pytest

from unit.query.command import Command

LOGS = "import flightlog, logging, sys, atexit; flightlog.init('job'); logging.warning('began')\n"
RUN = "import flightlog, logging, atexit\nwith flightlog.run('job'):\n    logging.warning('began')\n"


@pytest.fixture
def ended(dsn, home):
    """Run a program; return the runs of `job`, newest first, and the lines of the latest."""
    flightlog = Command(dsn, home)

    def run(program, code=1, prompt=False):
        environment = {k: v for k, v in flightlog.environment.items() if not k.startswith("PYTHON")}
        command = [sys.executable, "-i"] if prompt else [sys.executable, "-"]
        done = subprocess.run(command, input=program.encode(), env=environment, capture_output=True, timeout=60)
        assert done.returncode == code, done.stderr
        runs = json.loads(flightlog("list", "job", "-o", "json")[0])["runs"]
        lines = flightlog("logs", "job", "-o", "cat")[0].splitlines()
        return [
            (one["state"], one["verdict"], one["confidence"], (one["error"] or {}).get("type")) for one in runs
        ], lines

    run.flightlog = flightlog
    return run


DIED = ("failed", "python-exception", "proven", "KeyError")


def test_logging_only(ended):
    assert ended(LOGS + "{}['x']") == ([DIED], ["began", "KeyError: 'x'"])


def test_what_is_logged_after_it_as_well(ended):
    runs, lines = ended(LOGS + "atexit.register(lambda: logging.warning('bye'))\n{}['x']")
    assert (runs, lines) == ([DIED], ["began", "KeyError: 'x'", "bye"])


def test_the_exception_that_left_the_run_is_told_in_that_run(ended):
    assert ended(RUN + "    {}['x']") == ([DIED], ["began", "KeyError: 'x'"])
    assert ended(RUN + "    atexit.register(lambda: logging.warning('bye')); {}['x']")[1][-1] == "bye"


def test_another_exception_after_the_run_is_another_matter(ended):
    runs, lines = ended(RUN + "    pass\n{}['x']")
    assert runs == [DIED, ("succeeded", "ok", "proven", None)] and lines == ["KeyError: 'x'"]
    program = "\n".join(
        ["try:", *("    " + line for line in (RUN + "    {}['x']").splitlines()), "except KeyError: pass"]
    )
    runs, lines = ended(program + "\n1 / 0")
    assert [one[3] for one in runs[:2]] == ["ZeroDivisionError", "KeyError"] and lines == [
        "ZeroDivisionError: division by zero"
    ]


def test_who_calls_the_hook_and_goes_on_has_not_failed(ended):
    program = LOGS + "try:\n    {}['x']\nexcept KeyError:\n    sys.excepthook(*sys.exc_info())\nlogging.warning('on')"
    assert ended(program, 0) == ([("succeeded", "ok", "likely", None)], ["began", "KeyError: 'x'", "on"])


def test_at_a_prompt_nothing_dies(ended):
    assert ended(LOGS + "{}['x']\nlogging.warning('on')\n", 0, prompt=True)[0] == [("succeeded", "ok", "likely", None)]


def test_an_exit_status_that_nobody_sees_is_not_proven(ended):
    assert ended(LOGS + "sys.exit(3)", 3)[0] == [("succeeded", "ok", "likely", None)]
    assert ended(RUN, 0)[0][0] == ("succeeded", "ok", "proven", None)


def test_who_it_was(ended):
    ended(RUN, 0)
    assert json.loads(ended.flightlog("status", "job", "-o", "json")[0])["user"] == pwd.getpwuid(os.geteuid()).pw_name
