"""What the agent uses when nothing happens: with an empty spool, and with the files of many short jobs, which stay for an hour after they were shipped.

Owns: making the spool, and watching. Writers are written by the SDK's own writer, one after the other, as a thousand short jobs leave them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from flightlog import identity, wiring
from flightlog.journal.writer import Writer

from .results import verdicts

TITLE = "An agent with nothing to do"
JOBS = (0, 1_000, 5_000)
SECONDS = 30
SETTLE_SECONDS = 12  # what was written a minute ago is looked at oftener, but that is not rest
START_SECONDS = 60
AIM = 0.01  # of a core, however much lies in the spool


def run():
    """Return the section. Uses a home of its own, with its agent and embedded server."""
    with tempfile.TemporaryDirectory(prefix="fl-rest-", dir="/tmp") as folder:
        os.chmod(folder, 0o711)
        os.environ.update(FLIGHTLOG_HOME=os.path.join(folder, "home"), FLIGHTLOG_AGENT="always")
        script = [sys.executable, "-m", "flightlog"]
        subprocess.run([*script, "agent", "start"], stdout=subprocess.DEVNULL, check=True)
        try:
            return _table(_agent())
        finally:
            subprocess.run([*script, "down"], stdout=subprocess.DEVNULL, check=False)


def _table(pid):
    lines = ["| short jobs of the last hour | files in the spool | agent, of a core |", "|---:|---:|---:|"]
    used, made = 0.0, 0
    for jobs in JOBS:
        _write(jobs - made)
        made = jobs
        _await_shipping()
        time.sleep(SETTLE_SECONDS)
        used = _share(pid)
        lines.append(f"| {jobs:,} | {len(os.listdir(identity.spool_dir())):,} | {used:.2%} |")
    words = f"Processor time of all its threads in {SECONDS} s of rest (schedstat), embedded server, text logs off."
    return "\n".join([words, "", *lines, "", verdicts([(f"of a core, with {JOBS[-1]:,} jobs", used, AIM)])])


def _write(jobs):
    """Have a process leave what *jobs* finished jobs leave, and end."""
    subprocess.run([sys.executable, "-m", "bench.rest", str(jobs)], check=True)


def leave(jobs):
    spool = identity.spool_dir()
    identity.make_spool(spool)
    for _ in range(jobs):
        run = identity.new_ulid()
        head = {"pipeline": "bench", "run": run, "pid": os.getpid(), "start": identity.process_start_time(os.getpid())}
        writer = Writer(spool, lambda head=head: head)
        record = {"k": "log", "lv": 20, "lg": "bench", "t": time.time_ns(), "r": run, "m": "a short job"}
        writer.append(json.dumps(record, separators=(",", ":")).encode())
        writer.close()


def _await_shipping():
    deadline = time.monotonic() + 600.0
    while wiring.database_waits():
        if time.monotonic() > deadline:
            raise RuntimeError("the agent does not ship")
        time.sleep(0.5)


def _agent():
    """Return the pid of the agent of this home, once it is there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        done = subprocess.run(
            [sys.executable, "-m", "flightlog", "agent", "status", "-o", "json"], stdout=subprocess.PIPE, check=False
        )
        pid = json.loads(done.stdout or b"{}").get("pid")
        if pid:
            return pid
        time.sleep(0.5)
    raise RuntimeError("no agent")


def _share(pid):
    before, began = _nanoseconds(pid), time.monotonic()
    time.sleep(SECONDS)
    return (_nanoseconds(pid) - before) / 1e9 / (time.monotonic() - began)


def _nanoseconds(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


if __name__ == "__main__":
    leave(int(sys.argv[1]))
