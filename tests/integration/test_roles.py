"""Each role, on a real server, logged in: what must work works, everything else is refused."""

import os
import time
import uuid

import psycopg
import pytest

from flightlog import identity
from flightlog.errors import Fenced, SinkMisconfigured
from flightlog.store import roles
from flightlog.store.db import connect
from flightlog.store.ingest import PostgresSink
from integration import logins, shipping
from integration.logins import GROUPS, MAINTENANCE, OPERATOR, READER, WRITER, as_user, login, refused

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
STRANGER = "stranger"
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "COPY FROM", "REFERENCES")

# What is written here is all there is; every other pair of table and verb is refused to every role.
ALL_TABLES = {
    "pipeline_agents", "pipeline_commands", "pipeline_dead_letters", "pipeline_events", "pipeline_logs", "pipeline_metrics",
    "pipeline_migrations",
    "pipeline_node_roles", "pipeline_run_positions", "pipeline_run_writers", "pipeline_runs", "pipeline_ship_ledger",
    "pipeline_store", "pipeline_writers",
}  # fmt: skip
TABLES = {
    (READER, "SELECT"): ALL_TABLES,
    (OPERATOR, "SELECT"): {"pipeline_commands"},
    (OPERATOR, "INSERT"): {"pipeline_commands"},
}
TABLES.update(
    {
        (WRITER, verb): {"pipeline_logs", "pipeline_events", "pipeline_metrics", "pipeline_dead_letters"}
        for verb in ("INSERT", "COPY FROM")
    }
)
FUNCTIONS = {
    WRITER: {
        "pipeline_schema_v1", "pipeline_positions_v1", "pipeline_writer_owners_v1", "pipeline_run_positions_v1",
        "pipeline_agent_backend_v1", "pipeline_agent_open_v1", "pipeline_agent_take_v1", "pipeline_agent_beat_v1",
        "pipeline_ship_commit_v1", "pipeline_runs_apply_v1", "pipeline_runs_lost_v1", "pipeline_commands_claim_v1",
        "pipeline_command_complete_v1", "pipeline_command_complete_v2", "pipeline_partitions_ensure_v1", "pipeline_drops_apply_v1",
        "pipeline_self_check_v1",
    },
    READER: {"pipeline_schema_v1", "pipeline_positions_v1"},
    MAINTENANCE: {"pipeline_schema_v1", "pipeline_partitions_ensure_v1", "pipeline_partition_drop_v1"},
    OPERATOR: {"pipeline_schema_v1"},
    STRANGER: set(),
}  # fmt: skip


@pytest.fixture
def people(server, dsn):
    """A login for each role, and one with none: name of the role -> DSN."""
    logins.admit(server)
    with login(dsn, WRITER) as w, login(dsn, READER) as r, login(dsn, MAINTENANCE) as m, login(dsn, OPERATOR) as o:
        with login(dsn) as s:
            yield {role: as_user(dsn, name) for role, name in zip((*GROUPS, STRANGER), (w, r, m, o, s))}


def tables_of(dsn):
    return shipping.fetch(
        dsn,
        "SELECT c.relname, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1), c.relispartition"
        " FROM pg_class c WHERE c.relname LIKE 'pipeline\\_%%' AND c.relkind IN ('r', 'p') ORDER BY 1",
    )


def attempt(verb, table, column):
    return {
        "SELECT": f"SELECT {column} FROM {table} LIMIT 0",
        "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
        "UPDATE": f"UPDATE {table} SET {column} = {column} WHERE false",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table}",
        "REFERENCES": f"SELECT 1 WHERE has_table_privilege('{table}', 'REFERENCES, TRIGGER')",
    }[verb]


def copy_refused(connection, table, column):
    try:
        with connection.transaction(force_rollback=True), connection.cursor().copy(f"COPY {table} FROM STDIN"):
            pass
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False


def test_every_table_and_verb(people, dsn):
    found = tables_of(dsn)
    assert {name for name, _, partition in found if not partition} == ALL_TABLES
    assert any(partition for _, _, partition in found)
    wrong = []
    for role in (*GROUPS, STRANGER):
        with psycopg.connect(people[role], autocommit=True) as connection:
            for table, column, _ in found:
                for verb in VERBS:
                    if verb == "COPY FROM":
                        allowed = not copy_refused(connection, table, column)
                    elif verb == "REFERENCES":
                        allowed = connection.execute(attempt(verb, table, column)).fetchone() is not None
                    else:
                        allowed = not refused(connection, attempt(verb, table, column))
                    if allowed != (table in TABLES.get((role, verb), set())):
                        wrong.append((role, verb, table, "allowed" if allowed else "refused"))
    assert wrong == []


def test_every_function(people, dsn):
    found = shipping.fetch(
        dsn,
        "SELECT p.proname, p.pronargs, p.prosecdef, r.rolname, p.proconfig FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner"
        " WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'pipeline\\_%%'",
    )
    names = {name for name, *_ in found}
    for name, _, definer, owner, settings in found:
        assert owner == "flightlog_owner", name
        assert definer == (name != "pipeline_agent_open_v1"), name
        assert not definer or "search_path=public, pg_temp" in settings, name
    wrong = []
    for role, allowed in FUNCTIONS.items():
        assert allowed <= names
        with psycopg.connect(people[role], autocommit=True) as connection:
            for name, arguments, *_ in found:
                call = f"SELECT {name}({', '.join(['NULL'] * arguments)})"
                if refused(connection, call) == (name in allowed):
                    wrong.append((role, name))
    assert wrong == []


def test_nothing_of_ours_is_unlisted(dsn):
    with psycopg.connect(dsn) as connection:
        assert roles.unlisted(connection) == []
        connection.execute("CREATE TABLE pipeline_new (a int)")
        connection.execute("CREATE FUNCTION pipeline_new_v1() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        assert roles.unlisted(connection) == ["pipeline_new", "pipeline_new_v1()"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE pipeline_mine (a int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE pipeline_logs ADD COLUMN a int",
        "DROP TABLE pipeline_dead_letters",
        "ALTER FUNCTION pipeline_schema_v1() RENAME TO f",
        "CREATE INDEX ON pipeline_logs (message)",
        "SET ROLE flightlog_owner",
        "COPY pipeline_logs FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/flightlog-was-here'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT lo_import('/etc/passwd')",
        "SET session_replication_role = replica",
        "CREATE ROLE another",
    ],
)
def test_nobody_may_do_more(people, statement):
    for role, dsn in people.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert refused(connection, statement), role


def test_nobody_can_hand_on_what_he_has(people, dsn):
    for mine in people.values():
        with psycopg.connect(mine, autocommit=True) as connection:
            try:
                connection.execute(
                    "GRANT SELECT, INSERT ON pipeline_logs TO PUBLIC"
                )  # without the option to grant: a warning
            except psycopg.errors.InsufficientPrivilege:
                pass
    with psycopg.connect(dsn) as connection:
        assert roles._missing(connection) == []


# -- the agent under its role ---------------------------------------------------------------------------------------


def acting(sink):
    return sink._connection.execute("SELECT session_user, current_user").fetchone()


def test_the_agent_ships_with_nothing_but_the_writers_role(people, dsn, home):
    spool = shipping.spool_of(home)
    shipping.write(spool, RUN, [f"line {n}" for n in range(300)])
    # A text that PostgreSQL refuses: `exponent` in jsonb is beyond what numeric holds.
    writer = identity.new_writer_id()
    poison = shipping.log(RUN, "poison").replace(b'"m":"poison"', b'"m":"poison","x":{"n":1e999999}')
    shipping.segment(spool, writer, 0, [poison, shipping.log(RUN, "after")], run=RUN)
    shipper = shipping.shipper_for(people[WRITER], home)
    sink = shipper._sink
    assert acting(sink)[1] == WRITER
    shipping.ship_all(shipper, spool)
    sink.beat({"rows": 1})
    assert sink.lost([]) == [RUN]
    assert len(shipping.messages(dsn)) == 301
    assert shipping.fetch(dsn, "SELECT count(*) FROM pipeline_dead_letters") == [(1,)]
    assert shipping.fetch(dsn, "SELECT state FROM pipeline_runs") == [("lost",)]
    shipping.sums_are_right(dsn)


def test_a_refused_record_becomes_a_dead_letter_under_the_role(people, dsn, home):
    sink = PostgresSink(people[WRITER])
    sink.open("n", os.getpid())
    batch = sink.begin()

    class Letter:
        def _asdict(self):
            return {
                "writer": str(uuid.uuid4()),
                "seq": 1,
                "run": RUN,
                "raw": b"\x00",
                "sqlstate": "22P02",
                "error": "e",
            }

    batch.dead_letters([Letter()])
    batch.commit()
    assert shipping.fetch(dsn, "SELECT raw FROM pipeline_dead_letters") == [(b"\x00",)]


def test_a_zombie_of_the_same_login_is_ended_under_the_role(people, dsn):
    old = PostgresSink(people[WRITER])
    assert old.open("n", 1) == 1
    backend = old._connection.info.backend_pid
    old.begin()  # in the middle of a batch
    new = PostgresSink(people[WRITER])
    assert new.open("n", 2) == 2
    assert acting(new)[1] == WRITER
    assert shipping.fetch(dsn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", backend) == [(0,)]
    new.beat({})
    old.close()


def test_a_zombie_of_another_login_is_fenced_by_its_epoch(people, dsn, server):
    with login(dsn, WRITER) as other:
        old, new = PostgresSink(people[WRITER]), PostgresSink(as_user(dsn, other))
        old.open("n", 1)
        assert new.open("n", 2) == 2
        with pytest.raises(Fenced):
            old.beat({})
        old.close()
        new.close()


def test_a_session_of_another_program_of_the_same_login_is_left_alone(people, dsn):
    old = PostgresSink(people[WRITER])
    old.open("n", 1)
    old._connection.execute("SET application_name = 'something else'")
    new = PostgresSink(people[WRITER])
    new.open("n", 2)
    assert old._connection.execute("SELECT 1").fetchone() == (1,)
    old.close()
    new.close()


def test_partitions_are_made_by_who_may_not_create_tables(people, dsn):
    sink = PostgresSink(people[WRITER])
    sink.open("n", 1)
    today = int(time.time() // 86400)
    assert today - 20 in sink.prepare({today - 20})
    owners = shipping.fetch(
        dsn,
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname ~ '^pipeline_(logs|events)(_\\d{8})?$'",
    )
    assert owners == [("flightlog_owner",)]
    with pytest.raises(SinkMisconfigured, match="that far away"):
        sink.prepare({today + 4000})
    sink.close()


def test_maintenance_drops_old_days_and_no_others(people, dsn):
    today = int(time.time() // 86400)
    with connect(people[MAINTENANCE], "test") as connection:
        there = [row[0] for row in connection.execute("SELECT pipeline_partitions_ensure_v1(%s)", ([today - 9],))]
        assert today - 9 in there
        assert connection.execute("SELECT pipeline_partition_drop_v1(%s)", (today - 9,)).fetchone() == (True,)
        assert connection.execute("SELECT pipeline_partition_drop_v1(%s)", (today - 9,)).fetchone() == (False,)
        for day in (today - 1, today, today + 1):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may still be written to"):
                connection.execute("SELECT pipeline_partition_drop_v1(%s)", (day,))
    names = [
        row[0] for row in shipping.fetch(dsn, "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
    ]
    assert len(names) == len(set(names)) and not any(
        name.endswith(f"{time.strftime('%Y%m%d', time.gmtime((today - 9) * 86400))}") for name in names
    )


def test_a_hostile_object_of_a_session_is_not_taken_for_ours(people, dsn):
    """pg_temp comes last for functions that run with the owner's rights."""
    with psycopg.connect(people[WRITER], autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE pipeline_agents (node text, epoch bigint)")
        connection.execute("INSERT INTO pipeline_agents VALUES ('n', 7)")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("SELECT pipeline_ship_commit_v1('n', 7, '[]', '[]')")
        assert caught.value.sqlstate == "FL001"


# -- nodes ------------------------------------------------------------------------------------------------------------

BOUND = [
    "SELECT pipeline_agent_backend_v1(%(node)s)",
    "SELECT pipeline_agent_open_v1(%(node)s, 1, 'v')",
    "SELECT pipeline_agent_take_v1(%(node)s, 1, 'v')",
    "SELECT pipeline_agent_beat_v1(%(node)s, 1, '{}')",
    "SELECT pipeline_run_positions_v1(%(node)s, '{}')",
    "SELECT pipeline_ship_commit_v1(%(node)s, 1, '[]', '[]')",
    "SELECT pipeline_runs_apply_v1(jsonb_build_array(jsonb_build_object('node', %(node)s::text)))",
    "SELECT pipeline_runs_lost_v1(%(node)s, '{}')",
    "SELECT pipeline_drops_apply_v1(%(node)s, '[]')",
    "SELECT pipeline_self_check_v1(%(node)s, '2026-01-01', '00000000-0000-0000-0000-000000000000', 1, 1)",
    "SELECT pipeline_commands_claim_v1(%(node)s, 1, 1)",
    "SELECT pipeline_command_complete_v1(%(node)s, 1, '', true, '')",
    "SELECT pipeline_command_complete_v2(%(node)s, 1, '', true, '')",
]


@pytest.mark.parametrize("call", BOUND)
def test_a_bound_login_ships_for_its_node_only(people, dsn, call):
    name = psycopg.conninfo.conninfo_to_dict(people[WRITER])["user"]
    shipping.execute(dsn, f"INSERT INTO pipeline_node_roles VALUES ('mine', '{name}')")
    for before in ("SELECT 1", f"SET ROLE {WRITER}"):
        with psycopg.connect(people[WRITER], autocommit=True) as connection:
            connection.execute(before)
            assert refused(connection, call, {"node": "theirs"})
            assert not refused(connection, call, {"node": "mine"})
    with login(dsn, WRITER) as unbound, psycopg.connect(as_user(dsn, unbound), autocommit=True) as connection:
        assert not refused(connection, call, {"node": "theirs"})


def test_every_function_of_the_agent_that_names_a_node_is_among_them(dsn):
    rows = shipping.fetch(
        dsn,
        "SELECT proname FROM pg_proc WHERE proname LIKE 'pipeline\\_%%' AND ('p_node' = ANY (proargnames) OR proname LIKE '%%runs_apply_v1')"
        " AND proname NOT LIKE '%%unchecked%%' AND proname <> 'pipeline_node_check_v1'",
    )
    assert {name for (name,) in rows} == {call.split()[1].split("(")[0] for call in BOUND}


def test_a_bound_agent_says_why_it_holds(people, dsn):
    name = psycopg.conninfo.conninfo_to_dict(people[WRITER])["user"]
    shipping.execute(dsn, f"INSERT INTO pipeline_node_roles VALUES ('mine', '{name}')")
    with pytest.raises(SinkMisconfigured, match="bound to other nodes"):
        PostgresSink(people[WRITER]).open("theirs", 1)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_reading_is_read_only_bounded_and_in_its_role(people, dsn):
    for mine in (people[READER], dsn):  # dsn: the superuser of the embedded server
        connection = connect(mine, "test", statement_seconds=5)
        assert roles.look_only(connection)
        shown = connection.execute(
            "SELECT current_user, current_setting('default_transaction_read_only'), current_setting('statement_timeout'),"
            " current_setting('temp_file_limit')"
        ).fetchone()
        assert shown[:3] == (READER, "on", "5s")
        assert (shown[3] == roles.TEMPORARY_FILES) == (mine == dsn)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TEMP TABLE t AS SELECT 1; INSERT INTO pipeline_store DEFAULT VALUES")
        connection.close()


def test_who_is_no_member_keeps_his_own_rights(people):
    with connect(people[STRANGER], "test") as connection:
        assert not roles.take(connection, WRITER)
        assert not roles.look_only(connection)
        assert connection.execute("SELECT current_user = session_user").fetchone() == (True,)


def test_a_schema_without_roles_is_not_looked_at_in_one(server, empty_dsn):
    """The roles are the whole cluster's: this database has never granted them anything."""
    with connect(empty_dsn, "test") as connection:
        assert not roles.take(connection, READER)
