"""What a capture could not take is declared: by events and by lines of the log, once each, whoever counted and whenever it went by."""

import glob
import json
import os
import signal
import subprocess

import running

from flightlog.journal import format as frames
from flightlog.journal import reader
from flightlog.process.pump import WORDS_BYTES
from waiting import wait_until

BLOCKS = 20  # of 1024 bytes: what a file may have
NUMBERS = b"".join(b"%d\n" % number for number in range(1, 20001))


def limited(script):
    """The argument list that runs *script* of the shell under the keeper, where files may have some KB only."""
    return ["bash", "-c", f'ulimit -f {BLOCKS}; exec "$@"', "bash", *running.kept(["sh", "-c", script])]


def said(home):
    """The lines that flightlog itself wrote into the log: (bytes, stream, time)."""
    found = []
    for path in glob.glob(os.path.join(running.spool(home), "*.seg")):
        with open(path, "rb") as file:
            chunk = reader.read_chunk(file.fileno(), frames.salt_of(os.path.basename(path)[:32]), 0)
        records = [json.loads(payload) for _, _, payload in chunk.frames]
        found += [(r["x"]["lost_bytes"], r["x"]["stream"], r["t"]) for r in records if r.get("lg") == "flightlog.drops"]
    return sorted(found, key=lambda one: one[2])


def last_word(home):
    """How many bytes are lost: as the newest of all events says that speaks of standard output."""
    words = [word for e in running.events(home) for word in (e["x"].get("captures") or [e["x"]]) if "lost" in word]
    return [0, *(word["lost"] for word in words if word["stream"] == "stdout")][-1]


def start(home, script, stdout=subprocess.PIPE):
    env = running.environment(home)
    return subprocess.Popen(limited(script), env=env, stdin=subprocess.DEVNULL, stdout=stdout)


def test_a_short_run_says_so_once(tmp_path):
    code, out, _ = running.run(limited("seq 1 20000; exit 3"), tmp_path)
    assert (code, out) == (3, NUMBERS)
    (end,) = [c["lost"] for c in running.ended(tmp_path)["captures"] if c["stream"] == "stdout"]
    assert end + len(running.captured(tmp_path)) == len(NUMBERS) and end > 0
    gaps = [e["x"] for e in running.events(tmp_path) if e["ev"] == "capture.gap"]
    assert [(gap["stream"], gap["lost"]) for gap in gaps] == [("stdout", end)]
    ((count, stream, at),) = said(tmp_path)
    assert (count, stream) == (end, "stdout")
    (ended_at,) = [e["t"] for e in running.events(tmp_path) if e["ev"] == "run.ended"]
    assert at < ended_at  # it stands where the gap is


def test_a_run_that_lost_nothing_says_nothing(tmp_path):
    running.run(limited("seq 1 100"), tmp_path)
    assert said(tmp_path) == [] and last_word(tmp_path) == 0
    assert not [e for e in running.events(tmp_path) if e["ev"] == "capture.gap"]


def test_it_is_said_while_the_command_is_silent(tmp_path):
    run = start(tmp_path, "seq 1 10000; sleep 0.2; seq 10001 20000; exec sleep 60", stdout=subprocess.DEVNULL)
    try:
        lost = len(NUMBERS) - BLOCKS * 1024
        wait_until(lambda: last_word(tmp_path) == lost, 20, "an event that tells all of it")
        wait_until(lambda: sum(one[0] for one in said(tmp_path)) == lost, 20, "lines that tell all of it")
        assert run.poll() is None
    finally:
        run.terminate()
        run.wait(timeout=30)


def test_what_comes_behind_the_end_counts(tmp_path):
    go = tmp_path / "go"
    run = start(tmp_path / "home", f"seq 1 10000; (while [ ! -e {go} ]; do sleep 0.05; done; seq 10001 20000) & exit 0")
    run.wait(timeout=30)
    before = last_word(tmp_path / "home")
    go.touch()
    out = run.communicate(timeout=30)[0]
    assert out == NUMBERS
    running.nobody_left(tmp_path / "home")
    after = last_word(tmp_path / "home")
    assert 0 < before < after == len(NUMBERS) - len(running.captured(tmp_path / "home"))
    assert sum(one[0] for one in said(tmp_path / "home")) == after


def test_who_takes_over_goes_on_counting(tmp_path):
    home, go = tmp_path / "home", tmp_path / "go"
    run = start(home, f"seq 1 10000; while [ ! -e {go} ]; do sleep 0.05; done; seq 10001 20000")
    shim, _ = running.shim_and_child(run.pid)
    wait_until(lambda: last_word(home) > 0, 20, "an event of the shim's")
    os.kill(shim, signal.SIGKILL)
    wait_until(lambda: any(e["ev"] == "shim.died" for e in running.events(home)), 20, "the keeper to take over")
    go.touch()
    out = run.communicate(timeout=30)[0]
    assert out == NUMBERS
    running.nobody_left(home)
    lost = len(NUMBERS) - len(running.captured(home))
    assert last_word(home) == lost
    # A line tells what was not kept when it was written; of that the last words, held in memory, may be kept at the end.
    assert lost <= sum(one[0] for one in said(home)) <= lost + WORDS_BYTES


def test_who_switched_recording_off_misses_nothing(tmp_path):
    config, go = tmp_path / "config.yml", tmp_path / "go"
    config.write_text("logging: {}\n")
    home = tmp_path / "home"
    script = f"echo kept; while [ ! -e {go} ]; do sleep 0.05; echo tick; done; seq 1 20000"
    env = running.environment(home)
    run = subprocess.Popen(
        [*running.KEEPER, "--config", str(config), "--", "sh", "-c", script], env=env, stdout=subprocess.PIPE
    )
    assert run.stdout.readline() == b"kept\n"
    assert running.captured(home).startswith(b"kept\n")
    config.write_text("monitoring:\n  enabled: false\n")

    def still():
        size = len(running.captured(home))
        count = [run.stdout.readline() for _ in range(30)]
        return count and len(running.captured(home)) == size

    wait_until(still, 20, "the capture to stop")
    go.touch()
    run.communicate(timeout=30)
    assert NUMBERS not in running.captured(home)
    assert last_word(home) == 0 and said(home) == []
