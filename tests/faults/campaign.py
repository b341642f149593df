"""For the fault campaigns: how many rounds, and running the command line against one database.

`make test` runs a short slice; `make faults` sets FLIGHTLOG_FAULT_ROUNDS. A failing round names its seed: FLIGHTLOG_FAULT_SEED repeats it.
"""

import os
import random
import subprocess
import sys

SEED = int(os.environ.get("FLIGHTLOG_FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


def rounds(slice_, times=1):
    """How many rounds: *slice_* in `make test`, FLIGHTLOG_FAULT_ROUNDS x *times* in `make faults`."""
    wanted = os.environ.get("FLIGHTLOG_FAULT_ROUNDS")
    return int(wanted) * times if wanted else slice_


def environment(home, dsn, **more):
    """The environment of a user of *home* whose database is *dsn*."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_") and k != "PYTHONUNBUFFERED"}
    env.update(FLIGHTLOG_HOME=str(home), FLIGHTLOG_DSN=dsn, FLIGHTLOG_AGENT="never", FLIGHTLOG_NODE="faults")
    env.update(more)
    return env


def flightlog(*arguments, env, timeout=120):
    """Run the command line; return (return code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", *arguments], env=env, capture_output=True, text=True, timeout=timeout
    )
    return done.returncode, done.stdout, done.stderr
