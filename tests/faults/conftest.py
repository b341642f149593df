"""The fault campaigns' own fixtures, and the report over all of them."""

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
