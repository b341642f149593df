"""start, stop, restart, pause, unpause, kill, ps, run -d, as people type them; on this node and on another."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from conformance.kept import alive
from flightlog import commands
from flightlog.process import living, stacks
from flightlog.store.db import connect
from integration.shipping import fetch
from unit.query.command import FLIGHTLOG, Command
from waiting import wait_until


@pytest.fixture
def command(dsn, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Command(dsn, home)


def shown(command, *names):
    return json.loads(command("ps", *names, "-o", "json")[0])["processes"]


def one(command, name):
    return shown(command, name)[0]


def test_started_shown_stopped(command):
    said, _ = command(
        "start", "api", "--grace", "5s", "--env", "A=1", "--cwd", "/", "--", "sh", "-c", "echo $A $PWD; exec sleep 1000"
    )
    found = one(command, "api")
    assert said == f"api started as process {found['pid']}, run {found['run'][-6:]}\n"
    assert (found["state"], found["daemon"], found["recorded"], found["cwd"]) == ("running", True, True, "/")
    with open(found["stdout"]) as file:
        assert wait_until(lambda: file.read()) == "1 /\n"
    table, _ = command("ps")
    assert table.splitlines()[0].split()[:3] == ["STATE", "NAME", "PID"] and str(found["pid"]) in table
    _, problem = command("start", "api", "--", "true", code=6)
    assert f"process {found['pid']}" in problem and "Try: flightlog stop api" in problem
    assert command("restart", "api")[0].startswith("api runs as process ")
    assert command("pause", "api")[0] == "api is paused\n" and one(command, "api")["state"] == "paused"
    assert command("unpause", "api")[0] == "api is going on\n"
    assert command("stop", "api")[0] == "api is stopped, and nothing of it is left\n"
    assert one(command, "api")["state"] == "stopped" and not alive(found["pid"])
    command("pause", "api", code=1)
    command("start", "api")
    assert one(command, "api")["state"] == "running"
    _, problem = command("start", "api", code=6)
    assert "Try: flightlog restart api" in problem
    command("kill", "api", "--verify")


def test_what_cannot_be(command):
    assert "nothing is kept by name" in command("ps")[1]
    for verb in ("stop", "restart", "pause", "unpause", "ps", "start"):
        assert "there is no process nobody" in command(verb, "nobody", code=4)[1]
    assert "./nope: No such file" in command("start", "x", "--", "./nope", code=1)[1]
    assert command("ps", "--exit-code", code=1)[0].splitlines()[1].split()[:3] == ["!", "failed", "x"]
    assert "no name of a process" in command("start", "../x", "--", "true", code=2)[1]
    assert "no such span" in command("stop", "x", "--grace", "soon", code=2)[1]
    assert "no KEY=VALUE" in command("start", "y", "--env", "A", "--", "true", code=2)[1]
    command("stop", "x", "nobody", code=4)
    assert "no run or pipeline" in command("kill", "nobody", code=4)[1]


def test_a_job_with_limits(command):
    command("start", "sick", "--job", "--max-restarts", "0", "--", "sh", "-c", "exit 3")
    wait_until(lambda: one(command, "sick")["state"] == "quarantined")
    command("start", "once", "--no-restart", "--plain", "--", "sh", "-c", "echo out; exit 3")
    wait_until(lambda: one(command, "once")["state"] == "failed")
    found = one(command, "once")
    assert (found["recorded"], found["run"], found["exit_code"], found["restarts"]) == (False, None, 3, 0)


def test_a_group(command):
    def start(name, *options):
        command("start", name, "--group", "db, api,web", *options, "--plain", "--", "sleep", "1000")

    start("db")
    start("api", "--strategy", "rest")
    start("web", "--strategy", "one")
    before = {name: one(command, name)["pid"] for name in ("db", "api", "web")}
    table, _ = command("ps", COLUMNS="200")
    assert "GROUP" in table.splitlines()[0]
    assert [line.split("db,api,web")[0].split()[-1] for line in table.splitlines()[1:]] == ["rest:", "all:", "one:"]

    def others(failed):
        """Kill *failed*, wait until it runs again, and return who else has got another process."""
        pids = {name: one(command, name)["pid"] for name in before}
        os.kill(pids[failed], signal.SIGKILL)
        wait_until(lambda: one(command, failed)["pid"] not in (None, pids[failed]), 30)
        return pids

    pids = others("web")  # one
    assert {name: one(command, name)["pid"] for name in ("db", "api")} == {name: pids[name] for name in ("db", "api")}
    pids = others("api")  # rest
    wait_until(lambda: one(command, "web")["pid"] not in (None, pids["web"]), 30)
    assert one(command, "db")["pid"] == before["db"]
    pids = others("db")  # all
    for name in ("api", "web"):
        wait_until(lambda name=name: one(command, name)["pid"] not in (None, pids[name]), 30)
    command("stop", "db", "api", "web")
    assert "is not in its own group" in command("start", "x", "--group", "db,api", "--", "true", code=2)[1]
    assert "needs a group" in command("start", "x", "--strategy", "all", "--", "true", code=2)[1]


def test_run_detached(command):
    said, _ = command("run", "-d", "-n", "back fill", "--", "sh", "-c", "echo done; exit 4")
    assert said.startswith("back-fill started as process ")
    wait_until(lambda: one(command, "back-fill")["state"] == "failed")
    assert one(command, "back-fill")["restarts"] == 0
    run = one(command, "back-fill")["run"]
    assert json.loads(command("status", run, "-o", "json")[0])["exit_code"] == 4


def test_kill_of_a_run_that_nobody_keeps(command):
    program = "import os, signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nc = subprocess.Popen(['sleep', '1000'], start_new_session=True)\nprint(os.getpid(), c.pid, flush=True)\ntime.sleep(1000)"
    running = command.start("run", "-n", "orders", "--", sys.executable, "-c", program)
    other = command.start("run", "-n", "other", "--", "sleep", "1000")
    pids = [int(word) for word in running.stdout.readline().split()]
    wait_until(lambda: "orders" in command("list")[0] and "other" in command("list")[0])
    said, _ = command("kill", "orders", "--grace", "300ms", "--verify")
    assert "is stopped, and nothing of it is left" in said
    assert running.wait(20) == -signal.SIGKILL and not any(map(alive, pids))
    assert other.poll() is None
    end = json.loads(command("status", "orders", "-o", "json")[0])
    assert (end["verdict"], end["confidence"], end["term_signal"]) == ("stopped-by-us", "proven", "SIGKILL")
    command("kill", end["run"], code=4)  # nothing of it is here any more
    command("kill", "other")
    assert other.wait(20) == -signal.SIGKILL


def test_in_the_foreground_it_is_a_service(command, tmp_path):
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(30)
        command.environment["NOTIFY_SOCKET"] = path
        service = command.start(
            "start", "api", "--foreground", "--", "sh", "-c", "echo $NOTIFY_SOCKET; exec sleep 1000"
        )
        assert b"READY=1" in manager.recv(1000)
    found = one(command, "api")
    assert found["caretaker"] == service.pid and found["state"] == "running"
    with open(found["stdout"]) as file:
        assert file.read() == os.path.join(command.environment["FLIGHTLOG_HOME"], "processes/api/notify\n")
    again = command.start("start", "api", "--foreground", "--", "true")
    assert again.wait(30) == 6 and b"kept by process %d" % service.pid in again.stderr.read()
    service.send_signal(signal.SIGTERM)  # what systemd does at a stop
    assert service.wait(30) == 0 and not alive(found["pid"])
    assert one(command, "api")["verdict"] == "stopped-by-us"


def test_from_another_node_by_the_agent_of_this_one(command, dsn, tmp_path):
    command("start", "api", "--", "sleep", "1000")
    pid = one(command, "api")["pid"]
    loose = command.start("run", "-n", "loose", "--", "sleep", "1000")
    wait_until(lambda: "loose" in command("list")[0])
    run = json.loads(command("status", "loose", "-o", "json")[0])["run"]
    agent = command.start("agent", "run", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    elsewhere = Command(dsn, tmp_path / "elsewhere", FLIGHTLOG_NODE="desk")
    try:
        assert elsewhere("pause", "api", "--node", "testnode")[0] == "testnode: api is paused\n"
        assert elsewhere("unpause", "api", "--node", "testnode")[0] == "testnode: api is going on\n"
        assert elsewhere("stop", "api", "--node", "testnode", "--grace", "5s")[0].startswith("testnode: api is stopped")
        assert not alive(pid)
        assert elsewhere("start", "api", "--node", "testnode")[0].startswith("testnode: api runs as process")
        assert "api runs already" in elsewhere("start", "api", "--node", "testnode", code=1)[1]
        assert "there is no process nobody" in elsewhere("stop", "nobody", "--node", "testnode", code=1)[1]
        _, problem = elsewhere("start", "evil", "--node", "testnode", "--", "rm", "-rf", "/", code=2)
        assert "a command line is not sent" in problem
        assert "is killed, and nothing of it is left" in elsewhere("kill", run, "--node", "testnode")[0]
        assert loose.wait(20) == -signal.SIGKILL
    finally:
        agent.terminate()
        agent.wait(30)
    assert alive(one(command, "api")["pid"])  # what the agent has started does not end with it
    command("stop", "api")


def test_stacks_from_another_node(command, dsn, tmp_path):
    rests = "import time\ndef rests(): time.sleep(1000)\nprint('began', flush=True)\nrests()"
    running = command.start("run", "-n", "orders", "--", sys.executable, "-c", rests)
    assert running.stdout.readline() == b"began\n"
    command("start", "api", "--plain", "--", "sleep", "1000")
    wait_until(lambda: "orders" in command("list")[0])
    run = json.loads(command("status", "orders", "-o", "json")[0])["run"]
    here = json.loads(command("stacks", "orders", "-o", "json")[0])
    agent = command.start("agent", "run", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    elsewhere = Command(dsn, tmp_path / "elsewhere", FLIGHTLOG_NODE="desk")
    try:
        there = json.loads(elsewhere("stacks", "orders", "--node", "testnode", "-o", "json")[0])
        assert there["run"] == run and there["processes"][0]["pid"] == here["processes"][0]["pid"]
        assert [set(one) for one in there["processes"]] == [set(one) for one in here["processes"]]
        if stacks.find_spy():
            assert "rests" in there["processes"][0]["stacks"][0]["text"]
        shown, _ = elsewhere("stacks", run, "--node", "testnode")
        assert f"process {there['processes'][0]['pid']} " in shown and "kernel:" in shown
        # the answer stays in the command's row, for whoever may read it
        rows = fetch(dsn, "SELECT result FROM pipeline_commands WHERE verb = 'stacks' AND state = 'done'")
        assert [json.loads(row[0])["run"] for row in rows] == [run, run]
        running.kill()
        running.wait()
        wait_until(lambda: not living.runs().get(run), 30, "the run to be gone")
        assert "nothing of run" in elsewhere("stacks", run, "--node", "testnode", code=1)[1]
        with connect(dsn, "test") as connection:
            asked = [commands.enqueue(connection, "checkpoint", "testnode", run=run)]
            asked.append(commands.enqueue(connection, "stacks", "testnode", program="api"))
            said = [wait_until(lambda one=one: ended(connection, one), 30, "an answer") for one in asked]
        assert said[0][0] == "failed" and "checkpoint is not there yet" in said[0][1]
        assert said[1][0] == "failed" and "api is not recorded" in said[1][1]
    finally:
        agent.terminate()
        agent.wait(30)
    command("stop", "api")


def ended(connection, asked):
    state, said = commands.answer(connection, asked)
    return (state, said) if state in ("done", "failed") else None


def test_commands_load_little(command):
    """`ps` and `stop` do without a database driver."""
    code = "import sys; from flightlog.cli import group; sys.argv = ['flightlog', 'ps']\ntry: group.main()\nexcept SystemExit: pass\nprint([m for m in sys.modules if m.startswith(('psycopg', 'rich', 'yaml'))])"
    done = subprocess.run([FLIGHTLOG[0], "-c", code], env=command.environment, capture_output=True, timeout=60)
    assert done.stdout.decode().strip().endswith("[]"), done.stdout
