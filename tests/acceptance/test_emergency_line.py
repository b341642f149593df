"""The printed emergency line as people type it, in each shell of this machine, and what it does to pipelines that run and that begin."""

import os
import shutil
import subprocess
import sys

import pytest

from acceptance import running
from acceptance.told import Told
from unit.config.malformed import put

LINE = 'echo "monitoring:\\n  enabled: %s" >> config.yml\n'
SHELLS = {
    "bash": ["bash"],
    "sh": ["sh"],
    "dash": ["dash"],
    "zsh": ["zsh"],
    "ksh": ["ksh"],
    "mksh": ["mksh"],
    "busybox": ["busybox", "sh"],
}
# Files as they lie about: whole, without a last newline, in braces, broken.
FILES = (
    b"logging:\n  redact:\n    keys: [abc]\n",
    b"monitoring:\n  enabled: true\n  rollout:\n    percent: 100",
    b'{"monitoring": {"enabled": true}}',
    b"agent: [\n  batch_rows: 'five",
)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_reaches_who_runs_and_who_begins(tmp_path, shell):
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"{shell} is not on this machine; test_switch.py plays what it would write")
    home, config = tmp_path / "home", tmp_path / "config.yml"

    def typed(word):
        subprocess.run(SHELLS[shell], input=(LINE % word).encode(), cwd=tmp_path, check=True, timeout=60)

    put(config, FILES[0])
    attached = Told([sys.executable], home, config, "orders")
    keeper = [*running.KEEPER, "--config", str(config), "--pipeline", "etl", "--", sys.executable]
    kept = Told(keeper, tmp_path / "kept", config)
    for content in FILES if shell in ("bash", "dash") else FILES[:2]:
        put(config, content)
        attached.await_recorded("log", True)
        kept.await_recorded("say", True)
        typed("false")
        attached.await_recorded("log", False)
        kept.await_recorded("say", False)
        assert new_is_recorded(tmp_path, config) is False
        typed("true")
        attached.await_recorded("log", True)
        kept.await_recorded("say", True)
    assert new_is_recorded(tmp_path, config) is True
    attached.end()
    kept.end()


def new_is_recorded(tmp_path, config):
    """Run a command by `flightlog run`, found in the working directory; tell whether it was recorded."""
    home = tmp_path / "new"
    env = running.environment(home)
    command = [sys.executable, "-m", "flightlog", "run", "--", "sh", "-c", "echo out; exit 3"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"")
    return os.path.exists(home)
