"""What is recorded in a forked child asks nothing of the dynamic linker.

It may have been forked while another thread loaded a library, or ended (glibc loads one then): the linker's lists are half made in it, and a call ends it.
"""

import os
import subprocess

import pytest
from test_recording import SRC, messages, records

from acceptance.interpreters import VERSIONS, find

PROGRAM = """
import os, logging, flightlog, sys, time, resource, math, mmap  # what a program of some size has loaded
flightlog.init()
%s
pid = os.fork()
if pid == 0:
    logging.getLogger("a").warning("in a child %%d", 1)
    flightlog.get_logger("b").info("native", n=1)
    try:
        raise KeyError("k")
    except KeyError:
        logging.exception("failed")
    os._exit(0)
os.waitpid(pid, 0)
print(pid)
"""
BEFORE = {"nothing recorded before": "", "something recorded before": "logging.getLogger('a').warning('before')"}


@pytest.mark.parametrize("before", BEFORE.values(), ids=list(BEFORE))
@pytest.mark.parametrize("version", VERSIONS)
def test_a_forked_child_opens_no_library(tmp_path, version, before):
    python = find(version) or pytest.skip(f"no Python {version} on this machine")
    spool = tmp_path / "home" / "spool" / "1"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FLIGHTLOG_", "PYTHON", "LD_"))}
    env.update(
        FLIGHTLOG_HOME=str(tmp_path / "home"),
        FLIGHTLOG_SPOOL=str(spool),
        PYTHONPATH=SRC,
        LD_DEBUG="files",
        LD_DEBUG_OUTPUT=str(tmp_path / "linker"),
    )
    done = subprocess.run([python, "-c", PROGRAM % before], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "in a child 1" in messages(records(spool))
    child = done.stdout.strip()
    said = "".join(file.read_text() for file in tmp_path.glob("linker.*")).splitlines()
    if not said:
        pytest.skip("this linker does not tell what it does")
    assert [
        line for line in said if line.split(":")[0].strip() == child and ("opening" in line or "needed by" in line)
    ] == []
