"""Wait statuses in words, and what waitid(2) says as a wait status."""

import os
import signal

import pytest

from flightlog.process import evidence


@pytest.mark.parametrize("how", [0, 1, 255, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGSEGV])
def test_waitid_and_wait_agree(how):
    pid = os.fork()
    if pid == 0:
        if how >= 0:
            os._exit(how)
        signal.signal(-how, signal.SIG_DFL) if how != -signal.SIGKILL else None
        os.kill(os.getpid(), -how)
        os._exit(99)
    info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    status = evidence.wait_status(info.si_code, info.si_status)
    assert status == os.waitpid(pid, 0)[1]
    words = evidence.describe(status)
    assert words["exit_code"] == (how if how >= 0 else None)
    assert words["term_signal"] == (signal.Signals(-how).name if how < 0 else None)
    assert words["status"] == ("ok" if how == 0 else "failed")


def test_a_core_is_noted():
    assert evidence.describe(evidence.wait_status(evidence.CLD_DUMPED, 11))["core"] is True


def test_names_of_signals():
    assert evidence.signal_name(11) == "SIGSEGV"
    assert evidence.signal_name(int(signal.SIGRTMIN) + 3) == "SIGRTMIN+3"
    assert evidence.signal_name(127) == "SIG127"


def test_a_zombie_still_tells_its_io():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = evidence.of_zombie(pid)
    assert "oom_score_adj" in found
    assert "wchar" in found or os.geteuid() != 0  # the kernel shows the io of a dead process to root only
    os.waitpid(pid, 0)
    assert evidence.of_zombie(pid) == {}


def test_oom_counter_of_both_kinds(tmp_path):
    new = tmp_path / "memory.events"
    new.write_text("low 0\noom 2\noom_kill 3\n")
    assert evidence._counter(str(new), None) == 3
    assert evidence._counter(str(tmp_path / "missing"), 7) == 7


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("core", "/data/core"),
        ("core.%p", "/data/core.42"),
        ("/var/cores/%e.%p", "/var/cores/job.42"),
        ("|/usr/lib/systemd/systemd-coredump %P", "coredumpctl info 42"),
        ("|/opt/collect -x", "taken by /opt/collect"),
        ("core.%t", ""),  # the time of the dump is not known here
        ("", ""),
    ],
)
def test_where_a_core_is(pattern, where):
    found = evidence.core_at(42, "/data", "job", pattern)
    assert found in (where, where + ".42" if pattern == "core" else where)


def test_limits_of_a_living_process_and_of_nobody():
    import resource

    known = evidence.limits(os.getpid())
    assert known["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert evidence.limits(0) == {} and evidence.memory_cgroup(0) == {}


def test_the_kernels_log_names_no_process_that_never_was():
    assert evidence.kernel_lines(2**30, 0) in (None,) or evidence.kernel_lines(2**30, 0)[0] == []
