"""`flightlog logs` as people call it."""

import json
import os
import re
import signal
import subprocess
import sys

import psycopg
import pytest

from flightlog import identity
from integration.shipping import execute, log
from unit.query.command import Command
from unit.query.recorded import Recorded, ago, event
from waiting import wait_until

CLOCK = re.compile(r"^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\.\d{3} ")  # of another day: with its date


@pytest.fixture
def recorded(dsn, home):
    return Recorded(dsn, home)


@pytest.fixture
def flightlog(dsn, home):
    """Of another node than the one that recorded: it must not ship in the place of the test."""
    return Command(dsn, os.path.join(home, "reader"), FLIGHTLOG_NODE="reader")


@pytest.fixture
def orders(recorded):
    at = ago(minutes=10)
    first = recorded.run(at=at, messages=["older"], end=("failed", 3))
    rows = [
        {"message": "loading", "lg": "etl", "s": "extract"},
        {"message": "slow\x1b[31m\ndisk", "lv": 30, "lg": "etl.io", "s": "extract/merge", "x": {"ms": 7}},
        {
            "message": "Failed",
            "lv": 40,
            "e": {"type": "KeyError", "module": "builtins", "message": "'k'", "frames": []},
        },
    ]
    second = recorded.run(at=ago(minutes=5), messages=rows, end=("failed", "SIGSEGV"))
    return first, second


def test_the_latest_run_by_its_name(flightlog, orders):
    out, err = flightlog("logs", "orders")
    assert [CLOCK.sub("", text) for text in out.splitlines()] == [
        "INFO  extract  loading",
        "WARN  extract/merge  slow\\x1b[31m  ms=7",
        "    disk",
        "ERROR  Failed",
        "    KeyError: 'k'",
    ]
    assert err == ""


def test_several_runs_and_all_of_them_say_whose_lines_they_are(flightlog, orders):
    for arguments in (("orders@all",), (), ("orders", "orders@-1")):
        out, _ = flightlog("logs", *arguments)
        assert out.splitlines()[0].endswith(f"INFO  orders {orders[0][-6:]}  older")
        assert f"orders {orders[1][-6:]}" in out


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["-n", "1"], ["Failed"]),
        (["--tail", "2"], ["slow\x1b[31m\ndisk", "Failed"]),
        (["-n", "0"], []),
        (["-r"], ["Failed", "slow\x1b[31m\ndisk", "loading"]),
        (["-n", "all"], ["loading", "slow\x1b[31m\ndisk", "Failed"]),
        (["-n", "all", "-r"], ["Failed", "slow\x1b[31m\ndisk", "loading"]),
        (["-p", "warn"], ["slow\x1b[31m\ndisk", "Failed"]),
        (["-p", "info..warning"], ["loading", "slow\x1b[31m\ndisk"]),
        (["-p", "..20"], ["loading"]),
        (["-p", "error.."], ["Failed"]),
        (["-g", "failed|LOAD"], []),
        (["-g", "failed|load"], ["loading", "Failed"]),
        (["--stage", "extract"], ["loading", "slow\x1b[31m\ndisk"]),
        (["--logger", "etl"], ["loading", "slow\x1b[31m\ndisk"]),
        (["--source", "stdout"], []),
        (["--node", "testnode", "-S", "1h", "-U", "now"], ["loading", "slow\x1b[31m\ndisk", "Failed"]),
        (["-S", "1m ago"], []),
        (["-U", "yesterday"], []),
    ],
)
def test_options(flightlog, orders, options, messages):
    out, err = flightlog("logs", "orders", "-o", "jsonl", *options)
    assert [json.loads(line)["message"] for line in out.splitlines()] == messages
    assert err == ("" if messages else "no line matches\n")


def test_json_is_one_document(flightlog, orders):
    data = json.loads(flightlog("logs", "orders", "-o", "json")[0])
    assert data["v"] == 1
    assert [line["level"] for line in data["lines"]] == ["INFO", "WARNING", "ERROR"]
    assert data["lines"][1]["fields"] == {"ms": 7}
    assert data["lines"][2]["exception"]["type"] == "KeyError"
    assert json.loads(flightlog("logs", "orders", "-o", "json", "-g", "nothing")[0]) == {"v": 1, "lines": []}


def test_cat_and_full(flightlog, orders):
    assert flightlog("logs", "orders", "-o", "cat")[0] == "loading\nslow\\x1b[31m\ndisk\nFailed\n"
    full = flightlog("logs", "orders", "-o", "full")[0]
    assert "testnode/1 sdk etl  loading" in full
    assert "    KeyError: 'k'\n" in full


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ordrs"], 4, "Error: no run or pipeline is called ordrs\nTry: orders\n"),
        (["orders@-7"], 4, "no such run"),
        (["orders@soon"], 2, "orders@-1"),
        (["orders", "-n", "x"], 2, "--lines x"),
        (["orders", "-n", "-5"], 2, "--lines -5"),
        (["orders", "-S", "soon"], 2, "--since soon"),
        (["orders", "-p", "loud"], 2, "--level loud"),
        (["orders", "-p", "99999"], 2, "--level 99999"),
        (["orders", "-g", "("], 2, "no regular expression: (: "),
        (["orders", "-f", "-r"], 2, "exclude"),
        (["orders", "-o", "xml"], 2, "xml"),
        (["\x1b[31m"], 4, "\\x1b[31m"),
    ],
)
def test_what_cannot_be(flightlog, orders, arguments, code, said):
    out, err = flightlog("logs", *arguments, code=code)
    assert out == ""
    assert said in err
    assert "\x1b" not in err


def test_a_store_that_is_not_there_is_exit_3(home):
    out, err = Command(f"host={home}/nowhere dbname=x", home)("logs", code=3)
    assert out == ""
    assert err.startswith("Error: cannot connect to")


def test_colour_and_the_last_line_are_for_people(flightlog, orders):
    code, shown = flightlog.on_screen("logs", "orders", "--no-pager")
    assert code == 0
    assert "\x1b[31mERROR\x1b[0m" in shown
    assert f"-- orders {orders[1][-6:]} failed: SIGSEGV (native-crash)   3 of 3 lines   times in UTC --" in shown
    assert "\\x1b[31m" in shown
    _, quiet = flightlog.on_screen("logs", "orders", "-q", NO_COLOR="1")
    assert "-- orders" not in quiet
    assert "\x1b" not in quiet
    assert "\x1b" not in flightlog("logs", "orders")[0]
    assert "\x1b[31m" in flightlog("logs", "orders", "--color", "always")[0]


def test_a_pager_when_there_is_more_than_a_screen(flightlog, recorded, home):
    recorded.run(messages=[f"line {n}" for n in range(60)], at=ago(minutes=5))
    seen = os.path.join(home, "seen")
    code, shown = flightlog.on_screen("logs", "orders", FLIGHTLOG_PAGER=f"cat > {seen}", PAGER="false")
    assert code == 0
    assert "line 5" not in shown
    with open(seen) as file:
        assert len(file.read().splitlines()) == 60
    for options in (["-n", "5"], ["--no-pager"], ["-o", "json"]):
        assert "line 59" in flightlog.on_screen("logs", "orders", *options, FLIGHTLOG_PAGER="false")[1]
    code, shown = flightlog.on_screen("logs", "orders", keys=b"q", PAGER="less")
    assert code == 0
    assert "line 3" in shown
    code, shown = flightlog.on_screen("logs", "orders", "-n", "all", PAGER="true")  # a pager that reads nothing
    assert code == 0
    assert "rror" not in shown


def test_local_times_and_utc(flightlog, recorded):
    recorded.run(messages=["x"], at=ago(minutes=5))
    local = flightlog("logs", "orders", "-o", "full", TZ="Asia/Tokyo")[0]
    utc = flightlog("logs", "orders", "-o", "full", "--utc", TZ="Asia/Tokyo")[0]
    assert (int(local[11:13]) - int(utc[11:13])) % 24 == 9
    assert "times in JST" in flightlog.on_screen("logs", "orders", TZ="Asia/Tokyo")[1]


def test_an_output_that_knows_no_unicode(flightlog, recorded):
    recorded.run(messages=["é 日"], at=ago(minutes=5))
    assert flightlog("logs", "orders", "-o", "cat", PYTHONIOENCODING="ascii")[0] == "\\xe9 \\u65e5\n"


def test_a_reader_that_leaves_early_is_no_error(flightlog, recorded):
    recorded.run(messages=["x" * 200] * 3000, at=ago(hours=2))
    for options in (["-n", "all"], ["-n", "3000"], ["-f", "-n", "3000"]):
        process = flightlog.start("logs", "orders", *options)
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_more_than_memory_would_like(flightlog, recorded):
    run = identity.new_ulid(ago(minutes=1))
    t = ago(minutes=1)
    recorded.write(run, [log(run, f"{n} " + "y" * 2000, t + n) for n in range(20000)])
    recorded.ship()
    shell = f"ulimit -v 400000; exec {sys.executable} -m flightlog logs orders -n all -o cat | tail -1 | cut -c1-5"
    done = subprocess.run(
        ["bash", "-c", shell], env=flightlog.environment, capture_output=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (b"19999\n", b"")


class Following:
    """`logs -f` as a process whose lines are collected."""

    def __init__(self, flightlog, *arguments):
        self.process = flightlog.start("logs", "-f", "-o", "cat", *arguments)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._read = b""

    @property
    def lines(self):
        self._read += self.process.stdout.read() or b""
        return self._read.decode().splitlines()

    def until(self, *wanted):
        wait_until(lambda: self.lines == list(wanted), 20, f"{wanted}, has {self._read!r}")


def test_following_shows_lines_as_they_come_and_ends_with_the_run(flightlog, recorded):
    run = identity.new_ulid()
    began = event(run, "run.started", ago(seconds=9), {"pipeline": "orders"})
    writer = recorded.write(run, [began, log(run, "one"), log(run, "two")])
    recorded.ship(look_alive=False)
    follow = Following(flightlog, "orders", "-n", "1")
    follow.until("two")
    recorded.write(run, [log(run, "three")], writer=writer, first_n=4)
    recorded.ship(look_alive=False)
    follow.until("two", "three")
    assert follow.process.poll() is None
    recorded.write(
        run,
        [log(run, "four"), event(run, "run.ended", ago(), {"status": "ok", "exit_code": 0})],
        writer=writer,
        first_n=5,
    )
    recorded.ship()
    assert follow.process.wait(20) == 0
    assert follow.lines == ["two", "three", "four"]
    assert b"orders %s succeeded: exit 0   3 of 4 lines" % run[-6:].encode() in follow.process.stderr.read()


def test_following_a_finished_run_shows_its_tail_and_ends(flightlog, orders):
    out, err = flightlog("logs", "-f", "orders", "-o", "cat", "-n", "1")
    assert out == "Failed\n"
    assert "failed: SIGSEGV" in err
    assert (
        json.loads(flightlog("logs", "-f", "-q", "orders", "-o", "json", "-n", "1")[0])["lines"][0]["message"]
        == "Failed"
    )


def test_following_ships_by_itself_where_no_agent_runs(flightlog, home):
    """A real run, no agent anywhere: its lines are seen while it goes on."""
    script = "import sys\nfor word in ('a', 'b'):\n    print(word, flush=True)\n    sys.stdin.readline()\n"
    run = flightlog.start("run", "-n", "live", "--", "python3", "-c", script, stdin=subprocess.PIPE)
    try:
        assert run.stdout.readline() == b"a\n"
        wait_until(lambda: "live" in flightlog("list")[0], 20, "the run")
        follow = Following(flightlog, "live")
        follow.until("a")
        run.stdin.write(b"\n")
        run.stdin.flush()
        follow.until("a", "b")
        run.stdin.close()
        assert follow.process.wait(20) == 0
        assert run.wait(20) == 0
    finally:
        run.kill()
    assert flightlog("audit")[1] == ""


def test_a_reader_that_leaves_ends_following_before_the_next_line_comes(flightlog, orders, dsn):
    execute(dsn, "UPDATE pipeline_runs SET state = 'running', ended_at = NULL")
    process = flightlog.start("logs", "-f", "orders", "-n", "1", "-o", "cat")
    assert process.stdout.readline() == b"Failed\n"
    process.stdout.close()
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert process.stderr.read() == b""


def test_ctrl_c_ends_following(flightlog, orders, dsn):
    execute(dsn, "UPDATE pipeline_runs SET state = 'running', ended_at = NULL")
    follow = Following(flightlog, "orders", "-n", "1")
    follow.until("Failed")
    follow.process.send_signal(signal.SIGINT)
    assert follow.process.wait(20) == 130
    assert follow.process.stderr.read() == b""


def test_following_goes_on_where_it_was_when_the_store_comes_back(flightlog, recorded, dsn):
    run = identity.new_ulid()
    writer = recorded.write(run, [event(run, "run.started", ago(seconds=9), {"pipeline": "orders"}), log(run, "one")])
    recorded.ship(look_alive=False)
    follow = Following(flightlog, "orders")
    follow.until("one")
    killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'flightlog cli' AND datname = current_database()"
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute(killed).fetchone()[0] == 1
    recorded.write(run, [log(run, "two"), event(run, "run.ended", ago(), {"status": "ok"})], writer=writer, first_n=3)
    recorded.ship()
    assert follow.process.wait(20) == 0
    assert follow.lines == ["one", "two"]
    said = follow.process.stderr.read().decode()
    assert "; waiting for it --" in said
    assert "-- the store answers again --" in said


def test_later_runs_are_announced(flightlog, recorded):
    first = recorded.run(at=ago(minutes=2), messages=["one"], end=None, close=False)
    follow = Following(flightlog, "orders")
    follow.until("one")
    second = recorded.run(messages=["two"], close=False)
    follow.until("one", "two")
    follow.process.send_signal(signal.SIGINT)
    follow.process.wait(20)
    assert f"-- orders {second[-6:]} --" in follow.process.stderr.read().decode()
    assert first != second
