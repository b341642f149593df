"""The presenter: runs the census under flightlog, kills it half way, shows what is known, runs it to the end.

Owns: the demonstration's own FLIGHTLOG_HOME, the order of the scenes and the words between them.
Leaves everything else to the `flightlog` command, called as a user would call it. Takes under a minute.
Exit 0 when every scene showed what it promised, 1 when one did not.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

CENSUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "census.py")
PIPELINE = "stdlib-census"
HALF_WAY_SECONDS = 45.0  # how long the presenter waits for the pipeline to get half way


class SceneFailed(Exception):
    """A scene did not show what it promised."""


def demo_home():
    """Return the demonstration's own home, so that nothing is mixed with a real one."""
    if "FLIGHTLOG_HOME" in os.environ:
        return os.environ["FLIGHTLOG_HOME"]
    state = (
        "/var/lib"
        if os.geteuid() == 0
        else os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    )
    return os.path.join(state, "flightlog-demo")


def say(text=""):
    """Print one line of the presenter's own words, apart from what the commands print."""
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[1m{text}\033[0m" if bold and text else text, flush=True)


def flightlog(*arguments, show=True, check=True):
    """Run one flightlog command as a user would; return its standard output when it is not shown."""
    command = [sys.executable, "-m", "flightlog", *arguments]
    if show:
        say(f"\n$ flightlog {' '.join(arguments)}")
    done = subprocess.run(command, stdout=None if show else subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise SceneFailed(f"flightlog {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def latest():
    """Return the latest run of the pipeline as `status -o json` tells it, or None when there is none yet."""
    command = [sys.executable, "-m", "flightlog", "status", PIPELINE, "-o", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None


def wait_for(process, before, part):
    """Wait until the newest run has parsed *part* of its files; return its status, or None when it was over before we had looked."""
    deadline = time.monotonic() + HALF_WAY_SECONDS
    while time.monotonic() < deadline:
        run = latest()
        progress = (run or {}).get("progress") or {}
        if process.poll() is not None:
            if process.returncode:
                raise SceneFailed(f"the pipeline ended by itself with {process.returncode} before it was half way")
            return None
        if run and run["run"] != before and progress.get("total") and progress["done"] >= part * progress["total"]:
            return run
        time.sleep(0.05)
    raise SceneFailed(f"the pipeline was not half way after {HALF_WAY_SECONDS:.0f} s")


def kill_on_its_way(command, console):
    """Start the census and kill it half way, or sooner where the machine is faster than we can look; return (process, status at that time)."""
    for part in (0.5, 0.25, 0.0):
        before = (latest() or {}).get("run")
        with open(console, "wb") as output:
            process = subprocess.Popen([sys.executable, "-m", "flightlog", *command], stdout=output, stderr=output)
        run = wait_for(process, before, part)
        if run is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run["pid"], signal.SIGKILL)
            process.wait()
            if process.returncode:
                return process, run
        say("(it was at its end before anybody could look; once more)")
    raise SceneFailed("the pipeline is too fast to be killed on its way")


def scene_killed(command, console):
    """Start the census, kill -9 it half way, and show what is known about it."""
    say(f"1. The census runs under flightlog. Its console goes to {console}.")
    say(f"\n$ flightlog {' '.join(command)} > census.log 2>&1 &")
    process, run = kill_on_its_way(command, console)
    say(f"\n2. On its way ({run['progress']['done']} of {run['progress']['total']} files) somebody kills it:")
    say(f"\n$ kill -9 {run['pid']}")
    say(f"the caller sees what it would have seen without flightlog: death by signal {-process.returncode}")
    if process.returncode != -signal.SIGKILL:
        raise SceneFailed(f"the caller saw {process.returncode}, not -9")
    say("\n3. What is known. Look at: the state and its cause, and the very last line before the kill.")
    flightlog("status", PIPELINE)
    flightlog("why", PIPELINE)
    flightlog("logs", PIPELINE, "-n", "6")
    say("\n4. Nothing is lost, and that is proven: written = stored, missing 0.")
    flightlog("audit", PIPELINE)


def scene_finished(command, console, result):
    """Run the census to its end and show its result."""
    say("\n5. Again, to the end.")
    say(f"\n$ flightlog {' '.join(command)} >> census.log 2>&1")
    with open(console, "ab") as output:
        done = subprocess.run([sys.executable, "-m", "flightlog", *command], stdout=output, stderr=output)
    if done.returncode != 0:
        raise SceneFailed(f"the census ended with {done.returncode}; see {console}")
    flightlog("status", PIPELINE)
    flightlog("logs", PIPELINE, "-p", "warn", "-n", "4")
    flightlog("list")
    say("\n6. The pipeline's own result: the most complex modules.")
    database = sqlite3.connect(result)
    rows = database.execute(
        "SELECT module, functions, classes, 100 * documented / documentable, complexity FROM census"
        " WHERE functions >= 10 ORDER BY complexity DESC LIMIT 5"
    )
    print(f"\n{'module':36} {'functions':>9} {'classes':>8} {'documented':>11} {'complexity':>11}")
    for module, functions, classes, percent, complexity in rows:
        print(f"{module:36} {functions:9d} {classes:8d} {percent:10d}% {complexity:11.1f}")
    database.close()


def main():
    """Play the scenes; return the exit status."""
    home = demo_home()
    started = time.monotonic()
    os.environ["FLIGHTLOG_HOME"] = home
    os.environ.pop("FLIGHTLOG_DSN", None)  # the demonstration shows the embedded default
    os.environ["FLIGHTLOG_AGENT"] = "always"  # also where flightlog would not start one by itself, as in CI
    os.makedirs(home, 0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
    console, result = os.path.join(home, "census.log"), os.path.join(home, "census.sqlite")
    command = ["run", "--pipeline", PIPELINE, "--", sys.executable, CENSUS, result]
    say("flightlog demo: a pipeline parses the source of Python's whole standard library.")
    say(
        f"Everything is kept under FLIGHTLOG_HOME={home} (an embedded PostgreSQL, the first start takes some seconds).\n"
    )
    try:
        scene_killed(command, console)
        scene_finished(command, console, result)
    except SceneFailed as problem:
        print(f"\nError: {problem}\nTry: flightlog agent status; cat {home}/log/agent.log", file=sys.stderr)
        return 1
    say(f"\nDone in {time.monotonic() - started:.0f} s. To look around by yourself:")
    say(f"  export FLIGHTLOG_HOME={home} PATH={os.path.dirname(sys.executable)}:$PATH")
    say("  flightlog logs stdlib-census -f -n 20      flightlog journal cat      flightlog down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
