"""The embedded server is nobody else's: no network, a socket nobody else reaches, and a map of users behind it."""

import glob
import os
import pwd
import shutil
import stat
import tempfile

import psycopg
import pytest

from accounts import as_account, needs_root
from flightlog.store import pg_programs
from flightlog.store.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def own_server():
    folder = tempfile.mkdtemp(prefix="fl-", dir="/tmp")
    os.chmod(folder, 0o711 if os.geteuid() == 0 else 0o700)
    one = EmbeddedServer(folder)
    one.dsn = one.start(fast=True)
    yield one
    one.stop(immediate=True)
    shutil.rmtree(folder, ignore_errors=True)


def inodes_of(pid):
    """Inode numbers of the sockets that a process has."""
    found = set()
    for link in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def family(pid):
    """A process and those it made."""
    found = [pid]
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        found += [int(word) for word in file.read().split()]
    return found


def test_it_listens_on_no_network(own_server):
    connection = psycopg.connect(own_server.dsn)  # so that there is a backend among them
    sockets = set().union(*(inodes_of(pid) for pid in family(own_server.pid)))
    assert sockets
    for table in ("tcp", "tcp6", "udp", "udp6", "raw"):
        if os.path.exists(f"/proc/{own_server.pid}/net/{table}"):
            with open(f"/proc/{own_server.pid}/net/{table}") as file:
                rows = [line.split() for line in file.read().splitlines()[1:]]
            assert [row for row in rows if row[9] in sockets] == [], table
    with open(f"/proc/{own_server.pid}/net/unix", errors="surrogateescape") as file:
        listening = [
            line.split()[-1]
            for line in file
            if line.split()[6] in sockets and line.split()[5] == "01" and line.split()[3] == "00010000"
        ]
    assert listening == [os.path.join(own_server.folder, "sock", ".s.PGSQL.5432")]
    connection.close()


def test_rights_of_its_files(own_server):
    account = pg_programs.account()
    for name in ("sock", "data"):
        status = os.stat(os.path.join(own_server.folder, name))
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (account.uid, 0o700)
    assert stat.S_IMODE(os.stat(os.path.join(own_server.folder, "sock", ".s.PGSQL.5432")).st_mode) == 0o700
    with open(os.path.join(own_server.data, "pg_hba.conf")) as file:
        assert file.read() == "local all flightlog peer map=flightlog\n"
    with open(os.path.join(own_server.data, "pg_ident.conf")) as file:
        users = {line.split()[1].strip('"') for line in file}
    assert users == {account.name, pwd.getpwuid(os.geteuid()).pw_name}


def try_to_connect(dsn):
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError as problem:
        return str(problem)
    return "connected"


@needs_root
def test_other_users_do_not_reach_it(own_server):
    for name in ("daemon", "www-data"):
        assert "Permission denied" in as_account(name, lambda: try_to_connect(own_server.dsn))


@needs_root
def test_who_reaches_the_socket_is_still_nobody(own_server):
    """As if somebody had opened the directory: the server asks the kernel who is there."""
    folder = os.path.join(own_server.folder, "sock")
    os.chmod(folder, 0o711)
    os.chmod(os.path.join(folder, ".s.PGSQL.5432"), 0o777)
    try:
        for user in ("flightlog", "daemon", "postgres"):
            said = as_account(
                "daemon", lambda: try_to_connect(own_server.dsn.replace("user=flightlog", f"user={user}"))
            )
            assert "Peer authentication failed" in said or "no pg_hba.conf entry" in said, said
    finally:
        os.chmod(folder, 0o700)
        os.chmod(os.path.join(folder, ".s.PGSQL.5432"), 0o700)


@needs_root
def test_a_directory_that_somebody_else_made_is_not_used(home):
    """Where the path of a home is too long for a socket, it lies in /tmp, under a name that can be guessed."""
    import zlib

    long = os.path.join(home, "x" * 90)
    account = pg_programs.account()
    name = "/tmp/flightlog-%d-%08x" % (account.uid, zlib.crc32(os.fsencode(os.path.realpath(long))))
    as_account("daemon", lambda: os.mkdir(name, 0o777))
    try:
        with pytest.raises(Exception, match="not a directory of"):
            EmbeddedServer(long).start(fast=True)
    finally:
        os.rmdir(name)
