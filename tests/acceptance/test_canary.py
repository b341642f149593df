"""A secret put through everything a program can say, and through what it is started with, is found in no journal segment, table, page or log.

Capture segments hold raw bytes by design: they are readable by their owner only, and gone when they are acknowledged.
"""

import os
import re
import stat
import subprocess
import sys

import pytest

from acceptance import running
from flightlog import identity
from integration import shipping

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "canary_program.py")
CANARY = re.compile(rb"zq(?:-|Pem|two|slash).{0,24}")
POISON = b'not JSON: {"password": "zq-poison-canary"}'


def found_in(data):
    return sorted({match.decode() for match in CANARY.findall(data)})


def files_below(home):
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                yield path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def cli(home, dsn, *arguments, **more):
    env = running.environment(home, FLIGHTLOG_DSN=dsn, **more)
    done = subprocess.run(
        [sys.executable, "-m", "flightlog", *arguments], env=env, capture_output=True, timeout=120, cwd=home
    )
    return done.returncode, done.stdout, done.stderr


def recorded(home):
    """Run the program under the recorder, with secrets in its command line, its folder and its name."""
    folder = os.path.join(home, "token=zq-cwd-canary")
    os.mkdir(folder)
    spec = ["--pipeline", "orders token=zq-name-canary", "--", sys.executable, PROGRAM]
    more = [
        "--password",
        "zq-argv-canary",
        "--api-key=zq-argv2-canary x",
        "DB_PASSWORD=zq-argv3-canary",
        "postgres://u:zq-argv4-canary@h",
        "--customer-id",
        "zq-argv5-canary",
    ]
    env = running.environment(home, MY_SECRET="zq-env-canary", FLIGHTLOG_CONFIG=os.path.join(home, "config.yml"))
    command = [sys.executable, "-m", "flightlog", "run", *spec, *more]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 1 and b"zq-main-canary" in done.stderr  # the console is the program's own
    running.nobody_left(home)
    writer = identity.new_writer_id()
    shipping.segment(running.spool(home), writer, 0, [POISON], run=identity.new_ulid())


@pytest.mark.slow
def test_a_canary_is_found_nowhere(home, dsn):
    config = os.path.join(home, "config.yml")
    with open(config, "w") as file:
        file.write("spool:\n  keep: 0s\nlogging:\n  file:\n    enabled: true\n  redact:\n    keys: [customer_id]\n")
    recorded(home)
    captures = [path for path in files_below(home) if path.endswith(".cap")]
    assert captures and all(stat.S_IMODE(os.stat(path).st_mode) == 0o600 for path in captures)
    assert all(found_in(read(path)) for path in captures if os.path.getsize(path))  # the canary sings
    for path in files_below(home):
        if not path.endswith(".cap"):
            # our own poison apart, which stands for what somebody else wrote into the spool
            assert found_in(read(path).replace(POISON, b"")) == [], path
    _, out, err = cli(home, dsn, "journal", "cat")
    assert len(out) > 100_000 and found_in(out.replace(b"zq-poison-canary", b"")) == []
    status, out, err = cli(home, dsn, "agent", "run", "--once", FLIGHTLOG_CONFIG=config)
    assert status == 0 and found_in(out + err) == []
    text_logs = [path for path in files_below(os.path.join(home, "logs")) if path.endswith(".log")]
    assert text_logs and sum(os.path.getsize(path) for path in text_logs) > 100_000
    tables = [
        row[0]
        for row in shipping.fetch(
            dsn, "SELECT oid::regclass::text FROM pg_class WHERE relname LIKE 'pipeline_%' AND relkind IN ('r', 'p')"
        )
    ]
    assert len(tables) >= 9
    counts = {}
    for table in tables:
        rows = shipping.fetch(dsn, f"SELECT t::text FROM {table} t")
        counts[table] = len(rows)
        assert found_in("\n".join(row[0] for row in rows).encode()) == [], table
    letters = [bytes(row[0]) for row in shipping.fetch(dsn, "SELECT raw FROM pipeline_dead_letters")]
    assert letters == [b'not JSON: {"password": "[redacted]"}']
    assert counts["pipeline_logs"] > 45 and counts["pipeline_runs"] >= 2 and counts["pipeline_events"] > 8
    masked = shipping.fetch(
        dsn, "SELECT count(*) FROM pipeline_logs WHERE message LIKE '%[redacted]%' OR fields::text LIKE '%[redacted]%'"
    )
    assert masked[0][0] > 25
    for arguments in (
        ("logs", "@all"),
        ("logs", "*", "-o", "jsonl"),
        ("list",),
        ("list", "-o", "json"),
        ("status", "*"),
        ("status", "*", "-o", "json"),
        ("audit", "-o", "json"),
        ("agent", "status"),
    ):
        _, out, err = cli(home, dsn, *arguments, FLIGHTLOG_CONFIG=config)
        assert found_in(out + err) == [], arguments
    left = [path for path in files_below(home) if path.endswith((".cap", ".idx", ".meta"))]
    assert left == [], "captures are gone once they are acknowledged"
    assert [path for path in files_below(home) if found_in(read(path))] == []


@pytest.mark.parametrize(
    "bad",
    [
        "host=/nowhere password=zq-one canary zqtwocanary",
        "postgresql://u:zq-at@zqtwocanary@127.0.0.1:1/db",
        "postgresql://u:zq/slashcanary@127.0.0.1:1/db",
        "postgresql://u:zq-plain-canary@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 password=zq-plain-canary",
    ],
)
def test_no_error_repeats_a_password_of_the_database(home, bad):
    for arguments in (("agent", "run", "--once", "--timeout", "1"), ("list",), ("agent", "status"), ("db", "status")):
        status, out, err = cli(home, bad, *arguments)
        assert found_in(out + err) == [], (arguments, out, err)
        assert b"Traceback" not in err
