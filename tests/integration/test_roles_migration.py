"""Bringing the roles about: by a superuser, by an owner of the database who may not create roles, twice at once, on the oldest server."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading

import psycopg
import pytest
from campaign import environment

import pgserver
from flightlog.store import roles
from flightlog.store.embedded import EmbeddedServer
from flightlog.store.migrate import migrate, print_sql, status
from flightlog.store.roles import standing
from integration import logins
from integration.logins import READER, WRITER, as_user, login, refused
from integration.shipping import execute, fetch


@pytest.fixture(scope="module")
def own_server():
    folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(folder, 0o711 if os.geteuid() == 0 else 0o700)
    one = EmbeddedServer(folder)
    one.dsn = one.start(fast=True)
    logins.admit(one)
    yield one
    one.stop(immediate=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fresh_server(own_server):
    """A server on which nothing of ours has ever been: no databases, and the roles do not exist."""
    yield own_server
    with psycopg.connect(own_server.dsn, autocommit=True) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'd\\_%'").fetchall():
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for (name,) in connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^(flightlog_|u_)' ORDER BY rolname"
        ).fetchall():
            connection.execute(f"DROP OWNED BY {name} CASCADE")
            connection.execute(f"DROP ROLE {name}")


def database(server, owner=None):
    name = "d_" + secrets.token_hex(5)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}" + (f" OWNER {owner}" if owner else ""))
    return server.dsn.replace("dbname=flightlog", f"dbname={name}")


def db(*arguments, home, dsn):
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", "db", *arguments],
        env=environment(home, dsn),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_twice_is_once(fresh_server):
    dsn = database(fresh_server)
    assert migrate(dsn) and migrate(dsn) == []
    assert standing(dsn).undone == []


def test_what_was_taken_away_comes_back_and_what_was_added_goes(fresh_server):
    dsn = database(fresh_server)
    migrate(dsn)
    execute(
        dsn,
        f"REVOKE SELECT ON pipeline_logs FROM {READER}",
        f"GRANT DELETE, UPDATE ON pipeline_logs TO {WRITER}",
        "GRANT SELECT ON pipeline_runs TO PUBLIC",
        f"GRANT UPDATE (state) ON pipeline_commands TO {READER}",
        "GRANT EXECUTE ON FUNCTION pipeline_partition_drop_v1(integer) TO PUBLIC",
        f"GRANT EXECUTE ON FUNCTION pipeline_partition_drop_v1(integer) TO {WRITER}",
        "CREATE OR REPLACE FUNCTION pipeline_schema_v1() RETURNS TABLE (name text, checksum text, applied_at timestamptz)"
        " LANGUAGE sql STABLE AS 'SELECT m.name, m.checksum, m.applied_at FROM pipeline_migrations m'",
        "ALTER TABLE pipeline_store OWNER TO flightlog",
    )
    assert len(standing(dsn).undone) == 9
    migrate(dsn)
    assert standing(dsn).undone == []
    assert fetch(dsn, "SELECT prosecdef FROM pg_proc WHERE proname = 'pipeline_schema_v1'") == [(True,)]


def test_two_databases_of_one_cluster_at_once(fresh_server):
    """The roles are shared: both create them in the same moment."""
    dsns = [database(fresh_server) for _ in range(4)]
    gate, problems = threading.Barrier(len(dsns)), []

    def one(dsn):
        gate.wait()
        try:
            migrate(dsn)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=one, args=(dsn,)) for dsn in dsns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    for dsn in dsns:
        assert standing(dsn).undone == []


def test_one_who_may_not_create_roles_is_told_what_is_wanted(fresh_server, home):
    with login(fresh_server.dsn, keep=True) as plain:
        admin = database(fresh_server, plain)
        dsn = as_user(admin, plain)
        code, out, err = db("migrate", home=home, dsn=dsn)
        assert code == 1 and "applied 0005_pre_create_commands" in out
        assert "CREATE ROLE flightlog_writer NOLOGIN;" in out and "Traceback" not in err
        assert "rights that are wanted are not there" in err and "database.roles: false" in err
        assert all(row.applied_at for row in status(dsn))

        code, out, err = db("status", "-o", "json", home=home, dsn=dsn)
        shown = json.loads(out)["roles"]
        assert code == 1 and shown["agent"] == shown["reading"] == shown["user"] == plain
        assert "CREATE ROLE flightlog_reader NOLOGIN" in shown["undone"]
        code, out, err = db("status", home=home, dsn=dsn)
        assert code == 1 and "still wanted: CREATE ROLE flightlog_owner NOLOGIN;" in out

        # It works meanwhile, with the rights there are.
        from flightlog.store.ingest import PostgresSink

        sink = PostgresSink(dsn)
        assert sink.open("n", 1) == 1
        sink.beat({})
        sink.close()

        # The administrator executes what was printed, in that order, and nothing else.
        with psycopg.connect(admin, autocommit=True) as connection:
            for statement in shown["undone"]:
                connection.execute(statement)
        code, out, _ = db("status", "-o", "json", home=home, dsn=dsn)
        shown = json.loads(out)["roles"]
        assert (code, shown["undone"]) == (0, [])
        assert shown["agent"] == plain  # a member of the owner, not of the writer
        assert db("migrate", home=home, dsn=dsn)[0] == 0
        with login(admin, WRITER) as agent:
            assert standing(as_user(admin, agent)).agent == WRITER


def test_roles_that_are_not_wanted_are_not_missed(fresh_server, home, tmp_path):
    with login(fresh_server.dsn, keep=True) as plain:
        admin = database(fresh_server, plain)
        dsn = as_user(admin, plain)
        config = tmp_path / "config.yml"
        config.write_text("database:\n  roles: false\n")
        env = environment(home, dsn, FLIGHTLOG_CONFIG=str(config))
        for command in (["migrate"], ["status"]):
            done = subprocess.run(
                [sys.executable, "-m", "flightlog", "db", *command], env=env, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        assert "database.roles is false" in done.stdout
        assert fetch(admin, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'flightlog\\_%%'") == [(0,)]


def test_one_who_may_create_roles_needs_nobody(fresh_server):
    """The usual administrator of a hosted database: no superuser, but CREATEROLE."""
    with login(fresh_server.dsn, attributes="CREATEROLE", keep=True) as boss:
        admin = database(fresh_server, boss)
        dsn = as_user(admin, boss)
        migrate(dsn)
        found = standing(dsn)
        assert found.undone == [] and not found.superuser
        assert migrate(dsn) == []


def test_a_schema_of_its_own(fresh_server):
    """Functions that run with the owner's rights look into their own schema, whatever the caller's search_path is."""
    dsn = database(fresh_server)
    execute(dsn, "CREATE SCHEMA logs")
    inside = dsn + " options='-c search_path=logs'"
    migrate(inside)
    assert standing(inside).undone == []
    settings = fetch(inside, "SELECT DISTINCT proconfig[1] FROM pg_proc WHERE proname = 'pipeline_ship_commit_v1'")
    assert settings == [("search_path=logs, pg_temp",)]


def test_create_for_everybody_is_taken_away_only_where_nobody_else_is(fresh_server):
    dsn = database(fresh_server)
    execute(dsn, "GRANT CREATE ON SCHEMA public TO PUBLIC", "CREATE TABLE somebody_elses (a int)")
    migrate(dsn)
    assert [item.statement for item in standing(dsn).undone] == ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"]
    execute(dsn, "DROP TABLE somebody_elses")
    migrate(dsn)
    assert standing(dsn).undone == []


def test_the_printed_sql_does_the_same(fresh_server):
    dsn = database(fresh_server)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(print_sql().encode())
    assert standing(dsn).undone == [] and all(row.applied_at for row in status(dsn))


def test_the_oldest_server_we_support(home):
    programs = pgserver.system_programs()
    if programs is None:
        pytest.skip("no PostgreSQL of the system's is here (apt install postgresql)")
    with pgserver.running(programs) as server:
        migrate(server.dsn)
        assert standing(server.dsn).undone == []
        with login(server.dsn, WRITER) as agent, login(server.dsn, READER) as looker:
            from flightlog.store.ingest import PostgresSink

            sinks = [PostgresSink(as_user(server.dsn, agent)) for _ in range(2)]
            assert [sink.open("n", 1) for sink in sinks] == [1, 2]
            assert sinks[1]._connection.execute("SELECT current_user").fetchone() == (WRITER,)
            assert standing(as_user(server.dsn, looker)).reading == READER
            with psycopg.connect(as_user(server.dsn, looker), autocommit=True) as connection:
                assert refused(connection, "DELETE FROM pipeline_logs")
        with login(server.dsn, attributes="CREATEROLE") as boss:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE hosted OWNER {boss}")
                hosted = as_user(server.dsn, boss).replace("dbname=postgres", "dbname=hosted")
                migrate(hosted)
                assert standing(hosted).undone == []
                connection.execute("DROP DATABASE hosted WITH (FORCE)")


def test_ensure_says_why(fresh_server):
    with login(fresh_server.dsn, keep=True) as plain:
        admin = database(fresh_server, plain)
        migrate(as_user(admin, plain), with_roles=False)
        with psycopg.connect(as_user(admin, plain), autocommit=True) as connection:
            undone = {item.statement: item.reason for item in roles.ensure(connection)}
        assert "permission denied" in undone["CREATE ROLE flightlog_owner NOLOGIN"]
