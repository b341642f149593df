"""Names of thousands of characters: cut where people look, whole for programs, and still found."""

import json

import pytest

from unit.query.command import Command
from unit.query.recorded import Recorded

LONG = "long/" + "name-" * 999
KEPT = LONG[:512]


@pytest.fixture
def flightlog(dsn, home):
    recorded = Recorded(dsn, home)
    recorded.run(LONG, end=("failed", 3), messages=[{"message": "said", "m": "said", "s": LONG}])
    recorded.run("short")
    return Command(dsn, home)


def widths(text):
    return [len(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    "arguments", [["list"], ["status"], ["audit"], ["audit", "--writers"], ["logs"], ["logs", LONG]]
)
def test_people_see_their_beginning(flightlog, arguments):
    out, err = flightlog(*arguments, code=0)
    assert "long/name-name" in out and "..." in out
    assert max(widths(out)) < 220 and max([0, *widths(err)]) < 220


def test_on_a_screen_there_is_room_for_the_rest(flightlog):
    out, _ = flightlog("list", COLUMNS="80")
    row = out.splitlines()[2]
    assert row.startswith("!  failed     long/name-") and row.endswith("exit 3") and len(row) <= 80


@pytest.mark.parametrize("columns", ["1", "4", "8", "15", "30"])
@pytest.mark.parametrize("command", ["list", "status", "audit"])
def test_a_very_narrow_screen_is_no_mistake(flightlog, command, columns):
    assert flightlog(command, COLUMNS=columns)[0]
    assert flightlog(command, "--color", "always", COLUMNS=columns)[0]


def test_all_about_one_run_has_its_whole_name(flightlog):
    out, _ = flightlog("status", LONG)
    assert out.splitlines()[0].startswith("! long/name-") and widths(out)[0] < 120
    assert f"\n  pipeline  {KEPT}\n" in out
    assert "\n  pipeline" not in flightlog("status", "short")[0]


def test_programs_get_all_of_them(flightlog):
    for command in ("list", "status", "audit"):
        data = json.loads(flightlog(command, "-o", "json")[0])
        assert KEPT in [item["pipeline"] for item in data.get("runs") or data["writers"]]
    (line,) = json.loads(flightlog("logs", LONG, "-o", "json")[0])["lines"]
    assert (line["pipeline"], line["stage"]) == (KEPT, LONG)


@pytest.mark.parametrize("selector", [LONG, KEPT, LONG + "@all", LONG + "@failed", "long/*"])
def test_they_are_found(flightlog, selector):
    assert flightlog("logs", selector, "-o", "cat")[0] == "said\n"


def test_an_error_names_its_beginning(flightlog):
    for selector in ("x" + LONG, LONG + "@-7", "[" + LONG):
        _, err = flightlog("logs", selector, code=4)
        assert max(widths(err)) < 300
