"""The shim killed with -9 at any moment: the command ends as it would have, no byte is missing, the end is recorded."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import running

from waiting import wait_until

PY = sys.executable
ROUNDS = int(os.environ.get("FLIGHTLOG_SHIM_KILLS", "60"))
LINES = 60000
WRITER = f"""
import os, signal, sys
for i in range({LINES}):
    sys.stdout.write("line %d\\n" % i)
    if i % 5000 == 0:
        sys.stdout.flush(); sys.stderr.write("note %d\\n" % i); sys.stderr.flush()
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGSEGV)
"""
OUT = b"".join(b"line %d\n" % i for i in range(LINES))
ERR = b"".join(b"note %d\n" % i for i in range(0, LINES, 5000))


def kill_shim_when_born(keeper, after):
    """Kill the shim *after* seconds from its birth, unless the run is over by then; tell whether it was alive."""
    deadline = time.monotonic() + 10
    while not running.children(keeper.pid):
        if keeper.poll() is not None or time.monotonic() > deadline:
            return False
    (shim,) = running.children(keeper.pid)[:1]
    time.sleep(after)
    try:
        os.kill(shim, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_the_shim_killed_at_random_moments(tmp_path):
    seed = int(os.environ.get("FLIGHTLOG_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"seed {seed}: repeat with FLIGHTLOG_SEED={seed}")
    rnd = random.Random(seed)
    taken_over = 0
    for turn in range(ROUNDS):
        home = tmp_path / str(turn)
        with open(tmp_path / "out", "wb") as out_file:
            piped = turn % 3 != 0
            keeper = subprocess.Popen(
                running.kept([PY, "-I", "-S", "-c", WRITER]),
                env=running.environment(home),
                stdout=subprocess.PIPE if piped else out_file,
                stderr=subprocess.PIPE,
            )
            kill_shim_when_born(keeper, rnd.choice((0.002, 0.01, 0.05)) * rnd.random())
            out, err = keeper.communicate(timeout=60)
        where = f"turn {turn}, seed {seed}"
        assert keeper.returncode == -signal.SIGSEGV, where
        out = out if piped else (tmp_path / "out").read_bytes()
        assert (len(out), out == OUT) == (len(OUT), True), where
        assert err == ERR, where
        running.nobody_left(home)
        assert running.captured(home) == OUT, where
        assert running.captured(home, "stderr") == ERR, where
        record = running.ended(home)
        assert record["term_signal"] == "SIGSEGV", where
        assert running.all_ended(home), where
        taken_over += record["by"] == "keeper"
    print(f"the keeper took over in {taken_over} of {ROUNDS} runs")
    assert taken_over >= ROUNDS // 4


def kept(command, home, **how):
    return subprocess.Popen(running.kept(command), env=running.environment(home), **how)


def test_signals_reach_the_command_after_the_shim_died(tmp_path):
    keeper = kept(
        ["sh", "-c", "trap 'echo caught; exit 6' TERM; echo up; while :; do sleep 0.05; done"], tmp_path, stdout=-1
    )
    assert keeper.stdout.readline() == b"up\n"
    shim, _ = running.shim_and_child(keeper.pid)
    os.kill(shim, signal.SIGKILL)
    wait_until(
        lambda: b"shim.died" in b"".join(p.read_bytes() for p in tmp_path.glob("spool/*/*.seg")), 10, "the take-over"
    )
    keeper.terminate()
    assert keeper.communicate(timeout=20)[0] == b"caught\n"
    assert keeper.returncode == 6
    assert running.ended(tmp_path)["by"] == "keeper"
    running.nobody_left(tmp_path)


def test_shim_and_command_killed_together(tmp_path):
    keeper = kept(["sh", "-c", "echo up; exec sleep 60"], tmp_path, stdout=-1)
    assert keeper.stdout.readline() == b"up\n"
    shim, child = running.shim_and_child(keeper.pid)
    os.kill(shim, signal.SIGSTOP)
    os.kill(child, signal.SIGTERM)
    os.kill(shim, signal.SIGKILL)
    assert keeper.wait(20) == -signal.SIGTERM
    assert running.ended(tmp_path)["term_signal"] == "SIGTERM"
    running.nobody_left(tmp_path)


def test_late_output_after_the_shim_died(tmp_path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    script = f"(read x < {fifo}; echo late) & echo up; read y; exit 3"
    keeper = kept(["sh", "-c", script], tmp_path, stdout=-1, stdin=-1)
    assert keeper.stdout.readline() == b"up\n"
    shim, _ = running.shim_and_child(keeper.pid)
    os.kill(shim, signal.SIGKILL)
    keeper.stdin.write(b"\n")
    keeper.stdin.flush()
    assert keeper.wait(20) == 3
    fifo.write_text("go\n")
    assert keeper.stdout.read() == b"late\n"
    running.nobody_left(tmp_path)
    assert running.captured(tmp_path) == b"up\nlate\n"
    assert running.all_ended(tmp_path)


def test_a_vanished_reader_after_the_shim_died(tmp_path):
    keeper = kept(["yes"], tmp_path, stdout=-1)
    keeper.stdout.readline()
    shim, _ = running.shim_and_child(keeper.pid)
    os.kill(shim, signal.SIGKILL)
    for _ in range(1000):
        keeper.stdout.readline()
    keeper.stdout.close()
    assert keeper.wait(20) == -signal.SIGPIPE
    running.nobody_left(tmp_path)


def test_everybody_killed_by_group(tmp_path):
    """A kill of the whole group: nothing survives, what was captured stays, nobody claims to know the end."""
    keeper = kept(["sh", "-c", "echo up; sleep 60"], tmp_path, stdout=-1, start_new_session=True)
    assert keeper.stdout.readline() == b"up\n"
    os.killpg(keeper.pid, signal.SIGKILL)
    assert keeper.wait(20) == -signal.SIGKILL
    running.nobody_left(tmp_path)
    assert running.captured(tmp_path) == b"up\n"
    assert [e["ev"] for e in running.events(tmp_path)][:1] == ["run.started"]
    assert "run.ended" not in [e["ev"] for e in running.events(tmp_path)]
