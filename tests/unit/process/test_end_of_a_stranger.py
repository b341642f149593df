"""How a process ended that is not our child is read from the kernel while it waits to be reaped: by an ordinary user as well, who cannot read its `io`."""

import os
import subprocess

import pytest

from accounts import as_account, needs_root
from flightlog.process import pidfd, proctree
from waiting import wait_until


def ended(code):
    """Return what is read of a process that exited with *code* and that nobody has reaped."""
    # What has only forked from root is not an ordinary user's own.
    child = subprocess.Popen(["sh", "-c", f"exit {code}"])
    pid = child.pid
    wait_until(lambda: proctree.look(pid).state == "Z")
    process = pidfd.find(pid, proctree.look(pid).start)
    try:
        return pidfd.exit_status(process), pidfd._of_zombie(process)
    finally:
        process.close()
        child.wait()


@pytest.mark.parametrize("code", [0, 7])
def test_by_who_may_trace_it(code):
    assert ended(code) == (code << 8, code << 8)


@needs_root
@pytest.mark.parametrize("code", [0, 7])
def test_by_an_ordinary_user(code):
    assert as_account("nobody", lambda: ended(code)) == (code << 8, code << 8)


@needs_root
def test_who_may_not_trace_it_is_told_nothing_and_says_so():
    pid = os.fork()
    if not pid:
        os._exit(7)
    wait_until(lambda: proctree.look(pid).state == "Z")
    process = pidfd.find(pid, proctree.look(pid).start)
    try:
        assert as_account("nobody", lambda: pidfd._of_zombie(process)) is None
    finally:
        process.close()
        os.waitpid(pid, 0)
