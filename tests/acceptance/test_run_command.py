"""The `run` command of the command line, and Python programs of every version as the command that is run."""

import glob
import os
import shutil
import signal
import subprocess
import sys

import pytest
import running

pytest.importorskip("click")
RUN = [sys.executable, "-c", "from flightlog.cli.run import run; run(prog_name='flightlog run')"]


@pytest.fixture(autouse=True)
def no_agent(monkeypatch, tmp_path):
    """These tests look at the spool themselves: a configured DSN keeps the command from starting an agent."""
    plain = running.environment

    def with_dsn(home, **more):
        return plain(home, FLIGHTLOG_DSN="postgresql:///nowhere", **more)

    monkeypatch.setattr(running, "environment", with_dsn)


def test_the_keeper_has_the_pid_that_was_started(tmp_path):
    keeper = subprocess.Popen(
        [*RUN, "--", "sh", "-c", "echo $FLIGHTLOG_KEEPER"], env=running.environment(tmp_path), stdout=-1
    )
    out, _ = keeper.communicate(timeout=30)
    assert int(out.split(b":")[0]) == keeper.pid


def test_name_options_and_parent(tmp_path):
    outer = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    env = running.environment(tmp_path, FLIGHTLOG_RUN=outer)
    code, out, _ = running.run(
        [*RUN, "--pipeline", "orders", "sh", "-c", 'printf "%s " "$@" $FLIGHTLOG_PIPELINE', "sh", "-n", "--x"],
        tmp_path,
        env=env,
    )
    assert (code, out) == (0, b"-n --x orders ")
    started = running.events(tmp_path)[0]["x"]
    assert (started["pipeline"], started["parent"], started["kind"]) == ("orders", outer, "supervised")
    assert started["command"][0] == "sh"


def test_no_command_is_a_usage_error(tmp_path):
    code, out, err = running.run([*RUN, "--"], tmp_path)
    assert (code, out) == (2, b"") and b"Usage:" in err


def test_switched_off_means_the_bare_command(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("monitoring:\n  enabled: false\n")
    env = running.environment(tmp_path / "home", FLIGHTLOG_CONFIG=str(config))
    code = "import os; print(os.getppid(), os.environ.get('FLIGHTLOG_RUN'), os.environ.get('FLIGHTLOG_DSN') is None)"
    result = running.run([*RUN, sys.executable, "-I", "-c", code], tmp_path, env=env)
    assert result == (0, b"%d None False\n" % os.getpid(), b"")
    assert not (tmp_path / "home").exists()
    assert running.run([*RUN, "sh", "-c", "kill -PIPE $$"], tmp_path, env=env)[0] == -signal.SIGPIPE
    assert running.run([*RUN, "nosuch"], tmp_path, env=env)[0] == 127


def test_the_environment_gets_nothing_from_the_python_in_between(tmp_path):
    """Python sets LC_CTYPE for itself where no locale is set; two of them come before the command here."""
    env = {k: v for k, v in running.environment(tmp_path).items() if not k.startswith("LC_") and k != "LANG"}
    code, out, _ = running.run([*RUN, "env"], tmp_path, env=env)
    assert code == 0 and b"LC_CTYPE" not in out


def interpreters():
    found = glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")) + glob.glob("/usr/bin/python3*[0-9]")
    found += [path for path in (shutil.which("pypy3"), sys.executable) if path]
    return sorted({os.path.realpath(path) for path in found})


PROGRAM = """
import logging, sys, os
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
log = logging.getLogger("etl")
sys.stdout.write(u"printed\\n")
for n in range(3):
    log.info("record %d", n)
sys.stdout.write(u"no newline at the end")
sys.stdout.flush()
sys.exit(4)
"""


@pytest.mark.parametrize("python", interpreters())
def test_any_python_behaves_as_without_us(tmp_path, python):
    script = tmp_path / "job.py"
    script.write_text(PROGRAM)
    bare = running.run([python, str(script)], tmp_path)
    kept = running.run(running.kept([python, str(script)]), tmp_path)
    assert bare[0] == 4 and bare[2].count(b"record") == 3
    assert kept == bare
    assert b"printed\n" in running.captured(tmp_path)
    assert b"INFO record 2\n" in running.captured(tmp_path, "stderr")


FORKS_WITHOUT_DESCRIPTORS = """
import logging, os, resource, sys
logging.basicConfig(format="%(message)s")
logging.warning("before")
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
if os.fork() == 0:
    logging.warning("in the child")
    sys.exit(0)
os.wait()
logging.warning("after")
"""


@pytest.mark.parametrize("python", interpreters())
def test_a_fork_when_nothing_can_be_opened_is_nobodys_error(tmp_path, python):
    """PyPy's os.urandom, from which a child gets its writer's id, opens a file."""
    script = tmp_path / "job.py"
    script.write_text(FORKS_WITHOUT_DESCRIPTORS)
    bare = running.run([python, str(script)], tmp_path)
    kept = running.run(running.kept([python, str(script)]), tmp_path)
    assert kept == bare and bare[2].count(b"\n") >= 3
