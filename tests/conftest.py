"""What every test may use: a home of its own, and a fresh database of the one server of this session.

That this file is here also puts `tests/` on the path: `from waiting import wait_until`.
"""

import os
import random
import secrets
import shutil
import signal
import sys
import tempfile

import hypothesis
import pytest

# How long an example takes is this machine's business of the moment.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "faults")]
from campaign import SEED  # noqa: E402  (here, for workers of pytest-xdist take the seed from the environment)

for _name in (
    "COLUMNS",
    "LINES",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
):  # of whoever runs the tests, or of xdist
    os.environ.pop(_name, None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # `make test &`: what is started here would ignore Ctrl-C as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT):  # and `nohup make test`
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def _home():
    """A new home: short enough for a socket's path, and passable for the account that root lends to the server."""
    path = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(path, 0o711 if os.geteuid() == 0 else 0o700)
    return path


def _end_processes_of(home):
    """Kill what a test left running in *home*, its embedded server included."""
    needle = f"FLIGHTLOG_HOME={home}\0".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                ours = needle in file.read() + b"\0"
            with open(f"/proc/{name}/cmdline", "rb") as file:
                ours = ours or os.path.join(home, "pg", "data").encode() in file.read()
            if ours:
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue


@pytest.fixture
def home():
    """A fresh FLIGHTLOG_HOME; what runs in it is killed afterwards."""
    path = _home()
    yield path
    _end_processes_of(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server():
    """The PostgreSQL of this session, without flushing to disk."""
    from flightlog.store.embedded import EmbeddedServer

    path = _home()
    one = EmbeddedServer(path)
    one.dsn = one.start(fast=True)
    yield one
    one.stop(immediate=True)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server):
    """A migrated database to copy."""
    import psycopg

    from flightlog.store.migrate import migrate

    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE template")
    migrate(server.dsn.replace("dbname=flightlog", "dbname=template"))
    return "template"


@pytest.fixture
def dsn(server, template):
    """The DSN of a fresh, migrated database."""
    import psycopg

    name = "t_" + secrets.token_hex(6)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        )  # half the work, without WAL
        yield server.dsn.replace("dbname=flightlog", f"dbname={name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def empty_dsn(server):
    """The DSN of a database without any schema; one for the whole session."""
    import psycopg

    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    return server.dsn.replace("dbname=flightlog", "dbname=empty")


ONCE = ("faults", "simulation", "mutants", "fuzz")  # long loops; `make faults` plays their victims in every interpreter


def pytest_collection_modifyitems(items):
    """Mark what `make test` leaves out: of what is tested with several parameters all but one, chosen by the campaign's seed; on the newest Python also `once`.

    `variant` are those outside of tests/unit, where each starts processes; `unit_variant` are the cheap ones.
    """
    variants = {}
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if isinstance(params.get("version"), str) or os.path.relpath(item.path, HERE).split(os.sep)[0] in ONCE:
            item.add_marker(pytest.mark.once)
        else:
            variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chooser = random.Random("%d %d" % (SEED, sys.version_info[1]))  # another one on the other Python
    for _, same in sorted(variants.items()):
        chosen = chooser.choice(same)
        for item in same:
            if item is not chosen:
                cheap = os.path.relpath(item.path, HERE).startswith("unit")
                item.add_marker(pytest.mark.unit_variant if cheap else pytest.mark.variant)
