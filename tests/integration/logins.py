"""For the tests of rights: login roles on the session's server, and what a statement meets when one of them executes it."""

import contextlib
import os
import secrets

import psycopg

WRITER, READER, MAINTENANCE, OPERATOR = (
    "flightlog_writer",
    "flightlog_reader",
    "flightlog_maintenance",
    "flightlog_operator",
)
GROUPS = (WRITER, READER, MAINTENANCE, OPERATOR)


def admit(server):
    """Let every login role in, by the socket that only we reach: the embedded server itself knows one user."""
    path = os.path.join(server.data, "pg_hba.conf")
    line = "local all all trust\n"
    with open(path, encoding="utf-8") as file:
        if line in file.read():
            return
    with open(path, "a", encoding="utf-8") as file:
        file.write(line)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
        # A new session is judged by the new rules only once the postmaster has read them.
        connection.execute("SELECT count(*) FROM pg_hba_file_rules").fetchone()


def as_user(dsn, name):
    return dsn.replace("user=flightlog", f"user={name}")


@contextlib.contextmanager
def login(dsn, *groups, attributes="", keep=False):
    """The name of a fresh login role in *groups*; gone afterwards, with what it owns, unless it is *kept*."""
    name = "u_" + secrets.token_hex(5)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN {attributes}")
        for group in groups:
            connection.execute(f"GRANT {group} TO {name}")
        try:
            yield name
        finally:
            if not keep:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", (name,)
                )
                connection.execute(f"DROP OWNED BY {name} CASCADE")
                connection.execute(f"DROP ROLE {name}")


def refused(connection, statement, values=None):
    """Whether *statement* is refused for want of rights; whatever it does is undone, and other errors are none of this."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement, values)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False
