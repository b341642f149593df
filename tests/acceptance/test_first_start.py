"""The embedded server is made by whoever is first: several at once, one that was killed half way, whatever the umask is."""

import glob
import os
import signal
import stat
import subprocess
import sys
import tempfile

import psutil
import pytest

from flightlog import identity
from flightlog.store.embedded import EmbeddedServer
from unit.query.command import Command
from waiting import wait_until

ROUNDS = int(os.environ.get("FLIGHTLOG_FIRST_STARTS", "2"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root lends the server another account")


@needs_root
def test_a_folder_that_its_maker_has_not_opened_yet(home):
    """As another process sees it between two system calls, or for ever when its maker was killed there."""
    os.mkdir(os.path.join(home, "pg"), 0o700)
    os.mkdir(os.path.join(home, "pg", "sock"), 0o700)
    assert Command("", home)("list") == ("", "no run matches\n")
    status = os.stat(os.path.join(home, "pg"))
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o711, 0)


@needs_root
def test_a_home_that_the_account_may_not_pass_is_said_to_be_so(home):
    os.chmod(home, 0o700)
    _, err = Command("", home)("list", code=3)
    assert f"cannot pass {os.path.realpath(home)}\n" in err
    assert stat.S_IMODE(os.stat(home).st_mode) == 0o700


@pytest.mark.parametrize("umask", [0o22, 0o77])
def test_a_home_is_never_seen_half_made(tmp_path, monkeypatch, umask):
    path = str(tmp_path / "state" / "home")
    seen = []
    whole = os.chmod

    def watched(name, mode, **more):
        seen.append(os.path.exists(path))
        whole(name, mode, **more)

    monkeypatch.setattr(os, "chmod", watched)
    before = os.umask(umask)
    try:
        identity.make_home(path)
        identity.make_home(path)
    finally:
        os.umask(before)
    assert seen == [False]
    assert stat.S_IMODE(os.stat(path).st_mode) == (0o755 if os.geteuid() == 0 else 0o700)
    assert os.listdir(tmp_path / "state") == ["home"]


def test_a_home_that_another_one_makes_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "home"
    whole = os.rename

    def late(source, target):
        path.mkdir()
        (path / "spool").mkdir()
        whole(source, target)

    monkeypatch.setattr(os, "rename", late)
    identity.make_home(str(path))
    assert os.listdir(tmp_path) == ["home"] and os.listdir(path) == ["spool"]


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as problem:
        identity.make_home(str(tmp_path / "file" / "home"))
    assert "file" in str(problem.value.filename) and not problem.value.filename.startswith(str(tmp_path / "home."))


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o22, 0o77])
def test_six_at_once_on_a_fresh_home(umask):
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="fl-", dir="/tmp") as folder:
            os.chmod(folder, 0o755)
            home = os.path.join(folder, "home")
            command = Command("", home)
            try:
                processes = [command.start("list", umask=umask) for _ in range(6)]
                for process in processes:
                    out, err = process.communicate(timeout=120)
                    assert (process.returncode, out, err) == (0, b"", b"no run matches\n")
            finally:
                EmbeddedServer(home).stop(immediate=True)


@pytest.mark.slow
def test_who_comes_after_one_that_was_killed_while_making_it(home):
    """The killed one's initdb is stopped at its work, and fails, clearing up after itself, when the next one has his own."""
    half = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from flightlog.store.embedded import *; EmbeddedServer(sys.argv[1]).start()",
            home,
        ]
    )
    pg = os.path.join(home, "pg")
    begun = wait_until(lambda: glob.glob(os.path.join(pg, "new*", "data", "base")), 60, "initdb to begin")[0]
    initdb = [
        process
        for process in psutil.Process(half.pid).children(recursive=True)
        if os.path.dirname(begun) in process.cmdline()
    ]
    for process in initdb:
        process.suspend()
    half.send_signal(signal.SIGKILL)
    half.wait()
    try:
        begin = Command("", home).start("list")
        wait_until(lambda: set(glob.glob(os.path.join(pg, "new*", "data"))) - {os.path.dirname(begun)}, 60, "a new one")
    finally:
        for process in initdb:
            process.resume()
    out, err = begin.communicate(timeout=60)
    assert (begin.returncode, out, err) == (0, b"", b"no run matches\n")


def test_a_home_with_a_line_break_is_refused_with_its_name(tmp_path):
    home = str(tmp_path / "two\nlines")
    _, err = Command("", home)("logs", code=3)
    assert f"cannot be kept in {os.path.join(home, 'pg')!r}: there is a line break in the path" in err
    assert "set FLIGHTLOG_HOME" in err
