"""`flightlog overhead`: real commands with and without, and what a run has cost by its own account."""

import json
import sys

import pytest

from unit.query.command import Command


@pytest.fixture
def flightlog(home):
    return Command("", home)


def test_both_are_run_alike_and_the_second_is_recorded(flightlog, tmp_path):
    note = tmp_path / "note"
    # flightlog is loaded into a Python that it starts, and into no other.
    text = f"import sys; open({str(note)!r}, 'a').write('%d\\n' % ('flightlog' in sys.modules)); print('noise')"
    options = ("--rounds", "3", "--limit", "1000000", "-o", "json")
    out, err = flightlog("overhead", *options, "-n", "job", "--", sys.executable, "-c", text)
    found = json.loads(out)
    assert err == "" and (found["v"], found["verdict"], found["limit"]) == (1, "below", 10001.0)
    assert found["command"] == [sys.executable, "-c", text]
    assert len(found["without_s"]) == len(found["with_s"]) == found["wall"]["pairs"] == 3
    assert found["wall"]["low"] <= found["wall"]["ratio"] <= found["wall"]["high"] and found["cpu"]["ratio"] > 0
    assert found["recorders_share"] > 0 and found["agent_share"] is None  # FLIGHTLOG_AGENT=never
    assert note.read_text().split() == ["1", "0", "0", "1", "1", "0", "0", "1"]  # the other one first each time
    out, _ = flightlog("journal", "cat", "-o", "json")
    assert out.count('"ev":"run.ended"') == 4


def test_people_are_told_in_words_and_scripts_by_the_exit_code(flightlog):
    out, _ = flightlog(
        "overhead", "--rounds", "3", "--", "sh", "-c", ":", code=1
    )  # its own start alone is more than 2 %
    words = [line.split()[0] for line in out.splitlines()]
    assert words == ["without", "with", "wall", "its", "recorders", "agent", "server", "verdict"] or words == [
        *["without", "with", "wall", "recorders", "agent", "server", "verdict"]  # too short for the kernel's clock
    ]
    assert "verdict    above 2 %" in out and "95 % confidence" in out


def test_what_cannot_be_compared_is_said(flightlog, tmp_path):
    count = f"echo x >> {tmp_path}/count; exit $(( $(wc -l < {tmp_path}/count) % 2 ))"
    _, err = flightlog("overhead", "--", "sh", "-c", count, code=1)
    assert "Error: the command ended differently: exit 1, then exit 0\n" in err
    _, err = flightlog("overhead", "--", "/nowhere/at/all", code=4)
    assert "Error: /nowhere/at/all: No such file or directory\nTry: " in err
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: false\n")
    _, err = flightlog("overhead", "--", "true", code=1, FLIGHTLOG_CONFIG=str(config))
    assert "nothing to compare" in err and "monitoring.enabled" in err
    _, err = flightlog("overhead", "-n", "-x", "--", "true", code=2)
    assert "Try: flightlog overhead -n NAME -- COMMAND" in err


LOGS = "import logging; logging.basicConfig(level=20)\nfor n in range(50): logging.info('row %d', n)"


def test_a_run_tells_what_it_has_cost(dsn, home):
    flightlog = Command(dsn, home)
    flightlog("run", "-n", "job", "--", sys.executable, "-c", LOGS)
    flightlog("agent", "run", "--once")
    found = json.loads(flightlog("overhead", "job", "-o", "json")[0])
    assert (found["v"], found["pipeline"]) == (1, "job") and found["recorder_s"] > 0 and found["agent_s"] is None
    calls = found["calls"]
    assert calls["calls"] == 50 and calls["samples"] >= 1 and 50 < calls["mean_bytes"] < 1000
    assert found["process_s"] == pytest.approx(50 * calls["mean_ns"] / 1e9, abs=1e-6)
    assert found["share"] == pytest.approx((found["process_s"] + found["recorder_s"]) / found["seconds"], rel=1e-3)
    out, _ = flightlog("overhead", "job")
    assert "           50 records of " in out and "agent      unknown: no agent of its node has told\n" in out
    assert "% of one core, by its own account\n" in out.splitlines(True)[-1]
    assert "overhead  " in flightlog("status", "job")[0]
    flightlog("run", "-n", "bare", "--", "true")
    out, _ = flightlog("overhead", "bare")
    assert "process    unknown: the process has not told (killed, or without the SDK)\n" in out
    _, err = flightlog("overhead", code=2)
    assert "Error: which run, or which command?\n" in err
    _, err = flightlog("overhead", "job", "--", "true", code=2)
    assert "Error: which run, or which command?\n" in err
    assert "Try: " in flightlog("overhead", "nosuch", code=4)[1]
