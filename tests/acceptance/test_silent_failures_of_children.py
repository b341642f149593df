"""The Pythons that a command starts: their failures are told as those of its own process."""

import sys

import interpreters
import pytest
import running
from test_silent_failures import CASES, VERSIONS, _masked, faults_of, logged, plainly, written


def grandchild(python, script, home, **more):
    """Run *script* by a shell, which is the command."""
    command = running.kept(["/bin/sh", "-c", '"$0" "$1"; exit $?', python, script])
    status, out, err = running.run(command, home, cwd=str(home), env=running.environment(home, **more))
    return status, _masked(out), _masked(err)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_each_failure_of_a_child_is_stated_once(tmp_path, home, case, version):
    python = interpreters.find(version) or pytest.skip(f"no Python {version} on this machine")
    code, faults, loggers = CASES[case]
    script = written(tmp_path, code)
    assert grandchild(python, script, home) == plainly(python, script, tmp_path)
    assert faults_of(home) == sorted(faults)
    assert logged(home) == sorted(loggers)


@pytest.mark.parametrize("version", [*VERSIONS, "pypy3"])
@pytest.mark.parametrize("name", ["threading", "warnings", "subprocess", "logging", "asyncio", "concurrent.futures"])
def test_what_is_imported_is_there_once(tmp_path, home, name, version):
    python = interpreters.find(version) or pytest.skip(f"no Python {version} on this machine")
    code = f"import sys, {name} as mine\nfirst = mine\nfrom importlib import reload\n"
    code += "import flightlog.journal.writer as writer, threading\n"
    code += f"print(sys.modules[{name!r}] is first, writer.threading is threading, first.__spec__.name, type(first.__spec__.loader) is type(first.__loader__))\n"
    code += "print(reload(first) is first, threading.current_thread() is threading.main_thread())"
    status, out, err = grandchild(python, written(tmp_path, code), home)
    assert (status, out.decode().split(), err) == (0, ["True", "True", name, "True", "True", "True"], b"")


BEHIND = """
import sys
before = sys.excepthook
def mine(*arguments):
    print("mine", flush=True)
    before(*arguments)
sys.excepthook = mine
%s
def fails(): raise KeyError("dead")
fails()
"""


@pytest.mark.parametrize("between", ["", "import logging", "import flightlog; flightlog.init()"])
def test_a_hook_of_the_childs_own_hands_on_to_ours(tmp_path, home, between):
    script = written(tmp_path, BEHIND % between)
    status, out, err = grandchild(sys.executable, script, home)
    assert (status, out) == (1, b"mine\n") and err.count(b"KeyError: 'dead'") == 1
    assert [fault[:2] for fault in faults_of(home)] == [("uncaught", "KeyError")]
    assert logged(home) == ["flightlog.uncaught"]


def test_a_hook_that_hands_on_to_nobody_is_left_alone(tmp_path, home):
    code = "import sys\nsys.excepthook = lambda *a: print('mine', sys.__excepthook__ is not sys.excepthook)\n1 / 0"
    status, out, err = grandchild(sys.executable, written(tmp_path, code), home)
    assert (status, out, err) == (1, b"mine True\n", b"")
    assert faults_of(home) == []


def test_what_is_logged_by_a_child_and_what_it_dies_of_are_one_account(tmp_path, home):
    script = written(tmp_path, "import logging\nlogging.warning('first')\nraise KeyError('dead')")
    assert grandchild(sys.executable, script, home)[0] == 1
    assert logged(home) == ["flightlog.uncaught", "root"]
    assert [fault[1] for fault in faults_of(home)] == ["KeyError"]


KEPT = {
    "handed on to who was there before": "import sys\nold = sys.excepthook\nimport logging\nsys.excepthook = lambda *a: old(*a)",
    "put back": "import sys\nold = sys.excepthook\nimport subprocess\nsys.excepthook = old",
}


@pytest.mark.parametrize("code", KEPT.values(), ids=list(KEPT))
def test_a_hook_that_was_kept_is_ours(tmp_path, home, code):
    script = written(tmp_path, code + "\nraise KeyError('dead')")
    assert grandchild(sys.executable, script, home)[0] == 1
    assert [fault[:2] for fault in faults_of(home)] == [("uncaught", "KeyError")]
    assert logged(home) == ["flightlog.uncaught"]


def test_a_child_interrupted_dies_of_it(tmp_path, home):
    script = written(tmp_path, "raise KeyboardInterrupt")
    plain = plainly(sys.executable, script, tmp_path)
    done = running.run(
        running.kept(["/bin/sh", "-c", '"$0" "$1"; echo $?', sys.executable, script]), home, cwd=str(home)
    )
    assert (plain[0], done[1]) == (-2, b"130\n")


def test_threads_that_die_at_the_same_time_are_each_told(tmp_path, home):
    code = "import _thread, time\ndef fails(n): raise KeyError(n)\nfor n in range(6): _thread.start_new_thread(fails, (n,))\ntime.sleep(0.5)"
    assert grandchild(sys.executable, written(tmp_path, code), home)[0] == 0
    assert [fault[:2] for fault in faults_of(home)] == [("thread", "KeyError")] * 6


def test_modules_that_are_run_find_their_code(tmp_path, home):
    for name in ("threading", "warnings"):
        command = running.kept(["/bin/sh", "-c", f'"$0" -m {name}; exit $?', sys.executable])
        assert running.run(command, home, cwd=str(home))[0] == 0
