"""For the fault campaigns: the seed, how many rounds, and the environment of a user.

`make test` runs a short slice; `make faults` sets FLIGHTLOG_FAULT_ROUNDS. The seed is printed at the start and by each failure:
FLIGHTLOG_FAULT_SEED repeats it.
"""

import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.join(
    os.path.dirname(os.path.dirname(HERE)), "src"
)  # for interpreters in which flightlog is not installed
SEED = int(os.environ.get("FLIGHTLOG_FAULT_SEED") or 0) or random.SystemRandom().randrange(1, 1 << 30)
os.environ["FLIGHTLOG_FAULT_SEED"] = str(SEED)  # workers of pytest-xdist take the same
LONG = bool(os.environ.get("FLIGHTLOG_FAULT_ROUNDS"))


def rounds(slice_, times=1, whole=None):
    """How many rounds: *slice_* in `make test`; in `make faults` *whole*, else FLIGHTLOG_FAULT_ROUNDS x *times*."""
    if not LONG:
        return slice_
    return whole if whole is not None else int(os.environ["FLIGHTLOG_FAULT_ROUNDS"]) * times


def environment(home, dsn, **more):
    """The environment of a user of *home* whose database is *dsn*."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_") and k != "PYTHONUNBUFFERED"}
    env.update(FLIGHTLOG_HOME=str(home), FLIGHTLOG_DSN=dsn, FLIGHTLOG_AGENT="never", FLIGHTLOG_NODE="faults")
    # Victims import `worker`. What the tests themselves run with stays in front of ours: a broken copy, when mutants are tried.
    env["PYTHONPATH"] = os.pathsep.join([HERE, *filter(None, [os.environ.get("PYTHONPATH")]), SRC])
    env.update(more)
    return env


def flightlog(*arguments, env, timeout=120):
    """Run the command line; return (return code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", *arguments], env=env, capture_output=True, text=True, timeout=timeout
    )
    return done.returncode, done.stdout, done.stderr
