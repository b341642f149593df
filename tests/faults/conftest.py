"""The fault campaigns' own fixtures, and the report over all of them."""

import os
import shutil
import tempfile

import pytest
from campaign import LONG, SEED
from injection import Machine
from oracle import Scene
from report import NUMBERED, Report, Tally

_report = Report()


def pytest_report_collectionfinish():
    return f"faults: seed {SEED}{'' if LONG else ', a slice'} (FLIGHTLOG_FAULT_SEED={SEED} repeats it)"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    tally = getattr(item, "fault_tally", None)
    if call.when == "call" and tally is not None:
        report = outcome.get_result()
        report.user_properties.append(("fault", dict(vars(tally))))
        if report.failed:
            report.sections.append(("fault campaign", f"FLIGHTLOG_FAULT_SEED={SEED} repeats this"))


def pytest_runtest_logreport(report):
    _report.take(report)


def pytest_terminal_summary(terminalreporter):
    if not _report.faults:
        return
    terminalreporter.section(f"faults, seed {SEED}")
    for line in _report.summary():
        terminalreporter.write_line(line)
    path = _report.write()
    if path:
        terminalreporter.write_line(f"written to {path}")


@pytest.fixture
def tally(request):
    """What this test counts, for the report."""
    request.node.fault_tally = Tally()
    assert NUMBERED.match(request.node.name), "a test with a tally is named after its fault: test_NN_name"
    return request.node.fault_tally


@pytest.fixture
def scene(request, home, dsn, tmp_path):
    """A home, a database, a witness, and an agent once it is wanted; judged by the oracle."""
    counts = request.getfixturevalue("tally") if NUMBERED.match(request.node.name) else Tally()
    one = Scene(home, dsn, tmp_path, counts)
    yield one
    one.close()


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """What this machine can inject; what it cannot is named and not run."""
    one = Machine(str(tmp_path_factory.mktemp("injection")))
    yield one
    one.close()


@pytest.fixture
def own_server():
    """A server of its own that flushes, and may be killed, filled, or lose its memory."""
    from flightlog.store.embedded import EmbeddedServer
    from flightlog.store.migrate import migrate

    folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(folder, 0o711 if os.geteuid() == 0 else 0o700)
    server = EmbeddedServer(folder)
    server.dsn = server.start()
    migrate(server.dsn)
    yield server
    server.stop(immediate=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_scene(request, home, own_server, tmp_path):
    """A scene on a server of its own."""
    counts = request.getfixturevalue("tally") if NUMBERED.match(request.node.name) else Tally()
    one = Scene(home, own_server.dsn, tmp_path, counts)
    one.server = own_server
    yield one
    one.close()
