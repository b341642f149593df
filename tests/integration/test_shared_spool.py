"""One spool for all users, with real accounts: an ordinary one ships everybody's, and no user gets at another one's."""

import json
import os
import stat
import subprocess
import sys

import pytest

import tlsfront
from accounts import account, as_account, needs_root
from flightlog import identity
from flightlog.agent import layout
from flightlog.agent.door import Door
from flightlog.agent.retire import retire
from flightlog.agent.shipper import Shipper
from flightlog.agent.spool import directories
from flightlog.agent.spool_scan import look
from flightlog.errors import NotFound, Refused
from flightlog.journal.capture import CaptureWriter
from flightlog.journal.writer import Writer
from flightlog.store.ingest import PostgresSink
from integration import shipping
from integration.shipping import NODE, fetch, log

pytestmark = needs_root
RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
GROUP = AGENT = "games"  # an account in no group but its own
ALICE, BOB = "daemon", "www-data"


@pytest.fixture
def shared(home, monkeypatch):
    """A home with the layout, which this process and its children use."""
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    monkeypatch.delenv("FLIGHTLOG_SPOOL", raising=False)
    layout.setup(home, GROUP)
    return home


@pytest.fixture
def reachable(server, dsn):
    """The DSN of a fresh database for processes that do not reach the server's socket."""
    with tlsfront.running("127.83.1.1", f"{server.folder}/sock") as (port, _):
        yield dsn.replace(f"host='{server.folder}/sock'", f"host=127.83.1.1 port={port}")


def record(text, umask=0o022, directory=None):
    os.umask(umask)
    writer = Writer(directory or identity.spool_dir(), lambda: {"run": RUN, "pipeline": "orders"})
    number = writer.append(log(RUN, text))
    answer = (number, writer.writer_id, writer.dropped, writer.directory)
    writer.close()
    return answer


def ship(home, dsn):
    """Ship and remove everything, as an agent does; return what it was allowed to see."""
    found = look(directories(home, ""))
    sink = PostgresSink(dsn)
    sink.open(NODE, os.getpid())
    shipper = Shipper(sink, NODE, home)
    for _ in range(20):
        shipper.ship(look(directories(home, ""), shipper.owners), True)
    retire(look(directories(home, ""), shipper.owners), shipper, True, 0.0)
    sink.close()
    return {files.directory: files.uid for files in found.values()}


def names(directory):
    """What lies in a spool directory, the room that is set aside there apart."""
    return sorted(name for name in os.listdir(directory) if not name.startswith("reserve."))


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_setup_makes_the_layout_and_may_be_repeated(shared):
    for _ in range(2):
        assert layout.setup(shared, GROUP) == []
    gid = account(GROUP)[1]
    for name, wanted in (("", 0o1775), ("spool", 0o3773), ("quarantine", 0o2770), ("control", 0o2770)):
        status = os.stat(os.path.join(shared, name))
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, gid, wanted), name
    assert layout.inspect(shared)[0] and not any(place.wrong for place in layout.inspect(shared)[1])


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o000, 0o777])
def test_a_users_files_whatever_his_umask(shared, umask):
    number, writer, _, directory = as_account(ALICE, lambda: record("x", umask))
    uid, gid = account(ALICE)[0], account(GROUP)[1]
    assert number == 1 and directory == os.path.join(shared, "spool", str(uid))
    status = os.stat(directory)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, 0o2770)
    for name in os.listdir(directory):
        status = os.stat(os.path.join(directory, name))
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, 0o640), name


def test_captures_as_well(shared):
    def capture():
        os.umask(0o077)
        identity.make_spool(identity.spool_dir())
        one = CaptureWriter(identity.spool_dir(), {"stream": "stdout", "run": RUN, "pipeline": "orders"})
        one.open()
        os.write(one.fd, b"a line\n")
        one.rotate()
        one.end()
        return one.directory

    directory = as_account(ALICE, capture)
    assert len(os.listdir(directory)) == 6
    assert {mode(os.path.join(directory, name)) for name in os.listdir(directory)} == {0o640}


def test_an_ordinary_account_in_the_group_ships_everybodys(shared, reachable, dsn):
    writers = {}
    for name in (ALICE, BOB, "root"):
        writers[name] = as_account(name, lambda: record(f"of {name}"))[1]
    seen = as_account(AGENT, lambda: ship(shared, reachable))
    assert sorted(seen.values()) == sorted(account(name)[0] for name in writers)
    assert sorted(shipping.messages(dsn)) == sorted(f"of {name}" for name in writers)
    stored = dict(fetch(dsn, "SELECT replace(writer_id::text, '-', ''), (header->>'uid')::int FROM pipeline_writers"))
    assert stored == {writer: account(name)[0] for name, writer in writers.items()}
    for uid in seen.values():
        assert names(os.path.join(shared, "spool", str(uid))) == []  # what is acknowledged it removes, too


def test_who_is_not_in_the_group_sees_his_own_only(shared):
    as_account(ALICE, lambda: record("x"))
    as_account(BOB, lambda: record("y"))

    def look_around():
        problems = []
        other = os.path.join(shared, "spool", str(account(BOB)[0]))
        for attempt in (
            lambda: os.listdir(os.path.join(shared, "spool")),
            lambda: os.listdir(other),
            lambda: os.rmdir(other),
            lambda: os.rename(other, other + ".away"),
            lambda: os.open(os.path.join(other, "x"), os.O_CREAT | os.O_WRONLY),
            lambda: os.listdir(os.path.join(shared, "quarantine")),
            lambda: os.open(os.path.join(shared, "agent.lock"), os.O_CREAT | os.O_RDWR),
        ):
            try:
                attempt()
            except PermissionError:
                problems.append(True)
        return problems, [files.uid for files in look(directories(shared, "")).values()]

    refused, seen = as_account(ALICE, look_around)
    assert refused == [True] * 7 and seen == [account(ALICE)[0]]
    name = names(os.path.join(shared, "spool", str(account(BOB)[0])))[0]
    path = os.path.join(shared, "spool", str(account(BOB)[0]), name)

    def read():
        try:
            open(path, "rb").close()
        except PermissionError:
            return "refused"

    assert as_account(ALICE, read) == "refused"


@pytest.mark.parametrize("squat", ["directory", "open directory", "link to the victim's own", "link elsewhere", "file"])
def test_a_directory_in_anothers_name_is_not_used(shared, reachable, dsn, squat):
    top = os.path.join(shared, "spool")
    victim = os.path.join(top, str(account(BOB)[0]))
    elsewhere = as_account(BOB, lambda: record("before", directory=os.path.join(top, str(account(BOB)[0]))))[3]
    os.rename(elsewhere, os.path.join(shared, "kept"))

    def make():
        os.umask(0)
        if squat == "file":
            open(victim, "w").close()
        elif squat.startswith("link"):
            os.symlink(os.path.join(shared, "kept") if "own" in squat else "/tmp", victim)
        else:
            os.mkdir(victim)
            os.chmod(victim, 0o2777 if "open" in squat else 0o700)
            shipping.segment(victim, identity.new_writer_id(), 0, [log(RUN, "secret")], run=RUN)

    as_account(ALICE, make)
    number, _, dropped, _ = as_account(BOB, lambda: record("secret"))
    assert number == 0 and list(dropped.values()) == [1]  # not accepted, and counted; nothing raised
    assert as_account(AGENT, lambda: ship(shared, reachable)) == {}
    assert "secret" not in shipping.messages(dsn) and "before" not in shipping.messages(dsn)

    (place,) = [place for place in layout.inspect(shared)[1] if place.path == victim]
    assert place.wrong
    (said,) = layout.setup(shared, GROUP)
    assert "was made by daemon in the name of www-data" in said
    assert as_account(BOB, lambda: record("after"))[0] == 1
    as_account(AGENT, lambda: ship(shared, reachable))
    assert shipping.messages(dsn) == ["after"]


def test_a_directory_swapped_for_a_link_gives_nothing_away(shared, reachable, dsn):
    """Its owner may put a link in its place; the agent, who can write to both, must not read or remove through it."""
    top = os.path.join(shared, "spool")
    mine, his = (os.path.join(top, str(account(name)[0])) for name in (ALICE, BOB))
    as_account(BOB, lambda: record("of bob"))
    before = sorted(os.listdir(his))

    def swap():
        os.symlink(his, mine)

    as_account(ALICE, swap)
    assert as_account(AGENT, lambda: list(ship(shared, reachable).values())) == [account(BOB)[0]]
    assert fetch(dsn, "SELECT header->>'uid' FROM pipeline_writers") == [(str(account(BOB)[0]),)]
    assert before and shipping.messages(dsn) == ["of bob"]


def test_removing_goes_by_the_directory_that_was_looked_at(shared, reachable, dsn):
    top = os.path.join(shared, "spool")
    mine, his = (os.path.join(top, str(account(name)[0])) for name in (ALICE, BOB))
    _, writer, _, _ = as_account(ALICE, lambda: record("x"))
    as_account(BOB, lambda: record("y"))
    sink = PostgresSink(dsn)
    sink.open(NODE, 1)
    shipper = Shipper(sink, NODE, shared)
    for _ in range(5):
        shipper.ship(look(directories(shared, "")), True)
    found = look(directories(shared, ""))
    # Between looking and removing: the same names in another one's directory, and a link to it in place of the first.
    for name in os.listdir(mine):
        with open(os.path.join(his, name), "w") as file:
            os.fchown(file.fileno(), account(BOB)[0], -1)
    os.rename(mine, mine + ".away")
    os.symlink(his, mine)
    retire({writer: found[writer]}, shipper, True, 0.0)
    assert len([name for name in os.listdir(his) if name.startswith(writer)]) == 2
    sink.close()


def test_a_writers_name_in_anothers_directory_is_not_his(shared, reachable, dsn):
    """Names of writers are seen in the store. Under one of them nothing may be added, and what is the owner's must not be lost."""
    top = os.path.join(shared, "spool")
    mine, his = (os.path.join(top, str(account(name)[0])) for name in (ALICE, BOB))
    as_account(ALICE, lambda: record("of alice"))  # her directory sorts before his
    as_account(BOB, lambda: identity.make_spool(identity.spool_dir()))
    bobs = identity.new_writer_id()
    uid = account(BOB)[0]
    path = shipping.segment(his, bobs, 0, [log(RUN, "first")], run=RUN)
    os.chown(path, uid, account(GROUP)[1])
    os.chmod(path, 0o640)
    with open(os.path.join(his, bobs + ".lock"), "w") as lock:
        import fcntl

        fcntl.lockf(lock, fcntl.LOCK_EX)  # he lives
        sink = PostgresSink(dsn)
        sink.open(NODE, 1)
        os.chown(lock.name, uid, account(GROUP)[1])
        shipper = Shipper(sink, NODE, shared)
        for _ in range(4):
            shipper.ship(look(directories(shared, ""), shipper.owners), False)
        assert "first" in shipping.messages(dsn)

        def forge():
            os.umask(0)
            shipping.segment(mine, bobs, 0, [log(RUN, "first")], run=RUN)
            shipping.segment(mine, bobs, 1, [log(RUN, "forged")], run=RUN, first_n=2)

        as_account(ALICE, forge)
        shipping.segment(his, bobs, 1, [log(RUN, "second")], run=RUN, first_n=2)
        os.chown(os.path.join(his, f"{bobs}.000001.seg"), uid, -1)
        fresh = Shipper(sink, NODE, shared)  # as after a restart: it remembers nothing
        for agent in (shipper, fresh):
            for _ in range(4):
                agent.ship(look(directories(shared, ""), agent.owners), True)
        assert sorted(shipping.messages(dsn)) == ["first", "of alice", "second"]
        assert fetch(dsn, "SELECT header->>'uid' FROM pipeline_writers WHERE writer_id = %s::uuid", bobs) == [
            (str(uid),)
        ]
        # Gone from his directory, hers is still not taken for his.
        for name in os.listdir(his):
            os.unlink(os.path.join(his, name))
        for _ in range(4):
            fresh.ship(look(directories(shared, ""), fresh.owners), True)
        assert "forged" not in shipping.messages(dsn)
        sink.close()


def test_the_uid_is_the_file_systems_not_the_records(shared, reachable, dsn):
    def lie():
        os.umask(0)
        identity.make_spool(identity.spool_dir())
        shipping.segment(identity.spool_dir(), identity.new_writer_id(), 0, [log(RUN, "I am root")], run=RUN, uid=0)

    as_account(ALICE, lie)
    as_account(AGENT, lambda: ship(shared, reachable))
    assert fetch(dsn, "SELECT header->'uid' FROM pipeline_writers") == [(account(ALICE)[0],)]


def test_a_process_that_changes_its_user_goes_on_in_that_ones_spool(shared):
    """A server that begins as root and serves as somebody else; in a child and in itself."""
    uid, gid = account(ALICE)

    def program():
        writer = Writer(identity.spool_dir(), rotate_bytes=1000)
        first = writer.append(log(RUN, "as root"))
        child = os.fork()
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        numbers = [writer.append(log(RUN, "x" * 300)) for _ in range(600)]
        if not child:
            os._exit(0 if all(numbers) else 1)
        status = os.waitpid(child, 0)[1]
        return first, all(numbers), status, writer.dropped

    assert as_account("root", program) == (1, True, 0, {})
    mine = os.path.join(shared, "spool", str(uid))
    assert len({name.split(".")[0] for name in names(mine)}) == 2
    assert len({name.split(".")[0] for name in names(os.path.join(shared, "spool", "0"))}) == 1


def test_users_find_it_by_the_systems_config(shared, monkeypatch, tmp_path):
    config = os.path.join(shared, "config.yml")
    monkeypatch.setattr(identity, "SYSTEM_CONFIG", config)
    monkeypatch.delenv("FLIGHTLOG_HOME")
    top = os.path.join(shared, "spool")
    for text in (
        f"spool:\n  path: {top}\n",
        f"monitoring:\n  enabled: true\nspool:   # shared\n  quota: 1GB\n\n  # here\n  path: '{top}/'  # all\ndatabase:\n  dsn: x\n",
        f'spool:\r\n  path: "{top}"\r\n',
    ):
        with open(config, "w", newline="") as file:
            file.write(text)
        assert identity.shared_spool() == top
        assert as_account(ALICE, lambda: record("x"))[3] == os.path.join(top, str(account(ALICE)[0]))
        assert identity.home() == shared
    for text in (
        "",
        "spool:\n  quota: 1GB\n",
        f"other:\n  path: {top}\n",
        f"spool:\nother:\n  path: {top}\n",
        f"# spool:\n#  path: {top}\n",
        "spool:\n  path: /nowhere/spool\n",
    ):
        with open(config, "w") as file:
            file.write(text)
        assert identity.shared_spool() == "", text
    # A path at which nobody has made the layout is not taken: anybody could have made it.
    plain = tmp_path / "spool"
    plain.mkdir(mode=0o777)
    with open(config, "w") as file:
        file.write(f"spool:\n  path: {plain}\n")
    assert identity.shared_spool() == ""
    with open(config, "w") as file:
        file.write(f"spool:\n  path: {top}\n")
    monkeypatch.setenv("FLIGHTLOG_HOME", str(tmp_path))
    assert identity.spool_dir() == str(tmp_path / "spool" / "0")  # what was said for this process stands above


def test_without_the_layout_it_is_private_as_before(home, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    _, _, _, directory = record("x", 0o000)
    os.umask(0o022)
    assert mode(directory) == 0o700
    assert {mode(os.path.join(directory, name)) for name in os.listdir(directory)} == {0o600}
    shared, places = layout.inspect(home)
    assert not shared and not any(place.wrong for place in places)
    os.chmod(directory, 0o755)
    assert any("mode 0755" in text for place in layout.inspect(home)[1] for text in place.wrong)


def test_what_was_there_before_is_taken_over(home, reachable, dsn, monkeypatch):
    monkeypatch.setenv("FLIGHTLOG_HOME", home)
    record("of root, before")
    layout.setup(home, GROUP)
    assert not any(place.wrong for place in layout.inspect(home)[1])
    as_account(AGENT, lambda: ship(home, reachable))
    assert shipping.messages(dsn) == ["of root, before"]


def test_root_at_the_door_does_not_lock_the_agent_out(shared):
    door = Door(shared)
    assert door.take()
    door.leave()

    def take():
        own = Door(shared)
        taken = own.take()
        own.leave()
        return taken

    assert as_account(AGENT, take)
    gid = account(GROUP)[1]
    for name in ("agent.lock", "agent.wake"):
        status = os.stat(os.path.join(shared, name))
        assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (gid, 0o660)


def test_setup_is_roots_and_says_what_it_needs(home):
    with pytest.raises(NotFound, match="no-such-group") as caught:
        layout.setup(home, "no-such-group")
    assert "groupadd" in caught.value.hint

    def attempt():
        try:
            layout.setup(home, GROUP)
        except Refused as problem:
            return problem.message

    assert "only root" in as_account(ALICE, attempt)
    os.chmod(home, 0o700)
    with pytest.raises(Refused, match="cannot pass"):
        layout.setup(os.path.join(home, "inner"), GROUP)
    os.chmod(home, 0o777)
    with pytest.raises(Refused, match="everybody can rename"):
        layout.setup(os.path.join(home, "inner"), GROUP)


def test_the_commands(home):
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLIGHTLOG_")}
    env["FLIGHTLOG_HOME"] = home

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "flightlog", "spool", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    code, _, err = run("status")
    assert code == 4 and "flightlog spool setup" in err
    code, out, err = run("setup", "--home", home, "--group", GROUP)
    assert code == 0 and f"path: {home}/spool" in out, err
    code, out, _ = run("status", "-o", "json")
    shown = json.loads(out)
    assert code == 0 and shown["shared"] and shown["directories"][0]["mode"] == "3773"
    os.mkdir(os.path.join(home, "spool", "12345"))
    code, out, err = run("status")
    assert code == 1 and "in the name of 12345" in out and "spool setup" in err
    code, _, err = run("setup", "--home", home, "--group", GROUP)
    assert code == 0 and "moved to 12345.foreign-1" in err
