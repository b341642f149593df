"""Database and text logs as a user switches them: both, either, none, later; and what a full disk or a database that is away does to the other."""

import json
import os
import signal
import subprocess
import sys

import pytest
from campaign import environment, flightlog

from flightlog import identity
from integration.shipping import fetch, log, segment, spool_of, write
from waiting import wait_until

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
AWAY = "host=/nonexistent dbname=nothing"


class Agent:
    """`flightlog agent run` in the foreground, and the settings it follows."""

    def __init__(self, home, dsn, tmp_path):
        self.home, self.tmp_path = home, tmp_path
        self.config = tmp_path / "config.yml"
        self.log_path = tmp_path / "agent.log"
        self.env = environment(home, dsn, FLIGHTLOG_CONFIG=str(self.config))
        self.process = None

    def settings(self, database, files, **more):
        pairs = "".join(f", {key}: {value}" for key, value in more.items())
        text = f"spool: {{keep: 0s}}\nlogging:\n  database: {{enabled: {str(database).lower()}}}\n"
        self.config.write_text(text + f"  file: {{enabled: {str(files).lower()}, format: jsonl{pairs}}}\n")

    def start(self, prefix=()):
        with open(self.log_path, "ab") as out:
            command = [*prefix, sys.executable, "-m", "flightlog", "agent", "run"]
            self.process = subprocess.Popen(command, env=self.env, stderr=out, stdout=out)

    def log(self):
        return self.log_path.read_text()

    def status(self):
        code, out, err = flightlog("agent", "status", "-o", "json", env=self.env)
        facts = json.loads(out)
        return code, facts, {one["name"]: one for one in facts["destinations"]}

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0
        self.process = None


@pytest.fixture
def agent(home, dsn, tmp_path):
    one = Agent(home, dsn, tmp_path)
    yield one
    one.stop()


def logged(home, pipeline="orders", directory=None):
    try:
        with open(os.path.join(directory or os.path.join(home, "logs"), f"{pipeline}.jsonl"), encoding="ascii") as file:
            return [json.loads(line)["message"] for line in file]
    except FileNotFoundError:
        return []


def stored(dsn):
    return [row[0] for row in fetch(dsn, "SELECT message FROM pipeline_logs ORDER BY run_id, pos")]


def segments(home):
    return [name for name in os.listdir(spool_of(home)) if name.endswith(".seg")]


def test_both(agent, home, dsn):
    agent.settings(True, True)
    agent.start()
    write(spool_of(home), RUN, ["a", "b"])
    wait_until(lambda: logged(home) == ["a", "b"] == stored(dsn), 20)
    wait_until(lambda: not segments(home), 30, "the spool to be emptied")
    code, facts, each = agent.status()
    assert code == 0 and facts["backlog_bytes"] == 0
    for name in ("database", "files"):
        assert (each[name]["enabled"], each[name]["state"], each[name]["backlog_bytes"]) == (True, "shipping", 0)
    assert each["files"]["directory"] == os.path.join(home, "logs") and each["files"]["records_from"]


def test_database_alone_writes_no_file(agent, home, dsn):
    agent.settings(True, False)
    agent.start()
    write(spool_of(home), RUN, ["a"])
    wait_until(lambda: stored(dsn) == ["a"], 20)
    wait_until(lambda: not segments(home), 30)
    assert not os.path.exists(os.path.join(home, "logs"))
    _, _, each = agent.status()
    assert (each["files"]["enabled"], each["files"]["state"]) == (False, "off")


def test_files_alone_need_no_database_at_all(home, tmp_path):
    agent = Agent(home, "", tmp_path)
    del agent.env["FLIGHTLOG_DSN"]
    agent.settings(False, True)
    try:
        agent.start()
        write(spool_of(home), RUN, ["a"])
        wait_until(lambda: logged(home) == ["a"], 20)
        wait_until(lambda: not segments(home), 30, "the spool to be emptied")
        code, facts, each = agent.status()
        assert code == 0 and (each["database"]["enabled"], each["database"]["state"]) == (False, "off")
        for command in (["logs", "orders"], ["status"], ["list"], ["audit"]):
            code, out, err = flightlog(*command, env=agent.env)
            assert code == 3 and out == "", (command, out)
            assert "logging.database.enabled is false" in err and os.path.join(home, "logs") in err, (command, err)
        assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0  # by the agent that runs
    finally:
        agent.stop()
    assert not os.path.exists(os.path.join(home, "pg")), "the embedded server was prepared"
    code, out, err = flightlog("agent", "run", "--once", env=agent.env)
    assert code == 0, err
    assert not os.path.exists(os.path.join(home, "pg"))


def test_none_keeps_everything_and_says_so(agent, home, dsn):
    agent.settings(False, False)
    agent.start()
    write(spool_of(home), RUN, ["a"])
    wait_until(lambda: agent.status()[1]["running"], 20)
    code, facts, each = agent.status()
    assert code == 1 and facts["backlog_bytes"] == facts["spool_bytes"] > 0
    code, out, err = flightlog("agent", "status", env=agent.env)
    assert code == 1 and "nothing is shipped" in out
    agent.stop()
    assert segments(home) and stored(dsn) == [] and logged(home) == []
    agent.settings(True, True)
    assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0
    assert stored(dsn) == ["a"] == logged(home)


def test_switched_while_it_runs(agent, home, dsn):
    """Each record goes where the settings of its time say, and into the other one as far as it was retained."""
    agent.settings(True, False)
    agent.start()
    write(spool_of(home), RUN, ["to the database"])
    wait_until(lambda: stored(dsn) == ["to the database"] and not segments(home), 40)

    agent.settings(False, True)
    wait_until(lambda: "database is switched off" in agent.log(), 10, "the change to be noticed")
    write(spool_of(home), RUN, ["to a file"])
    wait_until(lambda: logged(home) == ["to a file"] and not segments(home), 40)
    assert "begin with records of" in agent.log()

    agent.settings(False, False)
    wait_until(lambda: "text logs are switched off" in agent.log(), 10)
    assert "nothing is shipped" in agent.log()
    write(spool_of(home), RUN, ["retained"])
    agent.settings(True, True)
    wait_until(lambda: logged(home) == ["to a file", "retained"], 20)
    wait_until(lambda: stored(dsn) == ["to the database", "retained"], 20)
    assert "go on; from" in agent.log()
    _, _, each = agent.status()
    assert len(each["files"]["gaps"]) == 1


def test_the_short_keys_and_a_broken_file(agent, home, dsn):
    agent.settings(True, False)
    agent.start()
    wait_until(lambda: "connected" in agent.log(), 20)
    agent.config.write_text("monitoring: {database_logging: false, file_logging: true}\n")
    wait_until(lambda: "database is switched off" in agent.log(), 10)
    agent.config.write_text("monitoring: {database_logging: [\n")  # somebody saves half an edit
    write(spool_of(home), RUN, ["a"])
    path = os.path.join(home, "logs", "orders.log")
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), 20)
    assert "switched on" not in agent.log() and stored(dsn) == []


def test_a_form_or_directory_that_changes_is_taken_over(agent, home, tmp_path):
    agent.settings(False, True)
    agent.start()
    write(spool_of(home), RUN, ["a"])
    wait_until(lambda: logged(home) == ["a"], 20)
    elsewhere = str(tmp_path / "elsewhere" / "logs")
    agent.settings(False, True, directory=elsewhere)
    wait_until(lambda: os.path.exists(os.path.join(elsewhere, ".flightlog-lock")), 10)
    write(spool_of(home), RUN, ["b"])
    wait_until(lambda: "b" in logged(home, directory=elsewhere), 20)
    assert logged(home) == ["a"]


def test_files_go_on_while_the_database_is_away(home, dsn, tmp_path):
    agent = Agent(home, AWAY, tmp_path)
    agent.settings(True, True)
    try:
        agent.start()
        wait_until(lambda: "holding everything" in agent.log(), 30)
        for number in range(5):
            write(spool_of(home), RUN, [f"{number}"])
            wait_until(lambda: f"{number}" in logged(home), 10)
        # The status is written at each heartbeat: the log may be ahead of it.
        expected = {"database": "holding", "files": "shipping"}
        wait_until(lambda: {name: one["state"] for name, one in agent.status()[2].items()} == expected, 20)
        assert agent.status()[2]["database"]["problem"]
        assert len(segments(home)) == 5, "acknowledged by one is not acknowledged"
    finally:
        agent.stop()
    agent.env["FLIGHTLOG_DSN"] = dsn
    assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0
    assert sorted(stored(dsn)) == logged(home) == [str(number) for number in range(5)]
    assert segments(home) == []


def test_files_go_on_while_the_database_hangs(agent, home, dsn):
    agent.settings(True, True)
    agent.start()
    wait_until(lambda: "connected" in agent.log(), 20)
    import psycopg

    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE pipeline_logs IN ACCESS EXCLUSIVE MODE")
        for number in range(3):
            write(spool_of(home), RUN, [f"{number}"])
            try:
                wait_until(lambda: f"{number}" in logged(home), 30)
            except AssertionError as problem:
                raise AssertionError(f"{problem}: {number}, {os.listdir(spool_of(home))}, {agent.log()}") from None
    wait_until(lambda: sorted(stored(dsn)) == ["0", "1", "2"], 40)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: unshare -m and a small tmpfs")
def test_a_full_disk_holds_the_files_and_nothing_else(agent, home, dsn, tmp_path):
    """The directory is a tmpfs of 1 MiB in a mount namespace of the agent; filled, it holds; emptied, everything is there once."""
    small = tmp_path / "small"
    small.mkdir()
    agent.settings(True, True, directory=str(small))
    script = f'mount -t tmpfs -o size=1m tmpfs {small} && head -c 900000 /dev/zero > {small}/ballast; exec "$@"'
    agent.start(["unshare", "-m", "sh", "-c", script, "sh"])
    spool = spool_of(home)
    told = []
    wait_until(lambda: "connected" in agent.log(), 20)
    inside = f"/proc/{agent.process.pid}/root{small}"
    for number in range(12):
        lines = [f"{number} {n} {'x' * 300}" for n in range(100)]
        told += lines
        write(spool, RUN, lines)
        wait_until(lambda: len(stored(dsn)) == len(told), 20, "the database to go on")
    wait_until(lambda: "no space left" in agent.log(), 20)
    _, _, each = agent.status()
    assert each["files"]["state"] == "holding" and "no space left" in each["files"]["problem"]
    assert each["files"]["hint"] and each["files"]["backlog_bytes"] != 0
    assert each["database"]["state"] == "shipping"
    held = logged(home, directory=inside)
    assert held == told[: len(held)], "whole batches only"
    assert segments(home), "what only one has stays in the spool"
    os.unlink(os.path.join(inside, "ballast"))
    wait_until(lambda: len(logged(home, directory=inside)) == len(told), 40, "the files to catch up")
    assert logged(home, directory=inside) == told and stored(dsn) == told
    wait_until(lambda: not segments(home), 30)
    assert "text logs are written again" in agent.log()


def test_a_directory_that_cannot_be_used_is_named_with_a_remedy(agent, home, dsn, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    agent.settings(True, True, directory=str(blocked))
    agent.start()
    write(spool_of(home), RUN, ["a"])
    wait_until(lambda: stored(dsn) == ["a"], 20)
    wait_until(lambda: str(blocked) in agent.log(), 10)
    out = wait_until(
        lambda: (text := flightlog("agent", "status", env=agent.env)[1]) and "holding" in text and text, 20
    )
    assert "logging.file.directory" in out
    assert agent.log().count("holding everything") == 1, "said once, not in every round"


def test_once_writes_files_although_the_database_is_away(home, tmp_path):
    agent = Agent(home, AWAY, tmp_path)
    agent.settings(True, True)
    write(spool_of(home), RUN, ["a"])
    code, out, err = flightlog("agent", "run", "--once", env=agent.env)
    assert code == 3 and err
    assert logged(home) == ["a"] and segments(home)


def test_reading_commands_still_show_what_the_database_has(agent, home, dsn):
    agent.settings(True, False)
    write(spool_of(home), RUN, ["old"])
    assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0
    agent.settings(False, True)
    write(spool_of(home), identity.new_ulid(), ["new"])
    code, out, err = flightlog("logs", "-o", "cat", env=agent.env)
    assert (code, out) == (0, "old\n")
    assert "nothing new comes here" in err and "logging.database.enabled" in err
    assert stored(dsn) == ["old"], "a reading command does not ship either"


def test_logs_is_the_same_with_and_without_files(agent, home, dsn):
    agent.settings(True, True)
    write(spool_of(home), RUN, ["a", "b"])
    code, out, err = flightlog("logs", "orders", "-o", "cat", env=agent.env)
    assert (code, out, err) == (0, "a\nb\n", "")
    assert segments(home), "a reading command removes nothing that the text logs do not have"
    agent.start()
    wait_until(lambda: logged(home) == ["a", "b"], 20)
    assert flightlog("logs", "orders", "-o", "cat", env=agent.env)[:2] == (0, "a\nb\n")


def test_a_dead_letter_is_held_back_from_neither(agent, home, dsn):
    agent.settings(True, True)
    poison = log(RUN, "poison").replace(b'"k"', b'"x":{"a":1e400000},"k"')
    segment(spool_of(home), identity.new_writer_id(), 0, [log(RUN, "a"), poison, log(RUN, "b")], run=RUN)
    assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0
    assert stored(dsn) == ["a", "b"] and logged(home) == ["a", "poison", "b"]


def test_a_command_and_its_output_are_in_the_log_of_the_runs_own_name(agent, home, tmp_path):
    """Output that is not recorded by the SDK, the run's beginning and its end go where the program said the run belongs."""
    agent.settings(False, True)
    job = tmp_path / "job.py"
    job.write_text(
        "import flightlog, sys\n"
        "with flightlog.run('orders-etl'):\n"
        "    flightlog.get_logger('etl').info('told')\n"
        "    print('printed')\n"
        "    print('WARNING: complained', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    assert flightlog("run", "--", sys.executable, str(job), env=agent.env)[0] == 3
    assert flightlog("agent", "run", "--once", env=agent.env)[0] == 0
    with open(os.path.join(home, "logs", "orders-etl.jsonl"), encoding="ascii") as file:
        lines = [json.loads(line) for line in file]
    found = {line["message"]: (line["source"], line["level"]) for line in lines}
    assert found.pop(f"run started: {sys.executable} {job}") == ("flightlog", "INFO")
    assert found == {
        "told": ("sdk", "INFO"),
        "printed": ("stdout", "INFO"),
        "WARNING: complained": ("stderr", "WARNING"),
        "run ended: exit code 3": ("flightlog", "ERROR"),
    }
    assert os.listdir(os.path.join(home, "logs")).count("job.jsonl") == 0
    assert lines[0]["message"].startswith("run started") and lines[-1]["message"].startswith("run ended")
