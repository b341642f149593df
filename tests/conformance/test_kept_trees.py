"""Ending all of it: sessions of their own, double forks, who ignores SIGTERM; and leaving alone what is not part of it."""

import os
import signal
import subprocess
import sys

from conformance.kept import SLEEP, alive
from flightlog.store.embedded import EmbeddedServer
from waiting import wait_until

# A child, one in a session of its own, one that has lost its parent, one that has cleared its environment.
ESCAPEES = """
import os, subprocess, sys, time
pids = [subprocess.Popen(["sleep", "1000"]).pid, subprocess.Popen(["sleep", "1000"], start_new_session=True).pid]
for environment in (os.environ, {}):
    source, sink = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(sink, b"%d" % os.getpid())
        os.execve("/bin/sleep", ["sleep", "1000"], environment)
    pids.append(int(os.read(source, 20)))
print(*pids, flush=True)
time.sleep(1000)
"""


def escapees(kept, name="tree"):
    pid = kept.keep.start_process(name, [sys.executable, "-c", ESCAPEES], daemon_mode=True)
    wait_until(lambda: kept.output(name).endswith(b"\n"))
    return [pid, *(int(word) for word in kept.output(name).split())]


def test_stop_ends_all_that_descends_from_it(kept):
    pids = escapees(kept)
    assert len(pids) == 5 and all(map(alive, pids))
    assert kept.keep.stop_process("tree")
    assert not any(map(alive, pids))


def test_who_ignores_sigterm_is_killed_after_its_grace(kept):
    body = "signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\nprint('ready', flush=True)\nwhile True: time.sleep(1000)"
    pid = kept.keep.start_process("deaf", kept.counting(body), daemon_mode=True)
    wait_until(lambda: kept.output("deaf") == b"ready\n")
    assert kept.keep.stop_process("deaf", timeout=0.5) and not alive(pid)
    found = kept.status("deaf")
    assert (found["verdict"], found["term_signal"], found["state"]) == ("stopped-by-us", "SIGKILL", "stopped")
    assert kept.output("deaf") == b"ready\nno\n"


def test_who_forks_while_it_is_killed_is_killed_all_the_same(kept):
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\nwhile True:\n  if os.fork() == 0: os.setsid(); time.sleep(0.02); os.fork(); time.sleep(0.02); os._exit(0)\n  time.sleep(0.01)"
    kept.keep.start_process("hydra", kept.counting(body), daemon_mode=True)
    wait_until(lambda: b"ready" in kept.output("hydra"))
    assert kept.keep.stop_process("hydra", timeout=0.1)
    mark = f"FLIGHTLOG_PROCESS=hydra:{kept.folder('hydra').read('spec.json')['token']}".encode()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and mark in environ(pid)]


def environ(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_strangers_and_other_processes_of_ours_are_left_alone(kept):
    stranger = subprocess.Popen(SLEEP)
    other = kept.keep.start_process("other", SLEEP, daemon_mode=True)
    pids = escapees(kept)
    assert kept.keep.stop_process("tree") and not any(map(alive, pids))
    assert stranger.poll() is None and alive(other)
    stranger.kill()
    stranger.wait()


def test_what_a_kept_process_starts_by_flightlog_is_not_part_of_it(kept):
    code = (
        "import time; from flightlog.process.controller import ProcessController as C\n"
        "print(C().start_process('inner', ['sleep', '1000'], daemon_mode=True), flush=True); time.sleep(1000)"
    )
    kept.keep.start_process("outer", [sys.executable, "-c", code], daemon_mode=True)
    inner = int(wait_until(lambda: kept.output("outer")))
    assert kept.keep.stop_process("outer")
    assert alive(inner) and kept.status("inner")["state"] == "running"


def test_an_embedded_server_that_a_look_has_started_is_not_part_of_it(kept):
    """It serves everybody of this home: it is neither ended with the process that looked first, nor taken for what that left behind."""
    look = [sys.executable, "-m", "flightlog", "list"]
    server = EmbeddedServer(kept.home)
    kept.keep.start_process("job", look)
    kept.await_state("job", "succeeded", seconds=90.0)
    pid = server.pid
    assert pid and alive(pid)
    assert server.stop()
    kept.keep.start_process("daemon", [*look[:1], "-c", LOOKS.format(look=look)], daemon_mode=True)
    wait_until(lambda: b"looked" in kept.output("daemon"), 90)
    pid = server.pid
    assert kept.keep.stop_process("daemon") and kept.status("daemon")["survivors"] == []
    assert pid and alive(pid) and server.pid == pid
    server.stop()


LOOKS = "import subprocess, time; subprocess.run({look!r}, check=True); print('looked', flush=True); time.sleep(1000)"


def test_output_of_grandchildren_is_not_cut(kept):
    kept.keep.start_process("late", "(sleep 0.5; echo late; echo later >&2) & echo early")
    assert kept.await_state("late", "lingering", "succeeded")["verdict"] == "ok"
    kept.await_state("late", "succeeded")
    assert kept.output("late") == b"early\nlate\n" and kept.output("late", "stderr") == b"later\n"


def test_what_a_finished_job_has_left_running_can_be_stopped(kept):
    kept.keep.start_process("parent", "sleep 1000 & echo $!")
    kept.await_state("parent", "lingering")
    child = int(kept.output("parent"))
    assert alive(child)
    assert kept.keep.stop_process("parent") and not alive(child)
    assert kept.status("parent")["state"] == "stopped" and kept.status("parent")["verdict"] == "ok"


def test_a_pid_that_was_reused_gets_no_signal(kept):
    """The state names a pid that now is somebody else's: it is neither adopted nor signalled."""
    pid = kept.keep.start_process("reused", SLEEP, daemon_mode=True, auto_restart=False)
    kept.kill_caretaker("reused")
    os.kill(pid, signal.SIGKILL)
    keeper = kept.folder("reused").read("state.json")["process"]["keeper"]
    wait_until(lambda: not alive(pid) and not alive(keeper))
    stranger = subprocess.Popen(SLEEP)
    state = kept.folder("reused").read("state.json")
    for name in ("pid", "keeper"):
        state["process"][name] = stranger.pid if state["process"][name] else 0
    kept.folder("reused").write("state.json", state)
    assert kept.keep.stop_process("reused", timeout=1.0)
    assert stranger.poll() is None
    assert kept.status("reused")["state"] == "failed"  # it had ended before anybody asked
    stranger.kill()
    stranger.wait()
