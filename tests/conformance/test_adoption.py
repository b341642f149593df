"""Kill -9 of whoever keeps: the process lives on, the next call takes it over, and there is one copy, never two."""

import os
import signal
import subprocess
import sys

import pytest

from conformance.kept import SLEEP, alive
from flightlog.errors import Refused
from waiting import wait_until

FIRST_CALLS = ["status", "list", "start", "stop", "restart"]


@pytest.mark.parametrize("call", FIRST_CALLS)
def test_after_the_caretaker_s_death_the_next_call_takes_over(kept, call):
    pid = kept.keep.start_process("lone", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    dead = kept.kill_caretaker("lone")
    assert alive(pid)
    again = kept.controller()
    if call == "status":
        assert again.get_process_status("lone")["pid"] == pid
    elif call == "list":
        assert [one["pid"] for one in again.list_processes()] == [pid]
    elif call == "start":
        with pytest.raises(Refused) as caught:
            again.start_process("lone", SLEEP)
        assert str(pid) in caught.value.message
    elif call == "stop":
        assert again.stop_process("lone") and not alive(pid)
        assert again.get_process_status("lone")["verdict"] == "stopped-by-us"
    else:
        assert again.restart_process("lone") != pid and not alive(pid)
        assert sum(map(alive, kept.starts())) == 1 or wait_until(lambda: len(kept.starts()) == 2)
        return
    assert len(kept.starts()) == 1
    if call != "stop":
        found = again.get_process_status("lone")
        assert found["state"] == "running" and found["caretaker"] not in (None, dead)
        assert again.stop_process("lone") and not alive(pid)


def test_the_end_of_an_adopted_process_is_known(kept, tmp_path):
    go = tmp_path / "go"
    ends = "[time.sleep(0.05) for _ in iter(lambda: os.path.exists(%r), True)]; os._exit(7)" % str(go)
    kept.keep.start_process("known", kept.counting(ends), auto_restart=False)
    killed = kept.status("known")["caretaker"]
    kept.kill_caretaker("known")
    wait_until(lambda: kept.status("known")["caretaker"] not in (None, killed))
    assert kept.status("known")["state"] == "running"
    go.touch()
    found = kept.await_state("known", "failed")
    assert (found["exit_code"], found["verdict"]) == (7, "exit-status")


def test_an_adopted_daemon_is_restarted(kept):
    first = kept.keep.start_process("back", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    kept.kill_caretaker("back")
    kept.keep.list_processes()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(kept.starts()) == 2)
    assert [alive(pid) for pid in kept.starts()] == [False, True]


def test_when_both_are_killed_the_next_call_notices(kept):
    pid = kept.keep.start_process("both", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    kept.kill_caretaker("both")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))
    kept.keep.get_process_status("both")
    wait_until(lambda: len(kept.starts()) == 2)
    kept.await_state("both", "running")
    assert len(kept.starts()) == 2 and alive(kept.starts()[1])


def test_escapees_of_an_adopted_tree_are_found(kept):
    from conformance.test_kept_trees import escapees

    pids = escapees(kept)
    kept.kill_caretaker("tree")
    kept.keep.list_processes()
    assert kept.keep.stop_process("tree")
    cleared = pids.pop()  # lost its parent and its environment while nobody was there: nothing tells whose it is
    assert not any(map(alive, pids))
    if alive(cleared):
        os.kill(cleared, signal.SIGKILL)


def test_a_lost_state_is_no_second_copy(kept):
    pid = kept.keep.start_process("lost", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    kept.kill_caretaker("lost")
    with open(kept.folder("lost").file("state.json"), "w") as file:
        file.write('{"phase": "run')
    with pytest.raises(Refused) as caught:
        kept.keep.start_process("lost", kept.counting("time.sleep(1000)"), daemon_mode=True)
    assert str(pid) in caught.value.message and kept.starts() == [pid]
    assert kept.keep.stop_process("lost") and not alive(pid)


def test_a_caretaker_killed_within_a_stop_does_not_end_the_stop(kept):
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(1000)"
    pid = kept.keep.start_process("slow", kept.counting(body), daemon_mode=True)
    wait_until(lambda: kept.output("slow"))
    kept.folder("slow").intend(want="down", grace_s=1.0, why="stop", by="test")
    kept.await_state("slow", "stopping")
    kept.kill_caretaker("slow")
    assert alive(pid)
    assert kept.keep.stop_process("slow", timeout=1.0) and not alive(pid)
    assert kept.status("slow")["verdict"] == "stopped-by-us" and len(kept.starts()) == 1


def test_back_off_goes_on_after_the_caretaker_s_death(kept):
    keep = kept.controller(base_s=1.0, cap_s=2.0)
    keep.start_process("wait", kept.counting("sys.exit(9) if count < 6 else time.sleep(1000)"), daemon_mode=True)
    kept.await_state("wait", "backoff")
    kept.kill_caretaker("wait")
    keep.list_processes()
    wait_until(lambda: len(kept.starts()) >= 2, 30)
    assert keep.stop_process("wait")


def test_a_killed_controller_leaves_its_processes(kept):
    module, name = {
        "plain": ("controller", "ProcessController"),
        "enhanced": ("enhanced", "EnhancedProcessController"),
    }[kept.kind]
    code = (
        f"import time; from flightlog.process.{module} import {name} as C\n"
        f"with C(home={kept.home!r}) as c: print(c.start_process('job', ['sleep', '1000']), flush=True); time.sleep(1000)"
    )
    controller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(controller.stdout.readline())
    controller.kill()
    controller.wait()
    assert alive(pid) and kept.status("job")["pid"] == pid
    assert kept.keep.stop_process("job") and not alive(pid)


@pytest.mark.parametrize("crowd", [2, 6])
def test_of_those_who_start_at_once_one_wins_and_the_others_say_who(kept, crowd):
    module, name = {
        "plain": ("controller", "ProcessController"),
        "enhanced": ("enhanced", "EnhancedProcessController"),
    }[kept.kind]
    code = (
        f"import sys; from flightlog.process.{module} import {name} as C; from flightlog.errors import Refused\n"
        f"c = C(home={kept.home!r}); print('ready', flush=True); sys.stdin.read(1)\n"
        f"try: print('won', c.start_process('race', {kept.counting('time.sleep(1000)')!r}, daemon_mode=True))\n"
        "except Refused as e: print('lost', e)\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(crowd)
    ]
    for racer in racers:
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        racer.stdin.write(b"!")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0].decode().split(None, 1) for racer in racers]
    won = [text for word, text in said if word == "won"]
    caretaker = kept.status("race")["caretaker"]
    assert len(won) == 1, said
    assert all(f"kept by process {caretaker}" in text for word, text in said if word == "lost"), said
    wait_until(kept.starts)
    assert kept.starts() == [int(won[0])]
