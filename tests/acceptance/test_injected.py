"""The injected SDK: a supervised Python records through `logging` without having flightlog, in every interpreter found; and is left alone when too old."""

import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

from flightlog.journal import mark, reader
from flightlog.journal.format import salt_of

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s')
print('printed')
sys.stdout.flush()
logging.info('logged %d', 1)
logging.getLogger('etl').warning('warned')
import flightlog
flightlog.get_logger('native').info('native', rows=3)
"""


def interpreter(name):
    """Return the path of an interpreter, or None."""
    base = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    found = sorted(glob.glob(os.path.join(base, name + ".*", "bin", "python")))
    return found[-1] if found else shutil.which("python" + name) or (shutil.which(name) if name == "pypy3" else None)


def supervised(tmp_path, command):
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("FLIGHTLOG_") and k not in ("PYTHONUNBUFFERED", "PYTHONPATH")
    }
    env.update(FLIGHTLOG_HOME=str(tmp_path / "home"), FLIGHTLOG_AGENT="never")
    front = [sys.executable, "-m", "flightlog", "run", "--"]
    return subprocess.run([*front, *command], env=env, cwd=tmp_path, capture_output=True, timeout=60)


def journalled(home):
    found = []
    for path in sorted(glob.glob(str(home / "spool" / "*" / "*.seg"))):
        for _, _, _, payload in reader.read_segment(path, salt_of(os.path.basename(path)[:32])):
            assert payload is not None
            found.append(json.loads(payload))
    return found


def raw_output(home):
    raw = b""
    for path in sorted(glob.glob(str(home / "spool" / "*" / "*.cap"))):
        splitter = mark.Splitter()
        with open(path, "rb") as file:
            raw += b"".join(text for reference, text in splitter.feed(file.read()) + splitter.flush() if not reference)
    return raw


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_each_line_is_recorded_once_and_the_console_is_the_same(tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    script = tmp_path / "x.py"
    script.write_text(
        PROGRAM.replace("import flightlog\n", "").replace("flightlog.get_logger('native').info('native', rows=3)\n", "")
    )
    plain = subprocess.run([python, str(script)], capture_output=True, cwd=tmp_path, timeout=60)
    script.write_text(PROGRAM)
    done = supervised(tmp_path, [python, str(script)])
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    logs = [(r["m"], r["lv"]) for r in journalled(tmp_path / "home") if r["k"] == "log"]
    assert logs == [("logged 1", 20), ("warned", 30), ("native", 20)]
    assert raw_output(tmp_path / "home") == b"printed\n"
    runs = {r["r"] for r in journalled(tmp_path / "home") if r["k"] in ("log", "event")}
    assert len(runs) == 1


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_older_pythons_run_as_without_us(tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    code = "import logging, sys; logging.warning('w'); print([p for p in sys.path if 'inject' in p])"
    done = supervised(tmp_path, [python, "-c", code])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"[]\n", b"WARNING:root:w\n")
    assert not [r for r in journalled(tmp_path / "home") if r["k"] == "log"]


def test_hidden_sitecustomize_still_runs(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "print('the user's own')".replace("'the user's own'", '"the users own"')
    )
    code = "import sys; sys.path.insert(0, 'site'); import os; print(os.environ.get('FLIGHTLOG_DSN'))"
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_")}
    env.update(
        FLIGHTLOG_HOME=str(tmp_path / "home"),
        FLIGHTLOG_AGENT="never",
        PYTHONPATH=str(tmp_path / "site"),
        FLIGHTLOG_DSN="secret",
    )
    front = [sys.executable, "-m", "flightlog", "run", "--", sys.executable, "-c", code]
    done = subprocess.run(front, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["the users own", "None"], done


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
def test_what_importlib_util_loads_is_not_loaded_for_us(tmp_path, version):
    """It loads `warnings`, `contextlib` and more in most Pythons: a fifth of what we add to the start of each."""
    python = interpreter(version) or pytest.skip(f"no Python {version} on this machine")
    command = [python, "-c", "import sys; print('importlib.util' in sys.modules)"]
    plain = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert supervised(tmp_path, command).stdout == plain
