"""What flightlog's own processes take while a pipeline does nothing: keeper and shim of a run, caretaker of a kept process.

Owns: starting one of each and watching them, all in the same half minute. Memory is what nobody else has (Private_* of smaps_rollup), beside what is
resident and the proportional share (Pss): keeper and shim are forks of each other, and what only these two have is private to neither; processor time is utime and stime of proc(5), a hundredth of a second at best.
"""

import json
import os
import signal
import subprocess
import time

REST_SECONDS = 30
START_SECONDS = 30  # at most
NAME = "at-rest"


def look(script, environment):
    """Return role -> (kilobytes resident, private, proportional, percent of a core); *script*: the console script."""
    quiet = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    sleep = ["sleep", str(4 * REST_SECONDS + START_SECONDS)]
    run = subprocess.Popen([script, "run", "--", *sleep], **quiet)
    try:
        subprocess.run([script, "start", NAME, "--job", "--", *sleep], check=True, timeout=START_SECONDS, **quiet)
        roles = {f"{role} of `flightlog run`": pid for role, pid in _recorders(run.pid).items()}
        kept = _kept(script, environment)
        roles["caretaker of `flightlog start`"] = kept["caretaker"]
        keeper = _parent(_parent(kept["pid"]))  # keeper, shim, command
        roles.update((f"{role} of `flightlog start`", pid) for role, pid in _recorders(keeper).items())
        time.sleep(1)  # what they do once, at the beginning, is no rest
        before = {role: _ticks(pid) for role, pid in roles.items()}
        time.sleep(REST_SECONDS)
        share = 100 / os.sysconf("SC_CLK_TCK") / REST_SECONDS
        return {role: (*_kilobytes(pid), (_ticks(pid) - before[role]) * share) for role, pid in roles.items()}
    finally:
        subprocess.run([script, "kill", NAME], check=False, timeout=START_SECONDS, stderr=subprocess.DEVNULL, **quiet)
        run.send_signal(signal.SIGTERM)
        try:
            run.wait(10)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()


def _recorders(keeper):
    """Return the pids of a keeper and its shim, once the command runs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        shims = [pid for pid in _children(keeper) if any(_words(child)[:1] == ["sleep"] for child in _children(pid))]
        if shims:
            return {"keeper": keeper, "shim": shims[0]}
        time.sleep(0.05)
    raise RuntimeError(f"process {keeper} did not start its command")


def _kept(script, environment):
    done = subprocess.run(
        [script, "ps", NAME, "-o", "json"], env=environment, capture_output=True, timeout=START_SECONDS
    )
    return json.loads(done.stdout)["processes"][0]


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")
    except OSError:
        return []


def _stat(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rsplit(b")", 1)[1].split()


def _parent(pid):
    return int(_stat(pid)[1])


def _ticks(pid):
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12])


def _kilobytes(pid):
    found = {"Rss": 0, "Private_Clean": 0, "Private_Dirty": 0, "Pss": 0}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key in found:
                found[key] = int(rest.split()[0])
    return found["Rss"], found["Private_Clean"] + found["Private_Dirty"], found["Pss"]
