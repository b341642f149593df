"""Signals, terminals, job control around `flightlog run`: what the command gets, and what the caller sees."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
import running

from waiting import wait_until

PY = sys.executable

# Reports each signal it gets, ends on SIGUSR2.
COUNTER = """
import signal, sys, os
def got(n, f): os.write(1, b"%d\\n" % n); n == signal.SIGUSR2 and os._exit(0)
for n in (1, 2, 3, 10, 12, 14, 15, 18, 28, 34, 40): signal.signal(n, got)
os.write(1, b"ready\\n")
while True: signal.pause()
"""


def counter(home, **how):
    keeper = subprocess.Popen(
        running.kept([PY, "-I", "-S", "-c", COUNTER]), env=running.environment(home), stdout=subprocess.PIPE, **how
    )
    assert keeper.stdout.readline() == b"ready\n"
    return keeper


@pytest.mark.parametrize("number", [1, 2, 3, 10, 14, 15, 28, 34, 40])
def test_a_signal_to_the_keeper_alone_reaches_the_command_once(tmp_path, number):
    keeper = counter(tmp_path, start_new_session=True)
    for _ in range(3):
        os.kill(keeper.pid, number)
        assert keeper.stdout.readline() == b"%d\n" % number
    os.kill(keeper.pid, signal.SIGUSR2)
    assert keeper.communicate(timeout=20)[0] == b"12\n"
    assert keeper.returncode == 0


@pytest.mark.parametrize("number", [1, 2, 15, 28])
def test_a_signal_to_the_group_reaches_the_command_once(tmp_path, number):
    keeper = counter(tmp_path, start_new_session=True)
    for _ in range(3):
        os.killpg(keeper.pid, number)
        assert keeper.stdout.readline() == b"%d\n" % number
        os.kill(
            keeper.pid, signal.SIGUSR1
        )  # to the keeper alone, after it: so a second delivery would have come before
        assert keeper.stdout.readline() == b"10\n"
    os.kill(keeper.pid, signal.SIGUSR2)
    assert keeper.communicate(timeout=20)[0] == b"12\n"


def test_group_and_single_signals_take_turns(tmp_path):
    keeper = counter(tmp_path, start_new_session=True)
    for turn in range(20):
        if turn % 2:
            os.killpg(keeper.pid, signal.SIGTERM)
        else:
            os.kill(keeper.pid, signal.SIGTERM)
        assert keeper.stdout.readline() == b"15\n"
        os.kill(keeper.pid, signal.SIGUSR1)
        assert keeper.stdout.readline() == b"10\n"
    os.kill(keeper.pid, signal.SIGUSR2)
    assert keeper.communicate(timeout=20)[0] == b"12\n"


def test_term_to_the_keeper_ends_the_command_and_both_die_of_it(tmp_path):
    keeper = subprocess.Popen(running.kept(["sleep", "60"]), env=running.environment(tmp_path))
    running.shim_and_child(keeper.pid)
    keeper.terminate()
    assert keeper.wait(20) == -signal.SIGTERM
    assert running.ended(tmp_path)["term_signal"] == "SIGTERM"
    running.nobody_left(tmp_path)


def test_term_right_after_the_start(tmp_path):
    """The signal comes while keeper, shim or command are still being born: it ends the run in each case."""
    for step in range(12):
        home = tmp_path / str(step)
        keeper = subprocess.Popen(running.kept(["sleep", "60"]), env=running.environment(home))
        time.sleep(step * 0.004)  # sweeps the start; the outcome must not depend on it
        keeper.terminate()
        assert keeper.wait(20) == -signal.SIGTERM
        running.nobody_left(home)


@pytest.mark.parametrize("options", [[], ["-s", "INT"], ["--foreground"]])
def test_timeout_ends_the_whole_group(tmp_path, options):
    # Deaf to the second signal of a slow machine, and without a child whose death the shell may or may not mention.
    script = "trap 'trap \"\" TERM INT; echo caught; exit 9' TERM INT; echo up; while :; do :; done"
    line = ["timeout", *options, "0.7"]
    bare = running.run([*line, "sh", "-c", script], tmp_path)
    kept = running.run([*line, *running.kept(["sh", "-c", script])], tmp_path)
    assert kept == bare
    assert kept[:2] == (124, b"up\ncaught\n")
    running.nobody_left(tmp_path)


def test_timeout_kill_after(tmp_path):
    """`timeout -k`: the command ignores TERM, then the whole group is killed with KILL; nothing survives."""
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    line = [
        "timeout",
        "-k",
        "0.3",
        "5",
    ]  # longer than a busy machine takes to start us: TERM has to come when the command ignores it
    assert running.run(["timeout", "-k", "0.3", "0.5", "sh", "-c", script], tmp_path)[:2] == (-9, b"up\n")
    code, out, _ = running.run([*line, *running.kept(["sh", "-c", script])], tmp_path)
    assert (code, out) == (-9, b"up\n")
    running.nobody_left(tmp_path)
    # Nobody can say how it ended; who wanted it to is known.
    told = signals_told(tmp_path)  # once, or twice: to the process and to its group
    assert told
    for one in told:
        assert one["m"] == f"SIGTERM came from timeout {one['x']['sender_pid']}" and one["src"] == "flightlog"
    assert "run.ended" not in [e["ev"] for e in running.events(tmp_path)]


def signals_told(home):
    return [r for r in running.records(home) if r.get("lg") == "flightlog.signals"]


@pytest.mark.parametrize("to_group", [False, True])
def test_who_sends_a_signal_is_recorded(tmp_path, to_group):
    keeper = counter(tmp_path, start_new_session=True)
    for number in (15, 2, 1):
        (os.killpg if to_group else os.kill)(keeper.pid, number)
        assert keeper.stdout.readline() == b"%d\n" % number
    os.kill(keeper.pid, signal.SIGUSR2)
    assert keeper.communicate(timeout=20)[0] == b"12\n"
    assert keeper.returncode == 0
    told = [r["x"] for r in signals_told(tmp_path)]
    assert sorted(x["signal"] for x in told) == ["SIGHUP", "SIGINT", "SIGTERM"]
    assert {(x["sender_pid"], x["sender_uid"]) for x in told} == {(os.getpid(), os.geteuid())}


def test_the_keeper_killed_takes_the_command_with_it(tmp_path):
    """As without us: `kill -9` of the pid that the user started ends the program; its output so far is recorded."""
    keeper = subprocess.Popen(
        running.kept(["sh", "-c", "echo hello; exec sleep 60"]),
        env=running.environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout.readline() == b"hello\n"
    keeper.kill()
    assert keeper.wait(20) == -9
    running.nobody_left(tmp_path)
    record = running.ended(tmp_path)
    assert (record["term_signal"], record["by"], record["keeper"]) == ("SIGKILL", "shim", "killed")
    names = [e["ev"] for e in running.events(tmp_path)]
    assert names.index("keeper.died") < names.index("run.ended")
    assert running.captured(tmp_path) == b"hello\n" and running.all_ended(tmp_path)


def test_the_console_can_be_given_up_after_the_command_has_ended(tmp_path):
    """Nobody reads, the command ends all the same: the keeper waits for the console until it is told not to."""
    keeper = subprocess.Popen(
        running.kept(["head", "-c", "300000", "/dev/zero"]), env=running.environment(tmp_path), stdout=subprocess.PIPE
    )
    wait_until(lambda: b"run.started" in journal(tmp_path), 10, "the start")
    wait_until(lambda: sum(p.stat().st_size for p in tmp_path.glob("spool/*/*.cap")) == 300000, 10, "the capture")
    assert keeper.poll() is None

    def given_up():  # not at the very moment of the end: such a signal may be what the command died of
        keeper.terminate()
        return keeper.poll() is not None

    wait_until(given_up, 10, "the keeper to go")
    assert keeper.returncode == 0
    assert len(keeper.stdout.read()) == 300000
    running.nobody_left(tmp_path)


def journal(home):
    return b"".join(p.read_bytes() for p in home.glob("spool/*/*.seg"))


def test_orphans_of_the_command_become_no_zombies(tmp_path):
    script = "for i in 1 2 3 4 5; do (sleep 0.05 &); done; echo done; read x"
    keeper = subprocess.Popen(
        running.kept(["sh", "-c", script]),
        env=running.environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout.readline() == b"done\n"
    _, child = running.shim_and_child(keeper.pid)
    wait_until(lambda: len(running.children(keeper.pid)) == 1, 10, "the keeper to have reaped all but the shim")
    keeper.communicate(b"\n", 20)
    assert keeper.returncode == 0


class Terminal:
    """A program on a pseudo-terminal of its own, as its session's leader, and all it has said so far."""

    def __init__(self, command, home):
        self.said = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, running.environment(home, PS1="$ ", TERM="dumb", HISTFILE=""))
        self.status = None

    def type(self, text):
        os.write(self.fd, text)

    def read(self, seconds=0.05):
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.said += data
        return True

    def expect(self, text, seconds=15):
        def found():
            self.read()
            if text not in self.said:
                return False
            self.said = self.said.split(text, 1)[1]
            return True

        try:
            wait_until(found, seconds, repr(text))
        except AssertionError:
            raise AssertionError(f"no {text!r} in {self.said!r}") from None

    def wait(self, seconds=15):
        def gone():
            self.read(0)
            pid, self.status = os.waitpid(self.pid, os.WNOHANG)
            return pid

        wait_until(gone, seconds, "the end of the program")
        return os.waitstatus_to_exitcode(self.status)

    def close(self):
        os.close(self.fd)


@pytest.fixture
def terminal(tmp_path):
    made = []

    def make(command):
        made.append(Terminal(command, tmp_path))
        return made[-1]

    yield make
    for each in made:
        running.kill_quietly(each.pid)
        try:
            os.close(each.fd)
        except OSError:
            pass
        try:
            os.waitpid(each.pid, 0)
        except ChildProcessError:
            pass


LOOP = "trap 'echo caught; exit 4' INT; echo up; while :; do sleep 0.05; done"


def test_ctrl_c_reaches_the_command_once(tmp_path, terminal):
    program = terminal(running.kept([PY, "-I", "-S", "-c", COUNTER]))
    program.expect(b"ready")
    for _ in range(3):
        program.type(b"\x03")
        program.expect(b"2\r\n")
    program.type(b"\x1c")  # Ctrl-\
    program.expect(b"3\r\n")
    assert b"2" not in program.said
    os.kill(program.pid, signal.SIGUSR2)
    program.expect(b"12\r\n")
    assert program.wait() == 0


def test_ctrl_c_and_the_default_action(tmp_path, terminal):
    program = terminal(running.kept(["sh", "-c", "echo up; exec sleep 60"]))
    program.expect(b"up")
    program.type(b"\x03")
    assert program.wait() == -signal.SIGINT
    running.nobody_left(tmp_path)


def test_a_hung_up_terminal_hangs_up_the_command(tmp_path, terminal):
    """The keeper is the session's leader: the kernel tells it alone, so it has to pass that on."""
    script = f"trap 'echo hup > {tmp_path}/out; exit 0' HUP; echo up; while :; do sleep 0.05; done"
    program = terminal(running.kept(["sh", "-c", script]))
    program.expect(b"up")
    os.close(program.fd)
    running.nobody_left(tmp_path)
    assert running.ended(tmp_path)["exit_code"] == 0
    assert (tmp_path / "out").read_text() == "hup\n"


def test_reading_from_the_terminal(tmp_path, terminal):
    program = terminal(running.kept(["sh", "-c", 'read x; echo "got [$x]"; test -t 0 && echo tty']))
    program.type(b"hello\n")
    program.expect(b"got [hello]")
    program.expect(b"tty")
    assert program.wait() == 0
    (meta,) = running.metas(tmp_path)
    assert meta["merged"]


def shell(terminal):
    program = terminal(["bash", "--norc", "--noprofile", "-i"])
    program.expect(b"$ ")
    return program


def test_job_control(tmp_path, terminal):
    """Ctrl-Z, bg, fg, Ctrl-D in an interactive shell, the command reading from the terminal."""
    bash = shell(terminal)
    bash.type(b" ".join(w.encode() for w in running.kept(["cat"])) + b"\n")
    bash.expect(b"cat\r\n")
    bash.type(b"one\n")
    bash.expect(b"one\r\none\r\n")
    bash.type(b"\x1a")
    bash.expect(b"Stopped")
    bash.expect(b"$ ")
    bash.type(b"bg\n")  # reads from the terminal in the background: stops again
    bash.expect(b"$ ")
    bash.type(b"jobs\n")
    bash.expect(b"Stopped")
    bash.type(b"fg\n")
    bash.expect(b"keeper.py")
    bash.type(b"two\n")
    bash.expect(b"two\r\ntwo\r\n")
    bash.type(b"\x04")
    bash.expect(b"$ ")
    bash.type(b"echo status $?\n")
    bash.expect(b"status 0\r\n")


SLOW_STOPPER = """
import os, signal, time
def stop(n, f):
    os.write(1, b"tidying\\n"); time.sleep(0.3); os.write(1, b"tidy\\n")
    os.kill(os.getpid(), signal.SIGSTOP)
    os.write(1, b"back\\n")
signal.signal(signal.SIGTSTP, stop)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.write(1, b"up\\n")
while True: signal.pause()
"""


def test_a_command_that_does_not_stop_is_not_shown_as_stopped(tmp_path, terminal):
    """It catches Ctrl-Z, takes its time, and then stops for real: the shell gets the terminal back only then."""
    (tmp_path / "slow.py").write_text(SLOW_STOPPER)
    bash = shell(terminal)
    bash.type(" ".join(running.kept([PY, "-I", "-S", str(tmp_path / "slow.py")])).encode() + b"\n")
    bash.expect(b"\nup\r\n")
    bash.type(b"\x1a")
    bash.expect(b"tidying\r\n")
    bash.expect(b"tidy\r\n")
    bash.expect(b"Stopped")
    bash.type(b"fg\n")
    bash.expect(b"back\r\n")
    bash.type(b"\x03")
    bash.expect(b"$ ")
    bash.type(b"echo status $?\n")
    bash.expect(b"status 130\r\n")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_ctrl_c_through_tmux(tmp_path):
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    env = running.environment(tmp_path)
    line = " ".join(running.kept(["sh", "-c", '"echo up; exec sleep 60"'])) + f"; echo $? > {tmp_path}/status"
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", "bash --norc -i"], env=env, check=True)
    try:
        subprocess.run([*tmux, "send-keys", line, "Enter"], env=env, check=True)

        def screen():
            return subprocess.run([*tmux, "capture-pane", "-p"], env=env, capture_output=True, check=True).stdout

        wait_until(lambda: b"\nup\n" in screen(), 15, "the command in the pane")
        subprocess.run([*tmux, "send-keys", "C-c"], env=env, check=True)
        wait_until(lambda: b"keeper.py" not in screen() or b"^C" in screen(), 15, "Ctrl-C")
        # bash gives up the rest of the line when a command died of SIGINT: that is the exact status, seen by a shell
        wait_until(lambda: "run.ended" in [e["ev"] for e in running.events(tmp_path)], 15, "the end")
        assert running.ended(tmp_path)["term_signal"] == "SIGINT"
        assert not (tmp_path / "status").exists()
    finally:
        subprocess.run([*tmux, "kill-server"], env=env, check=False)


def test_a_stopped_command_that_is_killed_leaves_no_stopped_keeper(tmp_path):
    """Nobody continues it: the keeper has to be waked from the stop that it shared with the command."""
    command = running.kept(["sh", "-c", "echo $$; exec sleep 60"])
    keeper = subprocess.Popen(command, env=running.environment(tmp_path), stdout=subprocess.PIPE)
    child = int(keeper.stdout.readline())
    os.kill(child, signal.SIGSTOP)

    def is_stopped():
        with open(f"/proc/{keeper.pid}/status", "rb") as file:
            return b"State:\tT" in file.read()

    wait_until(is_stopped, 30, "the keeper to stop")
    os.kill(child, signal.SIGKILL)
    assert keeper.wait(30) == -signal.SIGKILL
    assert running.ended(tmp_path)["term_signal"] == "SIGKILL"
