"""`flightlog list` and `flightlog completion` as people call them."""

import json
import os
import subprocess

import pytest

import tlsfront
from integration.logins import READER, admit, as_user, login
from integration.shipping import execute
from unit.query.command import Command
from unit.query.recorded import Recorded, ago


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    return Command(dsn, os.path.join(home, "reader"))


@pytest.fixture
def runs(recorded):
    return {
        "old": recorded.run(at=ago(days=2), messages=["a"] * 9),
        "bad": recorded.run(at=ago(hours=2), end=("failed", "SIGSEGV")),
        "a": recorded.run("team/a", at=ago(hours=1), end=("failed", 3)),
        "new": recorded.run(at=ago(minutes=1)),
    }


def listed(flightlog, runs, *arguments):
    back = {run: name for name, run in runs.items()}
    return [back[json.loads(line)["run"]] for line in flightlog("list", "-o", "jsonl", *arguments)[0].splitlines()]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], ["new", "a", "bad", "old"]),
        (["orders"], ["new", "bad", "old"]),
        (["team/*", "orders", "-n", "2"], ["new", "a"]),
        (["--state", "failed"], ["a", "bad"]),
        (["--state", "failed,succeeded", "-S", "3h"], ["new", "a", "bad"]),
        (["-S", "90m"], ["new", "a"]),
        (["--sort", "lines", "-n", "1"], ["old"]),
        (["--sort", "-started"], ["old", "bad", "a", "new"]),
        (["--pipelines"], ["new", "a"]),
        (["--pipelines", "--state", "failed"], ["a"]),
        (["--pipelines", "orders"], ["new"]),
    ],
)
def test_filters(flightlog, runs, arguments, wanted):
    assert listed(flightlog, runs, *arguments) == wanted


def test_the_table(flightlog, runs):
    out, err = flightlog("list")
    lines = out.splitlines()
    assert lines[0].split() == [
        "STATE",
        "PIPELINE",
        "RUN",
        "STARTED",
        "UTC",
        "TOOK",
        "LINES",
        "WARN",
        "ERR",
        "WHERE",
        "END",
    ]
    assert lines[1].startswith(f"*  succeeded  orders    {runs['new'][-6:]}")
    assert lines[3].startswith(f"!  failed     orders    {runs['bad'][-6:]}")
    assert lines[3].endswith("SIGSEGV (native-crash)")
    assert err == ""
    narrow = flightlog("list", COLUMNS="70")[0].splitlines()
    assert all(len(line) <= 70 for line in narrow)
    assert narrow[3].endswith("SIGSEGV (native-crash)")
    assert "\x1b[31m!  failed\x1b[0m" in flightlog("list", "--color", "always")[0]


def test_json_is_one_document(flightlog, runs):
    data = json.loads(flightlog("list", "-o", "json")[0])
    assert data["v"] == 1
    assert [run["run"] for run in data["runs"]] == [runs[name] for name in ("new", "a", "bad", "old")]


def test_more_runs_than_are_shown(flightlog, recorded, dsn):
    recorded.run()
    execute(
        dsn,
        "INSERT INTO pipeline_runs (run_id, pipeline, node, started_at)"
        " SELECT lpad(n::text, 26, '0'), 'p' || n, 'n', now() FROM generate_series(1, 50) n",
    )
    assert len(flightlog("list", "-o", "jsonl")[0].splitlines()) == 30
    assert len(flightlog("list", "-o", "jsonl", "-n", "40")[0].splitlines()) == 40
    assert len(flightlog("list", "-o", "jsonl", "--pipelines")[0].splitlines()) == 51


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["orderz"], 4, "Try: orders"),
        (["--state", "dead"], 2, "--state dead"),
        (["--sort", "rss"], 2, "--sort rss"),
        (["-n", "0"], 2, "--limit"),
        (["-S", "soon"], 2, "--since soon"),
    ],
)
def test_what_cannot_be(flightlog, runs, arguments, code, said):
    out, err = flightlog("list", *arguments, code=code)
    assert out == ""
    assert said in err


def test_nothing_matches(flightlog, runs):
    assert flightlog("list", "--state", "lost") == ("", "no run matches\n")
    assert json.loads(flightlog("list", "--state", "lost", "-o", "json")[0]) == {"v": 1, "runs": []}


def test_names_cannot_steer_the_terminal(flightlog, recorded):
    recorded.run("\x1b[31mevil\u202e\n", end=("failed", 3))
    for command in (["list"], ["status"], ["status", "*"], ["audit"], ["logs"], ["list", "evil"], ["logs", "evil"]):
        code = 4 if command[-1] == "evil" else 0
        out, err = flightlog(*command, code=code)
        assert "\\x1b[31mevil\\u202e\\n" in out + err
        assert not set(out + err) & {"\x1b", "\u202e"}


def completed(flightlog, *words):
    environment = {
        "_FLIGHTLOG_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    out, err = flightlog(**environment)
    assert err == ""
    return [line.split(",", 1)[1] for line in out.splitlines() if line]  # one empty line is click's word for none


def test_commands_pipelines_and_runs_are_completed(flightlog, runs):
    assert completed(flightlog, "flightlog", "lo") == ["logs"]
    assert completed(flightlog, "flightlog", "logs", "or") == ["orders"]
    assert completed(flightlog, "flightlog", "status", runs["a"][-6:][:5]) == [runs["a"][-6:]]
    assert completed(flightlog, "flightlog", "list", "") == ["orders", "team/a"]
    assert "--grep" in completed(flightlog, "flightlog", "logs", "--gr")


def test_completion_keeps_what_it_asked_for_a_while(flightlog, recorded, runs, home):
    """The second Tab asks no database; what is kept is thrown away when it is old, broken, or another store's."""
    assert completed(flightlog, "flightlog", "list", "") == ["orders", "team/a"]
    recorded.run("new")
    assert completed(flightlog, "flightlog", "list", "") == ["orders", "team/a"]
    (kept,) = [
        os.path.join(home, "reader", name) for name in os.listdir(os.path.join(home, "reader")) if "complete" in name
    ]
    assert os.stat(kept).st_mode & 0o777 == 0o600
    os.utime(kept, (1, 1))
    assert completed(flightlog, "flightlog", "list", "") == ["new", "orders", "team/a"]
    for broken in (b"{", b"[[1]]", b"\xff", b"7"):
        with open(kept, "wb") as file:
            file.write(broken)
        assert completed(flightlog, "flightlog", "list", "n") == ["new"]
    gone = Command(f"host={home}/nowhere dbname=x", os.path.join(home, "reader"))
    assert completed(gone, "flightlog", "list", "") == []


def test_completion_asks_as_a_reader(dsn, home, server, runs):
    """A login that may do nothing by itself, and the reader's part by taking its role."""
    admit(server)
    with login(dsn, READER, attributes="NOINHERIT") as name:
        reader = Command(as_user(dsn, name), os.path.join(home, "reader"))
        assert reader("list")[0]
        assert completed(reader, "flightlog", "list", "") == ["orders", "team/a"]


@pytest.mark.parametrize(("tls", "found"), [("insecure-allowed", ["orders", "team/a"]), ("verify-full", [])])
def test_completion_knows_what_the_configuration_allows(dsn, home, server, runs, tls, found):
    """A server on another machine, as far as its name says, that proves nothing."""
    with tlsfront.running("127.0.0.1", os.path.join(server.folder, "sock")) as (port, _):
        place = f"host=db.example.test hostaddr=127.0.0.1 port={port} {dsn.partition(' ')[2]}"
        config = os.path.join(home, "config.yml")
        with open(config, "w") as file:
            file.write(f"database:\n  dsn: {place}\n  tls: {tls}\n")
        flightlog = Command("", os.path.join(home, "reader"), FLIGHTLOG_CONFIG=config)
        flightlog("list", code=0 if found else 3)
        assert completed(flightlog, "flightlog", "list", "") == found


def test_completion_fails_silently(home):
    flightlog = Command(f"host={home}/nowhere dbname=x", os.path.join(home, "reader"))
    assert completed(flightlog, "flightlog", "logs", "or") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(flightlog, shell):
    out, err = flightlog("completion", shell)
    assert "_FLIGHTLOG_COMPLETE" in out
    assert err == ""
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=out.encode(), check=False).returncode == 0
    flightlog("completion", "csh", code=2)
