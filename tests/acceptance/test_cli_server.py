"""Commands with the embedded server of a home: who starts it, who stops it, and what is said while it does not run."""

import json

import psycopg
import pytest

from flightlog.agent import door
from flightlog.store.embedded import EmbeddedServer
from unit.query.command import Command
from waiting import wait_until


@pytest.fixture
def flightlog(home):
    return Command("", home)


def test_looking_starts_the_server_and_somebody_who_will_stop_it(flightlog, home):
    out, err = flightlog("list", FLIGHTLOG_AGENT="always")
    assert (out, err) == ("", "no run matches\n")
    note = wait_until(lambda: door.holder(home), 60, "the agent")
    facts = json.loads(flightlog("agent", "status", "-o", "json")[0])
    assert (facts["running"], facts["pid"], facts["store"]) == (True, note["pid"], "embedded")
    assert (facts["backlog_bytes"], facts["spool_bytes"], facts["store_error"]) == (0, 0, None)
    assert flightlog("agent", "start")[0] == f"agent runs already: process {note['pid']}\n"

    assert flightlog("down")[0] == "agent      stopped\nserver     stopped\n"
    assert door.holder(home) is None
    assert not EmbeddedServer(home).running
    assert flightlog("down")[0] == "agent      did not run\nserver     did not run\n"
    assert flightlog("agent", "stop")[0] == "no agent runs\n"
    assert "backlog    none\n" in flightlog("agent", "status")[0]

    flightlog("run", "-n", "job", "--", "echo", "said")
    out, _ = flightlog("agent", "status", code=1)
    assert "agent      not running" in out
    assert "store      embedded, the embedded server does not run\n" in out
    assert "backlog    unknown, " in out
    assert json.loads(flightlog("agent", "status", "-o", "json", code=1)[0])["backlog_bytes"] is None

    assert flightlog("logs", "job", "-o", "cat")[0] == "said\n"
    assert door.holder(home) is None  # FLIGHTLOG_AGENT=never
    assert flightlog("audit")[0].endswith("each once\n")
    assert "backlog    none\n" in flightlog("agent", "status")[0]

    out, _ = flightlog("db", "status")
    lines = out.splitlines()
    assert lines[0].endswith("/pg/sock dbname=flightlog user=flightlog")
    assert [line.split()[0][:8] for line in lines[1:4]] == ["0001_pre", "0002_pre", "0003_pre"]
    data = json.loads(flightlog("db", "status", "-o", "json")[0])
    assert (data["v"], [row["changed"] for row in data["migrations"]]) == (
        1,
        [False] * sum(line[:4].isdigit() for line in lines),
    )
    assert flightlog("db", "migrate")[0] == "nothing to do: the database has this version's schema\n"
    assert flightlog("agent", "run", "--once") == ("", "")


def test_a_database_without_schema(empty_dsn, home):
    flightlog = Command(empty_dsn, home)
    out, err = flightlog("db", "status", code=1)
    migrations = [line for line in out.splitlines() if line[:4].isdigit()]
    assert migrations and all(line.endswith("pending") for line in migrations)
    assert err == "Error: the database does not have this version's schema\nTry: flightlog db migrate\n"
    assert json.loads(flightlog("db", "status", "-o", "json", code=1)[0])["migrations"][0]["applied_at"] is None
    for command in ("logs", "list", "status", "audit"):
        assert "Traceback" not in flightlog(command, code=3)[1]
        assert "Try: run: flightlog db migrate\n" in flightlog(command, code=3)[1]


def test_what_a_newer_version_has_migrated_is_named_and_no_error(dsn, home):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pipeline_migrations VALUES ('9999_pre_add_later', 'x', '9.0', '2030-01-02 03:04:05Z')"
        )
    flightlog = Command(dsn, home)
    assert "9999_pre_add_later" in flightlog("db", "status")[0]
    rows = json.loads(flightlog("db", "status", "-o", "json")[0])["migrations"]
    assert [row["newer"] for row in rows] == [False] * (len(rows) - 1) + [True]
    later = {"name": "9999_pre_add_later", "applied_at": "2030-01-02T03:04:05Z", "changed": False, "newer": True}
    assert rows[-1] == later
    assert "nothing to do" in flightlog("db", "migrate")[0]


def test_the_schema_can_be_printed_without_any_server(home):
    out, err = Command(f"host={home}/nowhere", home)("db", "migrate", "--print")
    assert out.startswith("CREATE TABLE IF NOT EXISTS pipeline_migrations")
    assert out.endswith("COMMIT;\n")
    assert err == ""
