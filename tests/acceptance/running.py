"""Run a command bare and under the keeper, and look at what it left: for the tests of `flightlog run`."""

import glob
import json
import os
import signal
import subprocess
import sys

import flightlog
from flightlog.journal import format as frames
from flightlog.journal import reader
from waiting import wait_until

KEEPER = [sys.executable, "-I", "-S", os.path.join(os.path.dirname(flightlog.__file__), "process", "keeper.py")]


def environment(home, **more):
    """The environment of a user who has nothing set that would make output or recording other than usual."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLIGHTLOG_", "PYTHONUNBUFFERED", "PYTHONPATH"))}
    env.update(FLIGHTLOG_HOME=str(home), FLIGHTLOG_AGENT="never")
    env.update(more)
    return env


def kept(command):
    """The argument list that runs *command* under the keeper."""
    return [*KEEPER, "--", *command]


def run(command, home, cwd=None, stdin=b"", timeout=60, env=None):
    """Run to the end with three pipes; return (return code, stdout, stderr)."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, cwd=cwd, timeout=timeout, env=env or environment(home), check=False
    )
    return done.returncode, done.stdout, done.stderr


def spool(home):
    return os.path.join(str(home), "spool", str(os.geteuid()))


def records(home):
    """All records of the spool, in order of time."""
    found = []
    for path in glob.glob(os.path.join(spool(home), "*.seg")):
        writer = os.path.basename(path).split(".")[0]
        fd = reader.open_segment(path)
        try:
            offset = 0
            while True:
                chunk = reader.read_chunk(fd, frames.salt_of(writer), offset)
                found += [json.loads(payload) for _, _, payload in chunk.frames]
                if chunk.stop != reader.MORE:
                    assert chunk.stop == reader.END, (path, chunk.stop)
                    break
                offset = chunk.next
        finally:
            os.close(fd)
    return sorted(found, key=lambda r: r["t"])


def events(home):
    """All event records of the spool, in order of time."""
    return [record for record in records(home) if record["k"] == "event"]


def ended(home):
    """The data of run.ended. A shim killed between the record and its note leaves a second one to the keeper."""
    records = [e["x"] for e in events(home) if e["ev"] == "run.ended"]
    assert records and all(r["wait_status"] == records[0]["wait_status"] for r in records), records
    assert len(records) == 1 or records[-1]["by"] == "keeper"
    return records[-1]


def captured(home, stream="stdout"):
    """The bytes of one stream's capture, all segments."""
    (meta,) = [m for m in metas(home) if m["stream"] == stream]
    data = b""
    for path in sorted(glob.glob(os.path.join(spool(home), meta["writer"] + ".*.cap"))):
        with open(path, "rb") as file:
            data += file.read()
    return data


def metas(home):
    found = []
    for path in glob.glob(os.path.join(spool(home), "*.meta")):
        with open(path) as file:
            text = file.read()
        if text:  # else it is being made
            found.append(json.loads(text))
    return found


def all_ended(home):
    """Whether each capture says that nothing comes any more."""
    return all(os.path.exists(os.path.join(spool(home), m["writer"] + ".end")) for m in metas(home))


def processes(home):
    """Pids of living processes (no zombies) whose environment names *home*."""
    needle = f"FLIGHTLOG_HOME={home}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if needle in file.read() + b"\0":
                        found.append(int(name))
            except OSError:
                continue
    return found


def nobody_left(home, seconds=10.0):
    wait_until(lambda: not processes(home), seconds, "the last process of the run to go")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def shim_and_child(keeper):
    """Wait until the command runs (has executed); return (shim's pid, command's pid)."""

    def ready():
        for shim in children(keeper):
            for child in children(shim):
                try:
                    with open(f"/proc/{child}/cmdline", "rb") as file:
                        if b"keeper.py" not in file.read():
                            return shim, child
                except OSError:
                    continue
        return None

    return wait_until(ready, 20, "the command to run")


def kill_quietly(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except OSError:
        pass
