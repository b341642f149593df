"""The agent's look at GPUs: when there is one, what it leaves for shims, and that it stops asking where nobody answers."""

import os
import subprocess
import sys
import time

import pytest
from injection import Machine

from acceptance.gpus import gpus_fixture, nvml_fixture  # noqa: F401
from flightlog import identity
from flightlog.agent.gpu import Gpu
from flightlog.config import gpu_page
from waiting import wait_until

ME = os.getpid()
START = identity.process_start_time(ME)


class Looking:
    """The agent's thread with a home of its own, and one run that goes on."""

    def __init__(self, home, gpus):
        self.spool = os.path.join(home, "spool", str(os.geteuid()))
        os.makedirs(self.spool)
        os.makedirs(os.path.join(home, "control"))
        self.home, self.interval, self.disabled = home, 0.02, False
        self.path = gpu_page.path_for(identity.control_path(""))
        self.gpu, self.rounds = None, 0

    def begin_run(self):
        with open(os.path.join(self.spool, identity.new_ulid(time.time_ns()) + ".evidence"), "w"):
            pass

    def start(self, **more):
        self.gpu = Gpu(self.home, "", "", self._pause, lambda: self.disabled, **more)
        self.gpu.start()

    def _pause(self):
        self.rounds += 1
        return self.interval

    def seen(self):
        return gpu_page.GpuPage(self.path).look()

    def fails(self):
        return wait_until(lambda: self.gpu.problem, 20, "the look to fail")


@pytest.fixture
def looking(home, gpus, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    monkeypatch.delenv("FLIGHTLOG_CONTROL", raising=False)
    for name, value in gpus.env.items():
        monkeypatch.setenv(name, value)
    one = Looking(home, gpus)
    yield one
    if one.gpu is not None:
        one.gpu.stop()
        assert not one.gpu._thread.is_alive()


def test_looks_follow_runs_settings_and_the_kill_switch(looking, gpus):
    gpus.say("device 0", f"use 0 {ME} {5 << 20}", f"busy 0 {ME} 55")
    looking.start()
    wait_until(lambda: looking.rounds > 5, 20, "some rounds")
    assert not looking.seen() and not gpus.asked()  # no run goes on
    looking.begin_run()
    wait_until(lambda: looking.seen() == [[ME, START, 5120, 55, [0]]], 20, "the page")
    assert os.stat(looking.path).st_mode & 0o777 == 0o600
    looking.disabled = True
    wait_until(lambda: not os.path.exists(looking.path), 20, "the page to go")
    wait_until(gpus.nobody_asks, 20, "the eye to end")
    looking.disabled = False
    wait_until(looking.seen, 20, "the page again")
    gpus.say("device 0")
    wait_until(lambda: not os.path.exists(looking.path), 20, "the page to go, for nobody uses a GPU")
    gpus.say("device 0", f"use 0 {ME} -1", f"busy 0 {ME} -1")
    wait_until(lambda: looking.seen() == [[ME, START, None, None, [0]]], 20, "what the driver does not say is unknown")
    gpus.say("device 0", f"use 0 {ME} 1024", f"busy 0 {ME} 4711")
    wait_until(lambda: looking.seen() == [[ME, START, 1, 0, [0]]], 20, "nonsense of the driver's is not taken")
    assert len(set(gpus.asked())) == 2
    looking.gpu.stop()
    assert not os.path.exists(looking.path)
    wait_until(gpus.nobody_asks, 20, "the eye to end")


def test_a_lost_device_leaves_the_others_and_none_left_ends_the_looking(looking, gpus):
    gpus.say("device 15", "device 0", f"use 0 {ME} 1024", f"use 1 {ME} 2048")
    looking.begin_run()
    looking.start()
    wait_until(lambda: looking.seen() == [[ME, START, 2, 0, [1]]], 20, "the device that answers")
    gpus.say("device 15", "device 999", f"use 1 {ME} 2048")
    assert "NVMLError" in looking.fails()
    assert not os.path.exists(looking.path)
    gpus.say("device 0", f"use 0 {ME} 1024")
    assert looking.gpu._retry_at > time.monotonic() + 30 and len(gpus.asked()) == 1  # not again before a minute


def test_without_the_module_nobody_is_asked(looking, gpus):
    looking.begin_run()
    looking.start(module="no_such_module")
    assert "no module no_such_module" in looking.fails()
    assert looking.gpu._retry_at > time.monotonic() + 30 and not gpus.asked()


def test_one_who_hangs_is_not_waited_for_and_none_is_started_beside_one(looking, gpus):
    gpus.say("hang look", "device 0")
    looking.begin_run()
    looking.start()
    wait_until(gpus.asked, 20, "the driver to be asked")
    looking.gpu.stop()
    assert not looking.gpu._thread.is_alive()
    wait_until(gpus.nobody_asks, 20, "the eye to end")
    # What cannot be killed stands in for a process in a call of the kernel that does not return.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stuck:
        looking.gpu._ended = [stuck]
        with pytest.raises(Exception, match=f"process {stuck.pid} hangs"):
            looking.gpu._open()
        stuck.stdin.close()
    assert len(gpus.asked()) == 1


def test_the_eye_ends_with_who_asks(gpus):
    """Also when that one was killed and could tell nobody."""
    import pynvml

    from flightlog.agent import gpu

    gpus.say("device 0")
    folder = os.path.dirname(pynvml.__file__)
    script = (
        "import subprocess, sys, os\n"
        f"eye = subprocess.Popen([sys.executable, '-I', '-S', {gpu.EYE!r}, {folder!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "eye.stdin.write(b'\\n'); eye.stdin.flush(); print(eye.stdout.readline()); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-u", "-c", script], env={**os.environ, **gpus.env}, capture_output=True)
    assert b'{"processes": []}' in done.stdout and done.returncode == -9
    wait_until(gpus.nobody_asks, 20, "the eye to end")


def test_in_a_pid_namespace_numbers_mean_others(gpus, tmp_path):
    """The driver's process numbers are the machine's; in a container another process may have the same."""
    import pynvml

    from flightlog.agent import gpu

    begin = Machine(str(tmp_path)).need("pids")
    gpus.say("device 0", "use 0 1 1024")
    command = [*begin, sys.executable, "-I", "-S", gpu.EYE, os.path.dirname(pynvml.__file__)]
    done = subprocess.run(command, input=b"\n", env={**os.environ, **gpus.env}, capture_output=True, timeout=60)
    assert b'"error"' in done.stdout and b"container" in done.stdout and not gpus.asked()
