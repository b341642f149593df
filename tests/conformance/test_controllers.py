"""What both controllers promise: start, stop, restart, pause, look, and what they say when that cannot be."""

import os
import subprocess
import sys

import pytest

from conformance.kept import SLEEP, alive
from flightlog.errors import FlightlogError, NotFound, Refused, UsageError
from waiting import wait_until

CWD = "import os, sys; print(os.getcwd(), os.environ['KEPT'], os.getpid(), oct(os.umask(0)), sys.stdin.read()); print('e', file=sys.stderr)"


def test_a_job_runs_with_its_environment_and_its_output_in_files(kept, tmp_path):
    before = os.umask(0o027)
    try:
        pid = kept.keep.start_process(
            "job", [sys.executable, "-c", CWD], env={"KEPT": "yes"}, working_dir=str(tmp_path)
        )
    finally:
        os.umask(before)
    found = kept.await_state("job", "succeeded")
    assert kept.output("job") == f"{tmp_path} yes {pid} 0o27 \n".encode()
    assert kept.output("job", "stderr") == b"e\n"
    assert (found["verdict"], found["exit_code"], found["restarts"], found["pid"]) == ("ok", 0, 0, None)
    wait_until(lambda: kept.folder("job").holder() is None)  # nothing of ours stays for what has ended


def test_a_command_may_be_a_line_for_the_shell(kept):
    kept.keep.start_process("line", "echo $((40 + 2)) | cat")
    kept.await_state("line", "succeeded")
    assert kept.output("line") == b"42\n"


def test_the_pid_is_the_command_s_own(kept):
    pid = kept.keep.start_process("own", kept.counting("time.sleep(1000)"), daemon_mode=True)
    wait_until(kept.starts)
    assert kept.starts() == [pid] and kept.status("own")["pid"] == pid
    assert os.getsid(pid) != os.getsid(0) and kept.status("own")["state"] == "running"
    assert kept.keep.stop_process("own") and not alive(pid)


def test_what_runs_is_not_started_again(kept):
    pid = kept.keep.start_process("once", SLEEP, daemon_mode=True)
    with pytest.raises(Refused) as caught:
        kept.controller().start_process("once", SLEEP)
    assert f"process {pid}" in caught.value.message and "flightlog stop once" in caught.value.hint
    assert str(kept.status("once")["caretaker"]) in caught.value.message
    assert alive(pid) and kept.status("once")["pid"] == pid


def test_names_and_commands_that_cannot_be(kept):
    for name in ("", "../x", ".starts", "a b", "x" * 65, "a/b", "-x", None):
        with pytest.raises(UsageError):
            kept.keep.start_process(name, SLEEP)
    for command in ([], "", [""], ["a\0b"]):
        with pytest.raises(UsageError):
            kept.keep.start_process("x", command)
    for call in (
        kept.keep.stop_process,
        kept.keep.restart_process,
        kept.keep.get_process_status,
        kept.keep.pause_process,
    ):
        with pytest.raises(NotFound):
            call("nobody")
    assert kept.keep.list_processes() == []


@pytest.mark.parametrize("daemon", [False, True])
def test_what_cannot_be_executed_is_said_once_and_not_tried_again(kept, daemon):
    with pytest.raises(FlightlogError) as caught:
        kept.keep.start_process("nope", ["./no-such-program"], daemon_mode=daemon)
    assert "./no-such-program: No such file" in caught.value.message
    found = kept.await_state("nope", "failed")
    assert (found["verdict"], found["attempt"], found["restarts"]) == ("exec-failure", 1, 0)
    wait_until(lambda: kept.folder("nope").holder() is None)


def test_a_working_directory_that_is_not_there(kept):
    with pytest.raises(FlightlogError) as caught:
        kept.keep.start_process("nowhere", SLEEP, working_dir="/no/such/place", daemon_mode=True)
    assert "/no/such/place: No such file" in caught.value.message
    assert kept.await_state("nowhere", "failed")["attempt"] == 1


def test_stop_can_be_said_twice_and_start_after_it(kept):
    first = kept.keep.start_process("twice", SLEEP, daemon_mode=True)
    assert kept.keep.stop_process("twice") and kept.keep.stop_process("twice")
    found = kept.status("twice")
    assert (found["state"], found["verdict"], found["term_signal"]) == ("stopped", "stopped-by-us", "SIGTERM")
    second = kept.keep.start_process("twice", SLEEP, daemon_mode=True)
    assert not alive(first) and alive(second)


def test_restart_is_a_new_process_and_also_starts_what_has_ended(kept):
    pids = [kept.keep.start_process("again", kept.counting("time.sleep(1000)"), daemon_mode=True)]
    wait_until(lambda: kept.starts() == pids)
    pids.append(kept.keep.restart_process("again"))
    wait_until(lambda: kept.starts() == pids)
    assert kept.keep.stop_process("again")
    pids.append(kept.keep.restart_process("again"))
    wait_until(lambda: kept.starts() == pids)
    assert [alive(pid) for pid in pids] == [False, False, True]


def test_pause_and_resume(kept):
    def states():
        return {open(f"/proc/{one}/stat").read().rpartition(")")[2].split()[0] for one in (pid, child)}

    pid = kept.keep.start_process("still", "sleep 1000 & echo $!; wait", daemon_mode=True)
    child = int(wait_until(lambda: kept.output("still")))
    assert kept.keep.pause_process("still") and states() == {"T"}
    assert kept.status("still")["state"] == "paused"
    assert kept.keep.resume_process("still")
    wait_until(lambda: "T" not in states())
    assert kept.status("still")["state"] == "running"
    assert kept.keep.pause_process("still") and kept.keep.stop_process("still", timeout=20.0)
    assert kept.status("still")["term_signal"] == "SIGTERM"  # it was let go to end itself
    assert not kept.keep.pause_process("still")


def test_the_block_stops_jobs_and_leaves_daemons(kept):
    with kept.controller() as keep:
        job = keep.start_process("job", SLEEP)
        daemon = keep.start_process("daemon", SLEEP, daemon_mode=True)
    assert not alive(job) and alive(daemon)
    assert [(one["name"], one["state"]) for one in kept.keep.list_processes()] == [
        ("daemon", "running"),
        ("job", "stopped"),
    ]


def test_it_inherits_nothing_of_who_started_it(kept):
    """No descriptor: who waits for the end of a pipe of ours would wait for ever."""
    code = (
        "import os, sys; os.set_inheritable(%d, True)\n"
        "from flightlog.process.%s import %s as made\n"
        "print(made(home=%r).start_process('quiet', ['sleep', '1000'], daemon_mode=True))"
    )
    kind = ("controller", "ProcessController") if kept.kind == "plain" else ("enhanced", "EnhancedProcessController")
    source, sink = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", code % (sink, *kind, kept.home)], capture_output=True, timeout=60, pass_fds=[sink]
    )
    os.close(sink)
    assert done.returncode == 0, done.stderr
    assert os.read(source, 1) == b""  # its end, although the daemon runs
    os.close(source)
    pid = int(done.stdout)
    assert alive(pid)
    caretaker = kept.status("quiet")["caretaker"]
    assert os.getsid(caretaker) != os.getsid(0) and os.readlink(f"/proc/{caretaker}/cwd") == "/"
    # What the command has open: standard streams only.
    assert {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")} == {0, 1, 2}


def test_it_may_be_called_where_children_are_reaped_by_the_system(kept):
    code = (
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        f"from flightlog.process.controller import ProcessController as made; print(made(home={kept.home!r}).start_process('x', ['sleep', '1000']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0 and alive(int(done.stdout)), done.stderr
    assert kept.keep.stop_process("x")
