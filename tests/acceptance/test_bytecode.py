"""Compiled files that were cut, by `ulimit -f` or a full disk, never keep a command from running; our own processes leave none behind."""

import glob
import marshal
import os
import shutil
import subprocess
import sys

import pytest
from running import environment
from test_injected import VERSIONS, interpreter

import flightlog

PACKAGE = os.path.dirname(os.path.abspath(flightlog.__file__))
SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc")


@pytest.fixture
def cold(tmp_path):
    """A copy of the package without anything compiled, and the environment to run it."""
    shutil.copytree(PACKAGE, tmp_path / "lib" / "flightlog", ignore=SOURCES)
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never", PYTHONPATH=str(tmp_path / "lib"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return tmp_path / "lib", env


def run(env, *command, shell_first="", cwd=None):
    words = [sys.executable, "-m", "flightlog", "run", "--", *command]
    done = subprocess.run(
        ["sh", "-c", f'{shell_first} exec "$@"', "sh", *words], env=env, cwd=cwd, capture_output=True, timeout=60
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def compiled(folder):
    return [path for path in glob.glob(str(folder / "**" / "*.pyc"), recursive=True) if os.path.isfile(path)]


def damaged(folder):
    wrong = []
    for path in compiled(folder):
        with open(path, "rb") as file:
            data = file.read()
        try:
            marshal.loads(data[16:])
        except (EOFError, ValueError, TypeError):
            wrong.append(path)
    return wrong


PROGRAM = "import logging, flightlog; logging.warning('seen'); flightlog.get_logger('x').info('own'); print('out')"


@pytest.mark.parametrize("blocks", [1, 2, 8])
def test_a_limit_on_file_sizes_leaves_no_cut_files(cold, tmp_path, blocks):
    lib, env = cold
    for _ in range(2):
        code, out, err = run(env, sys.executable, "-c", PROGRAM, shell_first=f"ulimit -f {blocks};")
        assert (code, out, err) == (0, "out\n", "WARNING:root:seen\n")
        assert damaged(lib) == []
    assert run(env, "echo", "later") == (0, "later\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("pages", [5, 7, 12])
def test_a_full_disk_leaves_no_cut_files(cold, tmp_path, pages):
    lib, env = cold
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no mounting here")
    try:
        shutil.move(str(lib), str(small / "lib"))
        env["PYTHONPATH"] = str(small / "lib")
        left = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        with open(small / "filler", "wb") as file:
            file.write(bytes(max(0, left - pages * 4096)))
        assert run(env, sys.executable, "-c", PROGRAM) == (0, "out\n", "WARNING:root:seen\n")
        assert damaged(small / "lib") == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def cut(paths):
    for path in paths:
        os.truncate(path, min(1024, os.path.getsize(path) - 1))


@pytest.mark.parametrize("what", ["process", "cli", "sdk", "journal", "config", "identity"])
def test_damaged_files_of_before_keep_no_command_from_running(cold, tmp_path, what):
    """All but the first two modules, which Python reads before any line of ours: those we never leave cut."""
    lib, env = cold
    assert run(env, sys.executable, "-c", PROGRAM)[0] == 0
    hit = [path for path in compiled(lib) if what in path and "__main__" not in path and "sitecustomize" not in path]
    assert hit
    cut(hit)
    assert run(env, sys.executable, "-c", PROGRAM) == (0, "out\n", "WARNING:root:seen\n")
    ended = glob.glob(str(tmp_path / "home" / "spool" / "*" / "*.meta"))
    assert len(ended) == 4, "both runs were recorded"


def test_a_damaged_installation_still_runs_the_command(cold, tmp_path):
    lib, env = cold
    (lib / "flightlog" / "cli" / "run.py").write_text("this is not Python\n")
    code, out, err = run(env, "sh", "-c", "echo ran; exit 7")
    assert (code, out) == (7, "ran\n")
    assert "damaged" in err and "not recorded" in err and "Traceback" not in err
    (lib / "flightlog" / "process" / "shim.py").write_text("this is not Python\n")
    shutil.copy(os.path.join(PACKAGE, "cli", "run.py"), lib / "flightlog" / "cli" / "run.py")
    code, out, err = run(env, "sh", "-c", "echo ran; exit 7")
    assert (code, out) == (7, "ran\n")
    assert "not recorded" in err and "Traceback" not in err


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", *VERSIONS, "pypy3"])
def test_older_pythons_leave_nothing_beside_what_is_injected(cold, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    lib, env = cold
    inject = lib / "flightlog" / "sdk" / "inject"
    for limit in ("", "ulimit -f 1;"):
        for _ in range(2):
            assert run(env, python, "-c", "print('out')", shell_first=limit)[1:] == ("out\n", "")
        assert not (inject / "sitecustomize.pyc").exists()
