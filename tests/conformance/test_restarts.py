"""Started again: when, how often, and when no more."""

import os
import signal

import pytest

from conformance.kept import SLEEP, alive
from flightlog.errors import UsageError
from waiting import wait_until


def test_a_job_is_restarted_until_it_succeeds(kept):
    kept.keep.start_process("job", kept.counting("sys.exit(0 if count == 3 else 9)"))
    found = kept.await_state("job", "succeeded")
    assert len(kept.starts()) == 3 and (found["attempt"], found["restarts"], found["exit_code"]) == (3, 2, 0)


def test_a_job_that_is_done_is_done(kept):
    kept.keep.start_process("job", kept.counting())
    assert kept.await_state("job", "succeeded")["attempt"] == 1 and len(kept.starts()) == 1


def test_a_daemon_is_restarted_at_any_end(kept):
    kept.keep.start_process("daemon", kept.counting("if count == 3: time.sleep(1000)"), daemon_mode=True)
    wait_until(lambda: len(kept.starts()) == 3)
    found = kept.await_state("daemon", "running")
    assert found["restarts"] == 2 and found["verdict"] == "ok"


def test_too_many_restarts_end_in_quarantine(kept):
    kept.keep.start_process("sick", kept.counting("sys.exit(9)"), max_restarts=3, daemon_mode=True)
    found = kept.await_state("sick", "quarantined")
    assert len(kept.starts()) == 4 and found["restarts"] == 3 and "3 times" in found["reason"]
    assert (found["verdict"], found["exit_code"]) == ("exit-status", 9)
    wait_until(lambda: kept.folder("sick").holder() is None)
    kept.keep.restart_process("sick")  # a person may try again, and it counts anew
    kept.await_state("sick", "quarantined")
    assert len(kept.starts()) == 8


def test_too_many_restarts_in_the_window_end_in_quarantine(kept):
    keep = kept.controller(window_restarts=2, window_s=1000.0)
    keep.start_process("sick", kept.counting("sys.exit(9)"))
    assert "2 times in 1000 s" in kept.await_state("sick", "quarantined")["reason"]
    assert len(kept.starts()) == 3


def test_without_auto_restart_it_runs_once(kept):
    kept.keep.start_process("once", kept.counting("sys.exit(9)"), auto_restart=False, daemon_mode=True)
    assert kept.await_state("once", "failed")["exit_code"] == 9 and len(kept.starts()) == 1


def test_a_wrong_configuration_is_not_tried_again(kept):
    kept.keep.start_process("config", kept.counting("sys.exit(78)"), daemon_mode=True)
    found = kept.await_state("config", "failed")
    assert found["verdict"] == "config-error" and len(kept.starts()) == 1
    assert "config-error is not tried again" in found["reason"]


def test_what_somebody_kills_comes_back(kept):
    first = kept.keep.start_process("victim", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(kept.starts()) == 2)
    found = kept.await_state("victim", "running")
    assert found["pid"] != first and found["term_signal"] == "SIGKILL" and found["verdict"] != "stopped-by-us"


def test_stop_and_restart_during_back_off(kept):
    keep = kept.controller(base_s=1000.0, cap_s=1000.0)
    keep.start_process("slow", kept.counting("sys.exit(9) if count < 3 else time.sleep(1000)"))
    waiting = kept.await_state("slow", "backoff")
    assert waiting["pid"] is None and waiting["next_start_s"] <= 1000
    keep.restart_process("slow")
    wait_until(lambda: len(kept.starts()) == 2)
    kept.await_state("slow", "backoff")
    assert keep.stop_process("slow") and kept.status("slow")["state"] == "stopped"
    assert len(kept.starts()) == 2


def test_what_an_attempt_leaves_behind_is_cleared_before_the_next(kept):
    body = (
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(child.pid, flush=True)\nos._exit(9)"
    )
    kept.keep.start_process("messy", kept.counting(body), max_restarts=1)
    kept.await_state("messy", "quarantined", "lingering")
    first, second = (int(line) for line in kept.output("messy").split())
    assert not alive(first) and alive(second)
    assert kept.keep.stop_process("messy") and not alive(second)


def test_whom_a_member_of_a_group_takes_along(kept):
    names = ["db", "api", "web"]
    for strategy, along in (("one", []), ("rest", ["web"]), ("all", ["db", "web"])):
        members = [f"{strategy}-{name}" for name in names]
        for name in members:
            kept.keep.start_process(
                name, kept.counting("time.sleep(1000)", name), daemon_mode=True, group=members, strategy=strategy
            )
        for name in members:
            wait_until(lambda name=name: kept.starts(name))
        os.kill(kept.starts(members[1])[0], signal.SIGKILL)
        again = [members[1], *[f"{strategy}-{name}" for name in along]]
        for name in again:
            wait_until(lambda name=name: len(kept.starts(name)) == 2, what=f"{name} to be started again")
        for name in members:
            found = kept.await_state(name, "running")
            assert (found["group"], found["strategy"]) == (members, strategy)
            # one that goes along takes nobody along
            assert len(kept.starts(name)) == (2 if name in again else 1), (strategy, name)
            assert alive(kept.starts(name)[0]) == (name not in again), (strategy, name)
            if name in again[1:]:
                assert found["verdict"] == "stopped-by-us" and f"group of {members[1]}" in " ".join(found["because"])


def test_a_group_whose_members_all_fail_comes_to_its_limit(kept):
    """Each fails while another runs: what takes one along is no person, and starts no new count."""
    names, keep = ["left", "right"], kept.controller(base_s=1.0, cap_s=1.0)
    for name in names:
        body = kept.counting("time.sleep(0.2); sys.exit(9)", name)
        keep.start_process(name, body, daemon_mode=True, max_restarts=3, group=names, strategy="all")
    for name in names:
        kept.await_state(name, "quarantined", seconds=60.0)


def test_whom_somebody_stopped_a_group_leaves_stopped(kept):
    names = ["db", "api"]
    for name in names:
        body = kept.counting("time.sleep(1000)", name)
        kept.keep.start_process(name, body, daemon_mode=True, group=names, strategy="all")
        wait_until(lambda name=name: kept.starts(name))
    assert kept.keep.stop_process("db", 5.0)
    os.kill(kept.starts("api")[0], signal.SIGKILL)
    wait_until(lambda: len(kept.starts("api")) == 2)
    kept.await_state("api", "running")
    assert kept.status("db")["state"] == "stopped" and len(kept.starts("db")) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"group": ["db", "web"]}, "x is not in its own group"),
        ({"group": ["x", "../y"]}, "no name of a process"),
        ({"group": ["x"], "strategy": "some"}, "no strategy of a group"),
        ({"strategy": "all"}, "needs a group"),
    ],
)
def test_a_group_that_would_never_do_anything_is_refused(kept, more, said):
    with pytest.raises(UsageError, match=said):
        kept.keep.start_process("x", SLEEP, **more)
    assert kept.keep.list_processes() == []


def test_after_a_mass_failure_not_everything_starts_at_once(kept):
    from flightlog.process import rate

    kept.keep.start_process("x", SLEEP, daemon_mode=True)
    waits = [rate.turn(kept.home) for _ in range(int(rate.BURST) + 4)]
    assert waits[0] == 0.0 and waits[-1] > 1.0
    os.kill(kept.status("x")["pid"], signal.SIGKILL)
    assert kept.await_state("x", "backoff")["next_start_s"] > 1.0
