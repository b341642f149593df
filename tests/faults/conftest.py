"""The fault campaigns' own fixtures, and the report over all of them."""

import os
import random
import shutil
import tempfile

import pytest
from campaign import LONG, SEED
from injection import Machine
from oracle import Scene
from report import NUMBERED, Report, Tally

_report = Report()
SLICE_SECONDS = 45
# Seconds that a fault's part of `make test` takes on two cores; what is not named here takes fewer than eight.
COSTS = {
    "01": 15, "02": 20, "05": 25, "06": 12, "07": 15, "08": 10, "09": 13, "10": 19, "11": 9, "12": 10, "15": 15, "16": 20, "17": 11, "20": 10,
    "22": 12, "23": 15, "24": 30, "25": 9, "27": 10, "28": 10, "29": 15, "30": 14, "33": 20, "35": 9, "43": 11,
    "48": 99,  # its slice is a test of its own, and always played
}  # fmt: skip


def _chosen(numbers):
    """Return which faults a slice plays: some, by the seed."""
    left, chosen = SLICE_SECONDS, set()
    for number in random.Random(SEED).sample(sorted(numbers), len(numbers)):
        cost = COSTS.get(number, 8)
        if cost <= left:
            left -= cost
            chosen.add(number)
    return chosen


def pytest_collection_modifyitems(config, items):
    """Where faults were not asked for by name, play some of them; all of them: `make faults`."""
    if LONG or any("faults" in str(argument) for argument in config.invocation_params.args):
        return
    ours = {item: match[1] for item in items if "faults" in str(item.path) and (match := NUMBERED.match(item.name))}
    chosen = _chosen(set(ours.values()))
    steps = [item for item in items if "faults" in str(item.path) and item.name.startswith("test_killed")]
    for item in set(steps) - set(random.Random(SEED).sample(steps, min(2, len(steps)))):
        item.add_marker(pytest.mark.skip(reason=f"only in make faults, or with another seed than {SEED}"))
    for item, number in ours.items():
        if number not in chosen:
            item.add_marker(
                pytest.mark.skip(reason=f"only in make faults: the slice of seed {SEED} is {sorted(chosen)}")
            )


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
