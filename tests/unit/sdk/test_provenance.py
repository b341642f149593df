"""What a run is made of, found without starting anything: held against git itself and importlib.metadata."""

import importlib.metadata
import os
import shutil
import subprocess
import sys

import pytest

from flightlog.sdk import provenance

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def git(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null"}

    def call(*words, cwd=tmp_path / "code"):
        words = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        return subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "code" / "deep" / "er").mkdir(parents=True)
    call("init", "-q")
    call("commit", "-q", "--allow-empty", "-m", "one")
    return call


def test_the_commit_is_what_git_says(git, tmp_path):
    code, deep = str(tmp_path / "code"), str(tmp_path / "code" / "deep" / "er")
    first = git("rev-parse", "HEAD")
    assert provenance.commit_of(deep) == first
    git("pack-refs", "--all")
    assert provenance.commit_of(code) == first
    git("commit", "-q", "--allow-empty", "-m", "two")
    git("checkout", "-q", "--detach")
    assert provenance.commit_of(code) == git("rev-parse", "HEAD") != first
    git("worktree", "add", "-q", "-b", "side", "../side", first)
    git("pack-refs", "--all")
    assert provenance.commit_of(str(tmp_path / "side")) == first


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({".git/HEAD": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": f"# pack-refs\n{COMMIT} refs/heads/main\n"}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/unborn"}, ""),
        ({".git/HEAD": "ref: ../../../etc/passwd"}, ""),
        ({".git/HEAD": "nonsense"}, ""),
        ({".git/config": ""}, ""),
        ({".git": "gitdir: elsewhere", "elsewhere/HEAD": COMMIT}, COMMIT),
        ({".git": "nonsense"}, ""),
    ],
)
def test_odd_repositories(tmp_path, files, wanted):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert provenance.commit_of(str(tmp_path)) == wanted


def test_no_repository_at_all():
    assert provenance.commit_of("/proc/self") == ""


def test_what_is_installed_is_what_importlib_finds():
    names = provenance.installed(sys.path)
    found = {
        f"{one.metadata['Name']}-{one.version}".lower().replace("-", "_").replace(".", "_")
        for one in importlib.metadata.distributions()
        if "packages" in str(one._path)
    }
    assert {name.lower().replace("-", "_").replace(".", "_") for name in names} >= found != set()


def test_the_fingerprint_changes_with_a_version():
    one = provenance.fingerprint(["a-1.0", "b-2.0"])
    assert one == provenance.fingerprint(["a-1.0", "b-2.0"]) and len(one) == 16
    assert one not in (provenance.fingerprint(["a-1.0", "b-2.1"]), provenance.fingerprint(["a-1.0"]))


def test_facts_are_there_and_a_copy():
    facts = provenance.facts()
    assert facts["host"] == os.uname().nodename and facts["python"].endswith(".".join(map(str, sys.version_info[:3])))
    facts.clear()
    assert provenance.facts()["deps_count"] > 5
