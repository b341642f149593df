"""Nothing about a record's content loses it: what the fast way chokes on goes the slow way."""

import pytest
from test_recording import messages, run

NATIVE = "import flightlog; log = flightlog.get_logger('x')\n"
LOGGING = "import flightlog, logging; flightlog.init(); log = logging.getLogger('x'); logging.getLogger().addHandler(logging.NullHandler())\n"


@pytest.mark.parametrize(
    ("message", "recorded"),
    [
        ("['a', 1]", "['a', 1]"),
        ("{}", "{}"),
        ("7", "7"),
        ("None", "None"),
        ("'\\ud800'", "\\ud800"),
        ("type('S', (str,), {})('sub')", "sub"),
        ("type('B', (), {'__str__': lambda s: 1/0})()", "<unprintable B object>"),
    ],
)
def test_native_message_of_any_type(tmp_path, message, recorded):
    done, found = run(tmp_path, NATIVE + f"for i in range(3): log.info({message}, i=i)")
    assert (done.returncode, done.stderr) == (0, "")
    assert messages(found) == [recorded] * 3
    assert [record["x"] for record in found if record["k"] == "log"] == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_one_line_of_code_with_several_levels_and_loggers(tmp_path):
    code = "import flightlog\nfor n in 'ab':\n for v in (10, 40):\n  flightlog.get_logger(n).log(v, 'm')"
    _, found = run(tmp_path, code)
    assert [(r["lg"], r["lv"]) for r in found if r["k"] == "log"] == [("a", 10), ("a", 40), ("b", 10), ("b", 40)]


def test_same_text_at_two_places_keeps_its_own_line(tmp_path):
    _, found = run(tmp_path, NATIVE + "for _ in range(2):\n  log.info('m')\n  log.info('m')")
    assert [r["ln"] for r in found if r["k"] == "log"] == [3, 4, 3, 4]


def test_bound_fields_come_first_and_exceptions_last(tmp_path):
    code = (
        NATIVE
        + "log = log.bind(a=1)\nlog.info('m'); log.info('m', b=2)\ntry: 1/0\nexcept Exception: log.exception('m')"
    )
    _, found = run(tmp_path, code)
    logs = [r for r in found if r["k"] == "log"]
    assert [list(r["x"].items()) for r in logs] == [[("a", 1)], [("a", 1), ("b", 2)], [("a", 1)]]
    assert logs[2]["e"]["type"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    "change",
    [
        "record.name = ['x']",
        "record.lineno = 'n'",
        "record.threadName = None",
        "record.exc_info = True",
        "record.pathname = 7",
        "record.created = float('nan')",
        "record.created = 'x'",
    ],
)
def test_logging_record_with_strange_attributes(tmp_path, change):
    code = (
        LOGGING
        + f"record = log.makeRecord('x', 30, 'p', 1, 'kept', (), None)\n{change}\nlog.handle(record); log.error('next')"
    )
    done, found = run(tmp_path, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert messages(found) == ["kept", "next"]


def test_control_page_is_obeyed_from_one_record_to_the_next(tmp_path):
    code = """
import flightlog, os
from flightlog import identity
from flightlog.config.control import ControlPage
page = ControlPage(identity.control_path(''))
log = flightlog.get_logger('x')
log.info('on'); page.set_state(disabled=True); log.info('off'); log.error('off')
page.set_state(pressure=2); log.info('shed'); log.error('kept'); page.set_state(); log.info('on again')
"""
    done, found = run(tmp_path, code)
    assert done.stderr == ""
    assert messages([r for r in found if r.get("lg") == "x"]) == ["on", "kept", "on again"]
    assert [r["m"][:42] for r in found if r.get("src")] == ["1 record was dropped (pressure 2: INFO 1) "]
    assert [record["dropped"] for record in found if record["k"] == "drops"] == [{"20/pressure": 1}]
