"""faulthandler in supervised programs: the stack of a native crash is evidence, and nothing of it is ever written anywhere else."""

import os
import subprocess
import sys

import interpreters
import pytest
import running
import test_silent_failures as programs

CRASH = """
import os, sys
def deep(): os.kill(os.getpid(), 11)
print("before"); sys.stdout.flush()
deep()
"""


def run(tmp_path, code, python=sys.executable, before="", options=()):
    """Run under the keeper and plainly; return run.ended's data. Status and output have to be the same."""
    script = programs.written(tmp_path, code)
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    plain = running.run(["sh", "-c", before + 'exec "$@"', "-", python, *options, script], tmp_path, cwd=str(tmp_path))
    for name in os.listdir(tmp_path):
        if name.startswith("data"):
            os.unlink(tmp_path / name)
    command = ["sh", "-c", before + 'exec "$@"', "-", *running.kept([python, *options, script])]
    done = running.run(command, home, cwd=str(tmp_path), env=running.environment(home))
    assert done[:2] == plain[:2]
    assert programs._masked(done[2]) == programs._masked(plain[2])
    return running.ended(home)


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_a_crash_leaves_its_stack_and_ends_the_program_as_before(tmp_path, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    ended = run(tmp_path, CRASH, python)
    assert ended["term_signal"] == "SIGSEGV"
    assert "Segmentation fault" in ended["dump"] and "in deep" in ended["dump"]
    assert not ended["clean"]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_older_pythons_crash_as_without_us(tmp_path, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    assert not run(tmp_path, CRASH, python).get("dump")


def test_a_forked_child_that_crashes_leaves_its_stack(tmp_path):
    code = CRASH.replace("\ndeep()", "\nif not os.fork(): deep()\nprint(os.wait()[1] & 127)")
    ended = run(tmp_path, code)
    assert ended["exit_code"] == 0
    assert "in deep" in ended["dump"]


def test_a_program_that_uses_faulthandler_itself_sees_what_it_would_without_us(tmp_path):
    code = "import faulthandler, sys\nprint(faulthandler.is_enabled(), faulthandler.disable(), faulthandler.is_enabled())\n"
    code += "faulthandler.enable()\nprint(faulthandler.is_enabled())\n" + CRASH
    ended = run(tmp_path, code)
    assert not ended.get("dump")  # it is in its standard error, as it asked for
    assert "in deep" in ended["tail"]


def test_what_the_program_has_disabled_again_is_ours_again(tmp_path):
    code = "import faulthandler\nfaulthandler.enable()\nprint(faulthandler.disable(), faulthandler.is_enabled())\n"
    assert "in deep" in run(tmp_path, code + CRASH)["dump"]


def test_what_the_user_has_enabled_is_left_alone(tmp_path):
    ended = run(tmp_path, CRASH, options=["-X", "faulthandler"])
    assert not ended.get("dump")
    assert "in deep" in ended["tail"]


def test_pytest_goes_on_to_use_it(tmp_path):
    (tmp_path / "test_crash.py").write_text("import os\ndef test_crash(): os.kill(os.getpid(), 11)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_crash.py"]
    plain = running.run(command, tmp_path, cwd=str(tmp_path))
    done = running.run(running.kept(command), tmp_path, cwd=str(tmp_path))
    assert done[0] == plain[0] == -11
    assert b"in test_crash" in plain[2] and b"in test_crash" in done[2]


DAEMON = """
import os, resource, sys
%s
os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[%d])
%s
opened = []
while True:
    try: opened.append(os.open("data%%d" %% len(opened), os.O_CREAT | os.O_WRONLY))
    except OSError: break
def deep(): os.kill(os.getpid(), 11)
deep()
"""


def written_to(tmp_path):
    names = [name for name in os.listdir(tmp_path) if name.startswith("data")]
    assert len(names) > 200
    return [name for name in names if os.stat(tmp_path / name).st_size]


@pytest.mark.parametrize("fork", ["", "if os.fork(): os._exit(os.wait()[1] & 127)"])
@pytest.mark.parametrize("up_to", [0, 1])
def test_nothing_is_written_into_files_of_a_program_that_closed_every_descriptor(tmp_path, fork, up_to):
    ended = run(tmp_path, DAEMON % (fork, up_to, ""), before="ulimit -Sn 300; ")
    assert ("in deep" in ended.get("dump", "")) == (
        up_to == 0
    )  # up to the hard limit: then ours is gone, and nobody gets its number
    assert written_to(tmp_path) == []


def test_where_the_limit_cannot_be_raised_a_record_or_a_fork_is_enough_to_notice(tmp_path):
    for number, more in enumerate(
        (
            "import logging; logging.raiseExceptions = False; logging.error('x')",
            "if os.fork(): os._exit(os.wait()[1] & 127)",
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = run(folder, DAEMON % ("", 0, more), before="ulimit -n 300; ")
        assert not ended.get("dump")
        assert written_to(folder) == []


def test_what_remains(tmp_path):
    """soft = hard limit; the program closes what it did not open, fills every number, records nothing, and crashes. Known, and told in crash.py."""
    run(tmp_path, DAEMON % ("", 0, ""), before="ulimit -n 300; ")
    assert len(written_to(tmp_path)) == 1


def test_the_descriptor_is_not_handed_to_other_programs(tmp_path):
    code = "import os, subprocess, sys\nsubprocess.run(['ls', '/proc/self/fd'], close_fds=False)\n"
    run(tmp_path, code)


@pytest.mark.parametrize("limit", ["ulimit -Sn 256; ", "ulimit -n 256; "])
def test_limits_are_what_they_were(tmp_path, limit):
    run(tmp_path, "import resource\nprint(resource.getrlimit(resource.RLIMIT_NOFILE))\n", before=limit)


def test_nothing_is_made_where_there_is_no_evidence_file(tmp_path):
    """The run is over, a descendant lives on: its file has gone."""
    env = running.environment(tmp_path, FLIGHTLOG_EVIDENCE=str(tmp_path / "gone"), FLIGHTLOG_SPOOL=str(tmp_path))
    root = os.path.dirname(os.path.abspath(sys.modules["flightlog"].__file__))
    env["PYTHONPATH"] = os.path.join(root, "sdk", "inject.zip")
    done = subprocess.run([sys.executable, "-c", CRASH], env=env, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-11, b"before\n", b"")
    assert not os.path.exists(tmp_path / "gone")
