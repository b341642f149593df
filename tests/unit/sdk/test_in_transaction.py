"""A checkpoint in the pipeline's own transaction holds exactly when its data hold, whatever the driver."""

import os
import sqlite3
import subprocess
import sys

import pytest

from flightlog.errors import UsageError
from flightlog.sdk import transaction

SRC = os.path.join(os.path.dirname(transaction.__file__), "..", "..")
PROGRAM = """
import os, signal, sys
import flightlog
from flightlog import checkpoint
{connect}
checkpoint.create_table(connection)
die = int(sys.argv[1])
with flightlog.run("orders", resume=True) as run:
    first = checkpoint.in_transaction(connection, run, "loaded", default=0)
    for row in range(first, 10):
        cursor = connection.cursor()
        cursor.execute("INSERT INTO rows_loaded (n) VALUES (%d)" % row)
        if row == die and not row % 2: os.kill(os.getpid(), signal.SIGKILL)
        assert checkpoint.in_transaction(connection, run, "loaded", row + 1)
        if row == die: os.kill(os.getpid(), signal.SIGKILL)
        connection.commit()
"""
SQLITE = "import sqlite3\nconnection = sqlite3.connect(sys.argv[2])"
POSTGRES = "import psycopg\nconnection = psycopg.connect(sys.argv[2])"


def loaded_after_kills(home, connect, where):
    """Run the program, killed before and behind its checkpoint, and to its end."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTLOG_")}
    env.update(FLIGHTLOG_HOME=str(home), PYTHONPATH=SRC)
    codes = []
    for die in ("4", "7", "99"):
        command = [sys.executable, "-c", PROGRAM.format(connect=connect), die, where]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        codes.append(done.returncode)
        assert done.returncode in (0, -9), done.stderr
    assert codes == [-9, -9, 0]


def test_sqlite_rows_are_loaded_once(tmp_path):
    path = str(tmp_path / "rows.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows_loaded (n INTEGER)")
    loaded_after_kills(tmp_path / "home", SQLITE, path)
    rows = sqlite3.connect(path).execute("SELECT n FROM rows_loaded ORDER BY n").fetchall()
    assert [row[0] for row in rows] == list(range(10))


def test_postgresql_rows_are_loaded_once(tmp_path, dsn):
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE rows_loaded (n integer)")
        loaded_after_kills(tmp_path / "home", POSTGRES, str(dsn))
        rows = connection.execute("SELECT n FROM rows_loaded ORDER BY n").fetchall()
    assert [row[0] for row in rows] == list(range(10))


@pytest.mark.parametrize(
    ("style", "statement", "values"),
    [
        ("qmark", "a = ? AND b = ?", ("x", 1)),
        ("format", "a = %s AND b = %s", ("x", 1)),
        ("numeric", "a = :1 AND b = :2", ("x", 1)),
        ("named", "a = :v0 AND b = :v1", {"v0": "x", "v1": 1}),
        ("pyformat", "a = %(v0)s AND b = %(v1)s", {"v0": "x", "v1": 1}),
    ],
)
def test_every_paramstyle(style, statement, values):
    assert transaction._places(None, style)("a = {0} AND b = {1}", "x", 1) == (statement, values)


def test_what_cannot_be_is_said_and_not_swallowed(tmp_path, monkeypatch):
    import flightlog

    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path))
    connection = sqlite3.connect(":memory:")
    with pytest.raises(UsageError, match="not begun"):
        transaction.in_transaction(connection, flightlog.run("orders"), "k", 1)
    with pytest.raises(UsageError, match="no name"):
        transaction.create_table(connection, "rows; DROP TABLE x")
    with pytest.raises(UsageError, match="paramstyle"):
        transaction._places(object(), "")
