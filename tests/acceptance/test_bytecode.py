"""Compiled files that were cut, by `ulimit -f` or a full disk, never keep a command from running; our own processes leave none behind."""

import glob
import marshal
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from running import environment
from test_injected import VERSIONS, interpreter

import flightlog
from flightlog.process import launch

PACKAGE = os.path.dirname(os.path.abspath(flightlog.__file__))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SCRIPT = [sys.executable, os.path.join(ROOT, "bin", "flightlog")]
MODULE = [sys.executable, "-m", "flightlog"]
SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc")


@pytest.fixture
def cold(tmp_path):
    """A copy of the package without anything compiled, and the environment to run it."""
    shutil.copytree(PACKAGE, tmp_path / "lib" / "flightlog", ignore=SOURCES)
    env = environment(tmp_path / "home", FLIGHTLOG_AGENT="never", PYTHONPATH=str(tmp_path / "lib"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return tmp_path / "lib", env


def run(env, *command, shell_first="", cwd=None, front=MODULE, options=()):
    words = [*front, "run", *options, "--", *command]
    done = subprocess.run(
        ["sh", "-c", f'{shell_first} exec "$@"', "sh", *words], env=env, cwd=cwd, capture_output=True, timeout=60
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def compiled(folder):
    return [os.path.join(top, name) for top, _, names in os.walk(folder) for name in names if name.endswith(".pyc")]


CHECK = """
import marshal, os, sys
for top, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(sys.implementation.cache_tag + ".pyc"):
            with open(os.path.join(top, name), "rb") as file:
                data = file.read()
            try:
                marshal.loads(data[16:]).co_code
            except Exception:
                print(os.path.join(top, name))
"""


def damaged(folder, python=sys.executable):
    """Compiled files of *python* that it could not load."""
    command = [python, "-I", "-S", "-c", CHECK, str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split("\n")[:-1]


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


def recorded(tmp_path):
    return len(glob.glob(str(tmp_path / "home" / "spool" / "*" / "*.meta"))) // 2


DAMAGES = {
    "cut": lambda data: data[: min(1024, len(data) - 1)],
    "zeros": lambda data: data[:16] + bytes(len(data) - 16),
    "no code": lambda data: data[:16] + marshal.dumps(5),
}


def damage(paths, how="cut"):
    for path in paths:
        with open(path, "rb+") as file:
            data = DAMAGES[how](file.read())
            file.seek(0)
            file.write(data)
            file.truncate()


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_files_of_before_cost_neither_command_nor_record(cold, tmp_path, how):
    """All at once, whoever reads them: command line, keeper, shim, the SDK in the command."""
    lib, env = cold
    good = (0, "out\n", "WARNING:root:seen\n")
    assert run(env, sys.executable, "-c", PROGRAM, front=SCRIPT) == good
    files = compiled(lib)
    assert len(files) > 50
    damage(files, how)
    assert run(env, sys.executable, "-c", PROGRAM, front=SCRIPT) == good
    assert recorded(tmp_path) == 2
    assert run(env, sys.executable, "-c", PROGRAM, front=SCRIPT) == good
    assert damaged(lib) == [], "they were removed, and made anew"


@pytest.mark.parametrize("module", ["__init__", "bytecode", "_version", "__main__", "daemons", "agent/__init__"])
def test_one_damaged_file_costs_neither_command_nor_record(cold, tmp_path, module):
    """Each of those that are read before anything of ours can run, and of those that a record does not need."""
    lib, env = cold
    good = (0, "out\n", "WARNING:root:seen\n")
    assert run(env, sys.executable, "-c", PROGRAM, front=SCRIPT) == good
    folder, _, name = module.rpartition("/")
    files = glob.glob(str(lib / "flightlog" / folder / "__pycache__" / (name + ".*.pyc")))
    assert files
    for front in (SCRIPT, [sys.executable, str(tmp_path / "monitor.py")]):
        if front != SCRIPT:
            shutil.copy(os.path.join(ROOT, "monitor.py"), tmp_path)
            shutil.copytree(os.path.join(ROOT, "bin"), tmp_path / "bin")
        damage(files)
        assert run(env, sys.executable, "-c", PROGRAM, front=front) == good
        assert run(env, sys.executable, "-c", PROGRAM, front=front) == good
        assert damaged(lib) == []
    assert recorded(tmp_path) == 5


def test_damaged_files_of_others_cost_neither_command_nor_record(cold, tmp_path):
    """Those of click, say: a folder for what is compiled takes the place of the one of this test's installation."""
    lib, env = cold
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path / "compiled")
    assert run(env, "echo", "out", front=SCRIPT, options=["-nx"]) == (0, "out\n", "")
    click = [path for path in compiled(tmp_path / "compiled") if "/click/" in path]
    assert click
    damage(click)
    assert run(env, "echo", "out", front=SCRIPT, options=["-nx"]) == (0, "out\n", "")
    assert recorded(tmp_path) == 2


def test_a_limit_on_file_sizes_cuts_nothing_that_it_would_not_cut_without_us(cold, tmp_path):
    """Of the standard library, in an environment where none of it is compiled yet."""
    lib, env = cold
    found = []
    for name, front in (("bare", []), ("kept", [*SCRIPT, "run", "--"])):
        cold_python = ["env", f"PYTHONPYCACHEPREFIX={tmp_path / name}", sys.executable]
        command = [
            "sh",
            "-c",
            'ulimit -f 2; exec "$@"',
            "sh",
            *front,
            *cold_python,
            "-c",
            "import logging; logging.warning('seen')",
        ]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, timeout=60)
        found.append(
            (done.returncode, done.stderr, {os.path.relpath(p, tmp_path / name) for p in damaged(tmp_path / name)})
        )
    bare, kept = found
    assert bare[2], "the limit is one"
    assert kept[:2] == bare[:2]
    assert not kept[2] - bare[2]


def test_our_loader_writes_a_compiled_file_whole_or_not_at_all(tmp_path):
    """Where nobody has seen it coming: a quota, a disk that another one fills."""
    code = (
        "import resource, flightlog.records; loader = flightlog.records.__loader__\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))\n"
        f"loader.set_data({str(tmp_path / 'a' / 'cut.pyc')!r}, bytes(1025)); "
        f"loader.set_data({str(tmp_path / 'a' / 'whole.pyc')!r}, bytes(1024))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert os.listdir(tmp_path / "a") == ["whole.pyc"]


def test_a_damaged_installation_still_runs_the_command(cold, tmp_path):
    lib, env = cold
    inside = lib / "flightlog"
    for wrong in ("cli/starting.py", "process/shim.py", "errors.py", "identity.py", "__main__.py", "__init__.py"):
        (inside / wrong).write_text("this is no Python\n")
        for words in (["sh", "-c", "echo ran; exit 7"], ["nosuchcommand"]):
            code, out, err = run(env, *words, front=SCRIPT)
            note, *rest = err.splitlines()
            assert (
                note.startswith("flightlog: this run is not recorded: ") and "SyntaxError" in note and "(try: " in note
            )
            if words == ["nosuchcommand"]:
                assert (code, out, rest) == (127, "", ["flightlog: nosuchcommand: No such file or directory"])
            else:
                assert (code, out, rest) == (7, "ran\n", [])
        code, out, err = run(env, "sh", "-c", "echo ran; kill -PIPE $$", front=SCRIPT)
        assert (code, out) == (-13, "ran\n")
        shutil.copy(os.path.join(PACKAGE, wrong), inside / wrong)
    assert run(env, "echo", "ran", front=SCRIPT) == (0, "ran\n", "")


def test_a_command_line_without_its_packages_still_runs_the_command(cold, tmp_path):
    lib, env = cold
    (lib / "click.py").write_text("raise ImportError\n")
    for front in (SCRIPT, MODULE):
        assert run(env, "echo", "ran", front=front) == (0, "ran\n", "")  # which is read without click
        code, out, err = run(env, "sh", "-c", "echo ran $FLIGHTLOG_DSN; exit 7", front=front, options=["-nx"])
        assert (code, out) == (7, "ran\n")
        assert err.count("\n") == 1 and "not recorded" in err and "flightlog[server]" in err
    done = subprocess.run([*SCRIPT, "status"], env=env, capture_output=True, timeout=60)
    assert done.returncode == 2 and b"Try: pip install" in done.stderr


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", *VERSIONS, "pypy3"])
def test_no_python_leaves_or_reads_anything_beside_what_is_injected(cold, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    lib, env = cold
    before = sorted(glob.glob(str(lib / "flightlog" / "sdk" / "inject*" / "**"), recursive=True))
    for limit in ("ulimit -f 1;", ""):
        for _ in range(2):
            assert run(env, python, "-c", "print('out')", shell_first=limit) == (0, "out\n", "")
        assert version < "3.8" or damaged(lib, python) == []
    assert sorted(glob.glob(str(lib / "flightlog" / "sdk" / "inject*" / "**"), recursive=True)) == before


def test_what_is_injected_is_the_file_that_is_read():
    """`make inject` puts it into the zip."""
    with zipfile.ZipFile(launch.INJECT) as inject:
        (entry,) = inject.infolist()
        assert (entry.filename, entry.compress_type) == ("sitecustomize.py", zipfile.ZIP_STORED)
        with open(os.path.join(PACKAGE, "sdk", "inject", "sitecustomize.py"), "rb") as file:
            assert inject.read(entry) == file.read(), "run `make inject`"
