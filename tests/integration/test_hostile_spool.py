"""What a user may put into his spool directory, under every name a file there can have: the agent neither waits, follows nor falls, and reports nothing that
is not his; what others recorded arrives.
"""

import os
import signal
import socket
import stat

import pytest

from accounts import account, needs_root
from flightlog import identity
from flightlog.agent import layout
from flightlog.agent.retire import retire
from flightlog.agent.shipper import Shipper
from flightlog.agent.spool import MAX_SEGMENT_BYTES, bytes_of, directories
from flightlog.agent.spool_scan import look
from flightlog.agent.step import MAX_QUARANTINE_BYTES, keep_damage
from flightlog.agent.upkeep import Upkeep, Wanted
from flightlog.config.quota import Amount
from flightlog.journal.liveness import lock_is_held
from integration import shipping
from integration.shipping import NODE, fetch, log, messages, sink_for, spool_of, write

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
SECRET = "not for the agent's eyes"
NAMES = [".000000.seg", ".000001.seg", ".000000.cap", ".000000.idx", ".lock", ".meta", ".end"]


def link(path, secret):
    os.symlink(secret, path)


def dangling_link(path, secret):
    os.symlink("/nowhere", path)


def link_to_a_device(path, secret):
    os.symlink("/dev/zero", path)


def link_to_itself(path, secret):
    os.symlink(os.path.basename(path), path)


def hard_link(path, secret):
    os.link(secret, path)


def fifo(path, secret):
    os.mkfifo(path)


def directory(path, secret):
    os.mkdir(path)
    with open(os.path.join(path, "x"), "w") as file:
        file.write(SECRET)


def sock(path, secret):
    with socket.socket(socket.AF_UNIX) as one:
        # A path may be too long for a socket: bound below its directory.
        before = os.getcwd()
        os.chdir(os.path.dirname(path))
        one.bind(os.path.basename(path))
        os.chdir(before)


def character_device(path, secret):
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero


def block_device(path, secret):
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 200))


def empty(path, secret):
    open(path, "w").close()


def one_byte(path, secret):
    with open(path, "wb") as file:
        file.write(b"\xa7")


def a_hole(path, secret):
    with open(path, "wb") as file:
        os.ftruncate(file.fileno(), 64 << 20)


def a_huge_hole(path, secret):
    with open(path, "wb") as file:
        os.ftruncate(file.fileno(), MAX_SEGMENT_BYTES + 1)


def somebody_elses(path, secret):
    with open(secret, "rb") as source, open(path, "wb") as file:
        file.write(source.read())
    os.chown(path, account("daemon")[0], -1)


def unreadable(path, secret):
    with open(path, "w") as file:
        file.write("his own")
    os.chmod(path, 0)


def no_json(path, secret):
    with open(path, "wb") as file:
        file.write(b"{" * 100_000)


def text_that_lies(path, secret):
    with open(path, "w") as file:
        file.write('{"run": ["x"], "pipeline": {"a": 1}, "keeper": ["a", null], "t": "now", "boot": 7, "stream": 5}')


PLANTS = [
    link, dangling_link, link_to_a_device, link_to_itself, hard_link, fifo, directory, sock, character_device, block_device, empty,
    one_byte, a_hole, a_huge_hole, somebody_elses, unreadable, no_json, text_that_lies,
]  # fmt: skip
ROOTS = (character_device, block_device, somebody_elses)
NOT_FILES = (
    link,
    dangling_link,
    link_to_a_device,
    link_to_itself,
    hard_link,
    fifo,
    directory,
    sock,
    character_device,
    block_device,
    a_huge_hole,
    somebody_elses,
)


@pytest.fixture(autouse=True)
def it_does_not_wait():
    """A blocked open or read would wait for ever."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def secret(home):
    """A segment of somebody's elsewhere, whole and valid, for whoever would follow a link to it."""
    path = os.path.join(home, "secret")
    os.mkdir(path)
    return shipping.segment(path, "ee" * 16, 0, [log(RUN, SECRET)], run=RUN)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_whatever_lies_there(dsn, home, secret, plant):
    if plant in ROOTS and os.geteuid() != 0:
        pytest.skip("only root can plant this")
    spool = spool_of(home)
    before = os.stat(secret).st_size
    planted = []
    for name in NAMES:
        writer = identity.new_writer_id() if plant is not link and plant is not hard_link else "ee" * 16
        planted.append(os.path.join(spool, writer + name))
        try:
            plant(planted[-1], secret)
        except PermissionError as problem:
            pytest.skip(f"this machine does not let one plant it: {problem}")
    good = write(spool, RUN, [f"line {n}" for n in range(50)])
    # One writer that is right but for one of its own files.
    mixed = write(spool, RUN, ["mixed"])
    plant(os.path.join(spool, mixed + ".000001.seg"), secret)
    plant(os.path.join(spool, mixed + ".lock"), secret)

    found = look([spool])
    assert good in found and mixed in found
    if plant in NOT_FILES:
        assert set(found) == {good, mixed} and found[mixed].names == [mixed + ".000000.seg"]
    shipper = Shipper(sink_for(dsn), NODE, str(home))
    for _ in range(400):
        if not shipper.ship(look([spool]), True).more:
            break
    said = messages(dsn)
    assert [text for text in said if text.startswith("line ")] == [f"line {n}" for n in range(50)]
    assert said.count("mixed") == 1
    assert sum(map(len, said)) < 1 << 20  # a hole is told, not copied
    assert not [text for text in said if SECRET in text]
    assert SECRET.encode() not in b"".join(row[0] for row in fetch(dsn, "SELECT raw FROM pipeline_dead_letters"))
    shipping.sums_are_right(dsn)

    upkeep = Upkeep(str(home), spool, "", lambda: Wanted(Amount(1 << 30, 0.0)))
    upkeep._round()
    assert bytes_of(look([spool])) < 16 << 20  # holes take nothing from the quota of others

    retire(look([spool]), shipper, True, 0.0)
    assert os.stat(secret).st_size == before
    assert not os.path.exists(os.path.join(spool, good + ".000000.seg"))
    if plant in NOT_FILES:
        assert all(os.path.lexists(path) for path in planted)
    for where, _, names in os.walk(os.path.join(home, "quarantine")):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                assert SECRET.encode() not in file.read()


@pytest.mark.parametrize(
    "plant", [fifo, directory, sock, link_to_a_device, hard_link, a_huge_hole], ids=lambda plant: plant.__name__
)
def test_the_index_of_a_capture_that_is_none_keeps_nobody_waiting(home, secret, plant):
    spool, writer = spool_of(home), "aa" * 16
    with open(os.path.join(spool, writer + ".000000.cap"), "wb") as file:
        file.write(b"captured\n")
    plant(os.path.join(spool, writer + ".000000.idx"), secret)
    upkeep = Upkeep(str(home), spool, "", lambda: Wanted(Amount(1 << 30, 0.0)))
    upkeep._round()
    assert 0 <= upkeep.status()["oldest_unshipped_s"] < 1000


@pytest.mark.parametrize("ns", [10**400, -(10**400), 2**64 - 1, -1, 0])
def test_a_time_that_no_calendar_has_does_not_end_the_look_at_what_waits(home, ns):
    spool = spool_of(home)
    shipping.segment(spool, "aa" * 16, 0, [b'{"k":"log","t":%d}' % ns], run=RUN)
    with open(os.path.join(spool, "bb" * 16 + ".000000.cap"), "wb") as file:
        file.write(b"x\n")
    with open(os.path.join(spool, "bb" * 16 + ".000000.idx"), "wb") as file:
        file.write(b"\xff" * 24)
    upkeep = Upkeep(str(home), spool, "", lambda: Wanted(Amount(1 << 30, 0.0)))
    upkeep._round()
    assert upkeep.status()["oldest_unshipped_s"] == 0.0


@pytest.mark.parametrize(
    "plant", [fifo, directory, sock, link, link_to_a_device, empty], ids=lambda plant: plant.__name__
)
def test_a_lock_that_is_none_keeps_nobody_alive(home, secret, plant):
    path = os.path.join(spool_of(home), "aa" * 16 + ".lock")
    plant(path, secret)
    assert not lock_is_held(path)


@needs_root
def test_somebody_elses_file_in_a_user_directory_is_passed_over_although_it_is_valid(dsn, home):
    spool = spool_of(home)
    writer = write(spool, RUN, [SECRET])
    os.chown(os.path.join(spool, writer + ".000000.seg"), account("daemon")[0], -1)
    shipper = Shipper(sink_for(dsn), NODE, str(home))
    shipper.ship(look([spool]), True)
    assert messages(dsn) == [] and look([spool]) == {}


@pytest.mark.parametrize("plant", [link, hard_link, fifo, somebody_elses], ids=lambda plant: plant.__name__)
def test_a_file_exchanged_after_the_look_is_not_read(dsn, home, secret, plant):
    """Between looking and opening its owner may put anything there, and he may know the writer's name that goes with it."""
    if plant in ROOTS and os.geteuid() != 0:
        pytest.skip("only root can plant this")
    spool = spool_of(home)
    path = shipping.segment(spool, "ee" * 16, 0, [log(RUN, "mine")], run=RUN)
    found = look([spool])
    os.unlink(path)
    plant(path, secret)
    shipper = Shipper(sink_for(dsn), NODE, str(home))
    for _ in range(3):
        shipper.ship(found, True)
    assert messages(dsn) == []
    assert fetch(dsn, "SELECT count(*) FROM pipeline_writers WHERE header ? 'argv0'") == [(0,)]


@pytest.mark.parametrize("name", ["\u00b2", "1\u00b9", "\u0661", "9" * 200])
def test_a_directory_whose_name_is_nearly_a_user_stops_nothing(home, name):
    """Everybody may make one in a shared spool; int() does not take every digit."""
    writer = write(spool_of(home), RUN, ["a"])
    os.mkdir(os.path.join(home, "spool", name))
    found = look([*directories(str(home)), os.path.join(home, "spool", name)])
    assert list(found) == [writer]
    layout.inspect(str(home))
    assert identity.own_spool(os.path.join(home, "spool", name)) == os.path.join(home, "spool", name)


def test_many_names_do_not_stop_the_look(home, monkeypatch):
    from flightlog.agent import spool_scan as module

    monkeypatch.setattr(module, "MAX_NAMES", 50)
    folder = spool_of(home)
    for n in range(80):
        open(os.path.join(folder, "%032x.000000.seg" % n), "w").close()
    assert len(look([folder])) == 50


def test_the_quarantine_is_private_and_bounded(home, monkeypatch):
    from flightlog.agent import step

    path = os.path.join(home, "bad")
    with open(path, "wb") as file:
        file.write(b"x" * 3000 + b"\0" * 3000)
    fd = os.open(path, os.O_RDONLY)
    folder = os.path.join(home, "quarantine")
    os.umask(0)
    try:
        keep_damage(home, fd, "w" * 32, 0, 3000, 6000)
        assert not os.path.exists(folder)  # zeros say nothing
        keep_damage(home, fd, "w" * 32, 0, 0, 1000)
    finally:
        os.umask(0o022)
    (name,) = os.listdir(folder)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600
    assert MAX_QUARANTINE_BYTES >= 64 << 20
    monkeypatch.setattr(step, "MAX_QUARANTINE_BYTES", 2500)
    keep_damage(home, fd, "w" * 32, 0, 1000, 2000)
    keep_damage(home, fd, "w" * 32, 0, 2000, 3000)
    assert len(os.listdir(folder)) == 2
    os.close(fd)


def test_the_quarantine_is_not_written_through_a_link(home):
    path = os.path.join(home, "bad")
    target = os.path.join(home, "target")
    with open(path, "wb") as file:
        file.write(b"x" * 100)
    os.mkdir(os.path.join(home, "quarantine"), 0o700)
    os.symlink(target, os.path.join(home, "quarantine", "w" * 32 + ".000000.0.bad"))
    fd = os.open(path, os.O_RDONLY)
    keep_damage(home, fd, "w" * 32, 0, 0, 100)
    os.close(fd)
    assert not os.path.exists(target)
