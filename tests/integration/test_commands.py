"""Commands name runs and programs; no row can carry a command line, whoever writes it."""

import json

import psycopg
import pytest

from flightlog import commands
from flightlog.errors import Fenced, SinkError, UsageError
from flightlog.store.db import connect
from flightlog.store.ingest import PostgresSink
from integration import logins
from integration.logins import OPERATOR, READER, WRITER, as_user, login, refused
from integration.shipping import execute, fetch

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


@pytest.fixture
def operator(server, dsn):
    logins.admit(server)
    with login(dsn, OPERATOR) as name, connect(as_user(dsn, name), "test") as connection:
        connection.name = name
        yield connection


@pytest.fixture
def agent(server, dsn):
    logins.admit(server)
    with login(dsn, WRITER) as name:
        sink = PostgresSink(as_user(dsn, name))
        sink.open("n1", 1)
        sink.login = name
        yield sink
        sink.close()


def test_asked_claimed_answered(operator, agent, dsn):
    first = commands.enqueue(operator, "stop", "n1", run=RUN, grace_seconds=30.5, signal="TERM")
    second = commands.enqueue(operator, "start", "n1", program="orders-etl")
    commands.enqueue(operator, "pause", "n2", run=RUN)
    taken = commands.claim(agent._connection, "n1", agent.epoch)
    assert taken == [
        commands.Command(first, "stop", RUN, "", 30.5, "TERM", operator.name),
        commands.Command(second, "start", "", "orders-etl", None, "", operator.name),
    ]
    assert commands.claim(agent._connection, "n1", agent.epoch) == []
    assert commands.complete(agent._connection, "n1", agent.epoch, first, True, "ended by TERM")
    assert commands.complete(agent._connection, "n1", agent.epoch, second, False, "x" * 5000)
    assert not commands.complete(agent._connection, "n1", agent.epoch, first, False)  # once
    shown = operator.execute(
        "SELECT verb, state, length(result) FROM pipeline_commands ORDER BY requested_at"
    ).fetchall()
    assert shown == [("stop", "done", 13), ("start", "failed", 1000), ("pause", "pending", None)]


def test_only_stacks_are_answered_at_length(operator, agent, dsn):
    asked = [commands.enqueue(operator, verb, "n1", run=RUN) for verb in ("stacks", "stop")]
    commands.claim(agent._connection, "n1", agent.epoch)
    for command in asked:
        assert commands.complete(agent._connection, "n1", agent.epoch, command, True, "x" * 300_000)
    assert [len(commands.answer(operator, command)[1]) for command in asked] == [256 << 10, 1000]


def test_they_are_taken_in_the_order_they_were_asked_for(operator, agent):
    """Also within a millisecond, in which ids have no order."""
    asked = [commands.enqueue(operator, "stacks", "n1", run=RUN) for _ in range(30)]
    taken = []
    while len(taken) < 30:
        taken += commands.claim(agent._connection, "n1", agent.epoch, 7)
    assert [command.id for command in taken] == asked


def test_a_node_answers_for_itself_only(operator, agent, dsn):
    there = commands.enqueue(operator, "stop", "n2", run=RUN)
    other = PostgresSink(dsn)
    other.open("n2", 1)
    (taken,) = commands.claim(other._connection, "n2", other.epoch)
    assert taken.id == there
    assert not commands.complete(agent._connection, "n1", agent.epoch, there, True)
    execute(dsn, f"INSERT INTO pipeline_node_roles VALUES ('n1', '{agent.login}')")
    for call in (
        lambda: commands.claim(agent._connection, "n2", other.epoch),
        lambda: commands.complete(agent._connection, "n2", other.epoch, there, True),
    ):
        with pytest.raises(SinkError, match="bound to other nodes"):
            call()
    other.close()


def test_an_older_agent_gets_nothing(operator, agent, dsn):
    commands.enqueue(operator, "stop", "n1", run=RUN)
    with connect(dsn, "test") as connection:
        connection.execute("SELECT pipeline_agent_take_v1('n1', 2, 'v')")
        with pytest.raises(Fenced):
            commands.claim(agent._connection, "n1", agent.epoch)
        with pytest.raises(Fenced):
            commands.complete(agent._connection, "n1", agent.epoch, "x", True)


def test_what_nobody_claims_in_time_is_not_done_late(operator, agent, dsn):
    old = commands.enqueue(operator, "kill", "n1", run=RUN)
    execute(
        dsn,
        "UPDATE pipeline_commands SET requested_at = now() - interval '1 hour', expires_at = now() - interval '1 second'",
    )
    assert commands.claim(agent._connection, "n1", agent.epoch) == []
    assert fetch(dsn, "SELECT command_id, state, result FROM pipeline_commands") == [
        (old, "failed", "nobody claimed it in time")
    ]


def test_what_an_agent_died_over_is_not_done_twice(operator, agent, dsn):
    commands.enqueue(operator, "restart", "n1", program="orders-etl")
    assert len(commands.claim(agent._connection, "n1", agent.epoch)) == 1
    new = PostgresSink(as_user(dsn, agent.login))
    new.open("n1", 2)
    assert commands.claim(new._connection, "n1", new.epoch) == []
    assert fetch(dsn, "SELECT state FROM pipeline_commands") == [("failed",)]
    new.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "run"},
        {"verb": "stop; id"},
        {"program": "sh -c id", "run": ""},
        {"program": "/bin/sh", "run": ""},
        {"program": "orders\n", "run": ""},
        {"program": "$(id)", "run": ""},
        {"program": "x" * 65, "run": ""},
        {"program": "orders"},
        {"run": ""},
        {"run": "short"},
        {"verb": "start"},
        {"signal": "9"},
        {"signal": "SEGV"},
        {"grace_seconds": -1},
        {"grace_seconds": 1e9},
        {"grace_seconds": float("nan")},
        {"expires_seconds": 0},
        {"expires_seconds": 1e9},
    ],
)
def test_what_no_command_can_be_is_said_at_once(operator, wrong):
    with pytest.raises(UsageError) as caught:
        commands.enqueue(operator, **{"verb": "stop", "node": "n1", "run": RUN, **wrong})
    assert caught.value.hint


ROW = {
    "command_id": "01M86ZYTH9FGWWWGERS15X8FFR",
    "verb": "stop",
    "node": "n1",
    "run_id": RUN,
    "program": None,
    "arguments": {},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "exec"},
        {"verb": "stop\n"},
        {"node": "n 1"},
        {"node": "n1\n"},
        {"run_id": None},
        {"run_id": "rm -rf / 8888888888888888x"},
        {"run_id": RUN + "\n"},
        {"program": "orders"},
        {"run_id": None, "program": ""},
        {"run_id": None, "program": "sh -c id"},
        {"run_id": None, "program": "orders\n"},
        {"run_id": None, "program": "a/b"},
        {"run_id": None, "program": "a\\b"},
        {"run_id": None, "program": "a;b"},
        {"run_id": None, "program": "x" * 65},
        {"verb": "start"},
        {"arguments": []},
        {"arguments": None},
        {"arguments": "id"},
        {"arguments": {"command": "id"}},
        {"arguments": {"grace_seconds": "1; id"}},
        {"arguments": {"grace_seconds": None}},
        {"arguments": {"grace_seconds": -1}},
        {"arguments": {"grace_seconds": 86401}},
        {"arguments": {"grace_seconds": [1]}},
        {"arguments": {"signal": "9"}},
        {"arguments": {"signal": None}},
        {"arguments": {"signal": {"a": 1}}},
        {"arguments": {"signal": "TERM", "extra": "x"}},
        {"command_id": "x"},
        {"expires_at": "2099-01-01"},
        {"expires_at": "2000-01-01"},
    ],
    ids=str,
)
def test_the_table_itself_refuses_the_rest(dsn, wrong):
    """By the owner, for whom no right stands in between."""
    row = {**ROW, **wrong}
    row["arguments"] = json.dumps(row["arguments"])
    statement = f"INSERT INTO pipeline_commands ({', '.join(row)}) VALUES ({', '.join(f'%({name})s' for name in row)})"
    with connect(dsn, "test") as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(statement, row)
        good = {**ROW, "arguments": json.dumps({"grace_seconds": 0.5, "signal": "INT"})}
        columns, values = ", ".join(good), ", ".join(f"%({name})s" for name in good)
        connection.execute(f"INSERT INTO pipeline_commands ({columns}) VALUES ({values})", good)


def test_who_asked_cannot_be_forged(operator, dsn):
    for column, value in (
        ("requested_by", "'boss'"),
        ("requested_at", "now()"),
        ("state", "'done'"),
        ("claimed_by", "1"),
        ("result", "'x'"),
    ):
        assert refused(
            operator,
            f"INSERT INTO pipeline_commands (command_id, verb, node, run_id, {column}) VALUES ('{RUN}', 'stop', 'n1', '{RUN}', {value})",
        ), column
    command = commands.enqueue(operator, "stop", "n1", run=RUN)
    assert refused(operator, "UPDATE pipeline_commands SET verb = 'kill'")
    assert refused(operator, "DELETE FROM pipeline_commands")
    assert fetch(dsn, "SELECT requested_by FROM pipeline_commands WHERE command_id = %s", command) == [(operator.name,)]


def test_nobody_else_may_ask(server, dsn):
    for group in (WRITER, READER):
        with login(dsn, group) as name, connect(as_user(dsn, name), "test") as connection:
            with pytest.raises(SinkError, match="permission denied"):
                commands.enqueue(connection, "stop", "n1", run=RUN)
