"""The enhanced controller: each attempt is a run, on record with its verdict; who kills keeper or shim makes no second copy."""

import os
import signal

import pytest

from acceptance import running
from conformance.kept import Kept, alive
from flightlog.process import family
from waiting import wait_until


@pytest.fixture
def kept(home, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    for name in ("FLIGHTLOG_CONFIG", "FLIGHTLOG_RUN", "FLIGHTLOG_SPOOL", "FLIGHTLOG_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return Kept("enhanced", home)


def runs(home, event="run.started"):
    return [(e["r"], e["x"]) for e in running.events(home) if e["ev"] == event]


def recorders(kept, name):
    words = kept.folder(name).read("state.json")["process"]["recorder"]
    return [pid for pid in family.snapshot() if family.is_recorder(pid, words)]


def test_each_attempt_is_a_run_of_the_same_origin(kept):
    kept.keep.start_process("etl", kept.counting("print('try', count); sys.exit(0 if count == 3 else 9)"))
    found = kept.await_state("etl", "succeeded")
    started = wait_until(lambda: len(runs(kept.home)) == 3 and runs(kept.home))
    assert [data["attempt"] for _, data in started] == [1, 2, 3]
    assert [data["origin"] for _, data in started] == [None, started[0][0], started[0][0]]
    assert {data["pipeline"] for _, data in started} == {"etl"} and found["run"] == started[2][0]
    assert [data["pid"] for _, data in started] == kept.starts()
    assert [data["exit_code"] for _, data in runs(kept.home, "run.ended")] == [9, 9, 0]
    assert kept.output("etl") == b"try 1\ntry 2\ntry 3\n"


def test_the_run_around_it_is_its_parent(kept, monkeypatch):
    outer = "01M8GK7JA7QV2W0B9V2H3Y20V2"
    monkeypatch.setenv("FLIGHTLOG_RUN", outer)
    kept.keep.start_process("inner", ["true"])
    kept.await_state("inner", "succeeded")
    assert runs(kept.home)[0][1]["parent"] == outer


def test_a_stop_is_in_the_run_s_evidence(kept):
    kept.keep.start_process("api", ["sleep", "1000"], daemon_mode=True)
    assert kept.keep.stop_process("api", timeout=7.0)
    ((_, end),) = runs(kept.home, "run.ended")
    assert (end["verdict"], end["confidence"]) == ("stopped-by-us", "proven")
    (stop,) = end["stops"]
    assert (stop["why"], stop["signal"], stop["grace_s"]) == ("stop", "SIGTERM", 7.0) and stop["by"]


def test_the_policy_goes_by_the_verdict(kept):
    body = "print('usage: etl [-h]\\netl: error: no such option', file=sys.stderr); sys.exit(2)"
    kept.keep.start_process("wrong", kept.counting(body), daemon_mode=True)
    found = kept.await_state("wrong", "failed")
    assert found["verdict"] == "config-error" and len(kept.starts()) == 1


@pytest.mark.parametrize("victim", ["keeper", "shim", "both"])
def test_kill_of_the_recorder_makes_no_second_copy(kept, victim):
    first = kept.keep.start_process("api", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    keeper = kept.folder("api").read("state.json")["process"]["keeper"]
    shim = next(pid for pid in recorders(kept, "api") if pid != keeper)
    for pid in {"keeper": [keeper], "shim": [shim], "both": [keeper, shim]}[victim]:
        os.kill(pid, signal.SIGKILL)
    if victim == "keeper":  # the command ends with its keeper, as it would with the process that somebody kills
        wait_until(lambda: len(kept.starts()) == 2)
        assert not alive(first) and sum(map(alive, kept.starts())) == 1
    elif victim == "shim":
        assert kept.status("api")["pid"] == first and alive(first)
    else:
        wait_until(lambda: kept.status("api")["state"] == "running")
        wait_until(lambda: sum(map(alive, kept.starts())) == 1)
    assert kept.keep.stop_process("api") and not any(map(alive, kept.starts()))


def test_switched_off_it_is_the_plain_one(kept, monkeypatch):
    config = os.path.join(kept.home, "config.yml")
    with open(config, "w") as file:
        file.write("monitoring:\n  enabled: false\n")
    monkeypatch.setenv("FLIGHTLOG_CONFIG", config)
    off = Kept("enhanced", kept.home)
    off.keep.start_process(
        "dark", off.counting("print(sorted(k for k in os.environ if k.startswith('FLIGHTLOG_RUN')))")
    )
    found = off.await_state("dark", "succeeded")
    assert found["run"] is None and off.output("dark") == b"[]\n"
    assert not os.path.exists(os.path.join(kept.home, "spool"))


def test_the_switch_is_looked_at_before_each_attempt(kept, monkeypatch):
    config = os.path.join(kept.home, "config.yml")
    monkeypatch.setenv("FLIGHTLOG_CONFIG", config)
    open(config, "w").close()
    one = Kept("enhanced", kept.home)
    one.keep.start_process("api", one.counting("time.sleep(1000)"), daemon_mode=True)
    assert one.status("api")["run"]
    with open(config, "a") as file:
        file.write("monitoring:\n  enabled: false\n")
    one.keep.restart_process("api")
    assert one.folder("api").read("state.json")["process"]["run"] == ""


def test_a_paused_command_that_is_killed_does_not_leave_its_keeper_stopped(kept):
    first = kept.keep.start_process("still", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    assert kept.keep.pause_process("still")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(kept.starts()) == 2, 20)
    assert kept.keep.stop_process("still")
