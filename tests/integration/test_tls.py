"""Servers on other machines prove who they are: real handshakes with certificates of our own making, and everything else refused.

The embedded build has no TLS, so a front stands before it; where the system has a PostgreSQL with TLS, that one is asked as well. A host name that is
not local stands for another machine; `hostaddr` says where it really is.
"""

import shutil

import psycopg
import pytest

import pgserver
import tlsfront
from flightlog.config.dsn import Dsn
from flightlog.errors import SinkMisconfigured, SinkUnavailable
from flightlog.store import migrate
from flightlog.store.db import connect
from flightlog.store.ingest import PostgresSink

HOST = "db.example.test"
PASSWORD = "correct horse"

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl program is not here (apt install openssl)"
)


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch, tmp_path):
    """No file of the tester's: libpq looks into the home directory."""
    for name in ("PGSSLMODE", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSSLROOTCERT", "PGHOST", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return pgserver.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory):
    return pgserver.Authority(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture(scope="module")
def real_server(authority):
    programs = pgserver.system_programs()
    if programs is None:
        pytest.skip("no PostgreSQL of the system's, with TLS, is here (apt install postgresql)")

    def prepare(server):
        key, certificate = authority.issue(HOST)
        for source, name in ((key, "server.key"), (certificate, "server.crt")):
            shutil.copy(source, f"{server.folder}/{name}")
            server.give(f"{server.folder}/{name}")
        return [
            "ssl = on",
            f"ssl_key_file = '{server.folder}/server.key'",
            f"ssl_cert_file = '{server.folder}/server.crt'",
        ]

    hba = ["hostssl all trusting all trust", "hostssl all md5er all md5", "host all all all scram-sha-256"]
    with pgserver.running(programs, prepare, hba=hba) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE scram LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
            connection.execute("CREATE ROLE trusting LOGIN SUPERUSER")
            connection.execute("SET password_encryption = md5")
            connection.execute(f"CREATE ROLE md5er LOGIN PASSWORD '{PASSWORD}'")
        yield server


@pytest.fixture(params=["front", "real"])
def place(request, authority):
    """Where a server with a certificate for HOST listens, as a piece of DSN that lets one in."""
    if request.param == "real":
        server = request.getfixturevalue("real_server")
        yield f"hostaddr={server.address} port=5432 dbname=postgres user=trusting"
    else:
        server = request.getfixturevalue("server")
        key, certificate = authority.issue(HOST)
        address = "127.81.%d.%d" % (id(authority) % 250, id(request) % 250)
        with tlsfront.running(address, f"{server.folder}/sock", key, certificate) as (port, _):
            yield f"hostaddr={address} port={port} dbname=flightlog user=flightlog"


def test_the_right_authority_passes(place, authority):
    dsn = f"host={HOST} {place} sslrootcert={authority.certificate}"
    with connect(dsn, "test") as connection:
        assert connection.pgconn.ssl_in_use
        used = {option.keyword: option.val for option in connection.pgconn.info}
        assert used[b"sslmode"] == b"verify-full" and used[b"ssl_min_protocol_version"] == b"TLSv1.2"
    assert migrate.status(dsn)  # each way in goes by the same rule


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dsn, authority, other: dsn.replace(authority, other), "certificate verify failed"),
        (lambda dsn, authority, other: dsn.replace(HOST, "another.example.test"), "does not match host name"),
        (lambda dsn, authority, other: dsn.replace(f" sslrootcert={authority}", ""), "root certificate file"),
    ],
    ids=["wrong authority", "wrong name", "no authority"],
)
def test_what_cannot_be_proven_is_refused(place, authority, other_authority, change, words):
    dsn = change(
        f"host={HOST} {place} sslrootcert={authority.certificate}", authority.certificate, other_authority.certificate
    )
    with pytest.raises(SinkMisconfigured, match=words) as caught:
        connect(dsn, "test")
    assert "sslrootcert" in caught.value.hint
    with pytest.raises(SinkMisconfigured, match=words):
        PostgresSink(dsn).open("n", 1)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_a_lesser_mode_is_refused_before_a_byte_is_sent(server, authority, mode):
    with tlsfront.running("127.82.3.4", f"{server.folder}/sock") as (port, seen):
        dsn = f"host={HOST} hostaddr=127.82.3.4 port={port} dbname=flightlog user=flightlog sslmode={mode}"
        with pytest.raises(SinkMisconfigured, match=f"sslmode={mode}") as caught:
            connect(dsn, "test")
        assert "database.tls: insecure-allowed" in caught.value.hint
        assert seen == []


def test_a_server_without_tls_is_refused(server, authority):
    with tlsfront.running("127.82.3.5", f"{server.folder}/sock") as (port, seen):
        dsn = f"host={HOST} hostaddr=127.82.3.5 port={port} dbname=flightlog user=flightlog sslrootcert={authority.certificate}"
        with pytest.raises(SinkMisconfigured, match="does not support SSL"):
            connect(dsn, "test")
        assert seen == []


def test_insecure_has_to_be_said(server):
    with tlsfront.running("127.82.3.6", f"{server.folder}/sock") as (port, _):
        text = f"host={HOST} hostaddr=127.82.3.6 port={port} dbname=flightlog user=flightlog"
        with connect(Dsn(text, insecure=True), "test") as connection:
            assert not connection.pgconn.ssl_in_use
        with connect(Dsn(text + " sslmode=prefer", insecure=True), "test") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_local_address_needs_no_proof(server):
    with tlsfront.running("127.82.3.7", f"{server.folder}/sock") as (port, _):
        with connect(f"host=127.82.3.7 port={port} dbname=flightlog user=flightlog", "test") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_password_is_bound_to_the_channel(real_server, authority):
    dsn = f"host={HOST} hostaddr={real_server.address} dbname=postgres sslrootcert={authority.certificate} password='{PASSWORD}'"
    with connect(dsn + " user=scram", "test") as connection:
        used = {option.keyword: option.val for option in connection.pgconn.info}
        assert used[b"channel_binding"] == b"require"
    for user in ("trusting", "md5er"):  # it does not prove that it knows the password
        with pytest.raises((SinkMisconfigured, SinkUnavailable), match="channel binding") as caught:
            connect(f"{dsn} user={user}", "test")
        assert "channel_binding=prefer" in caught.value.hint
    with connect(dsn + " user=trusting channel_binding=prefer", "test"):
        pass


def test_a_middle_that_has_a_certificate_gets_no_password(real_server, authority):
    """Somebody with a certificate for the name, before the right server: the proof of the password does not hold over two channels."""
    key, certificate = authority.issue(HOST)
    with tlsfront.running("127.82.3.8", real_server.folder, key, certificate) as (port, _):
        with psycopg.connect(real_server.dsn, autocommit=True) as connection:
            data = connection.execute("SHOW data_directory").fetchone()[0]
            with open(f"{data}/pg_hba.conf") as file:
                before = file.read()
            with open(f"{data}/pg_hba.conf", "w") as file:
                file.write("local all flightlog trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
            try:
                with pytest.raises(SinkMisconfigured, match="channel binding"):
                    connect(
                        f"host={HOST} hostaddr=127.82.3.8 port={port} user=scram dbname=postgres password='{PASSWORD}'"
                        f" sslrootcert={authority.certificate}",
                        "test",
                    )
            finally:
                with open(f"{data}/pg_hba.conf", "w") as file:
                    file.write(before)
                connection.execute("SELECT pg_reload_conf()")
