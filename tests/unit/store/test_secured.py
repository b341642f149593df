"""Which connections have to prove where they go, and what they then say to libpq."""

import pytest

from flightlog.config.dsn import Dsn
from flightlog.errors import SinkMisconfigured
from flightlog.store.db import connect, masked
from flightlog.store.tls import VERIFIED, is_local, parse, secured


@pytest.fixture(autouse=True)
def nothing_of_libpq(monkeypatch, tmp_path):
    for name in (
        "PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLMINPROTOCOLVERSION",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "dbname=x",
        "host=/run/postgresql",
        "host=@abstract",
        "host=127.0.0.1",
        "host=127.9.9.9 sslmode=disable",
        "host=::1",
        "host=localhost",
        "host=LOCALHOST.",
        "hostaddr=127.0.0.1",
        "postgresql:///x",
        "postgresql://u@localhost,127.0.0.1/x",
        "host=localhost,/run/postgresql hostaddr=127.0.0.1,",
    ],
)
def test_on_this_machine_nothing_is_added(dsn):
    assert secured(dsn) == parse(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db",
        "host=db.example.org",
        "host=10.0.0.1",
        "host=128.0.0.1",
        "host=2001:db8::1",
        "host=localhost.example.org",
        "host=127.0.0.1.example.org",
        "hostaddr=10.0.0.1",
        "host=localhost hostaddr=10.0.0.1",
        "host=/run/postgresql hostaddr=10.0.0.1",
        "host=localhost,db",
        "host=db hostaddr=127.0.0.1",
        "postgresql://u@db/x",
        "postgresql://u@localhost,db/x",
    ],
)
def test_elsewhere_proof_is_asked_for(dsn):
    found = secured(dsn)
    assert {key: found[key] for key in VERIFIED} == VERIFIED
    assert "channel_binding" not in found
    assert secured(dsn, insecure=True) == parse(dsn)
    for mode in ("disable", "allow", "prefer", "require", "verify-ca"):
        worse = dsn + ("?" if "://" in dsn else " ") + f"sslmode={mode}"
        with pytest.raises(SinkMisconfigured, match=mode):
            secured(worse)
        assert secured(worse, insecure=True)["sslmode"] == mode


def test_the_environments_host_counts(monkeypatch):
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert secured("dbname=x")["sslmode"] == "verify-full"
    assert "sslmode" not in secured("dbname=x host=/run/postgresql")
    monkeypatch.setenv("PGSSLMODE", "require")
    with pytest.raises(SinkMisconfigured, match="require"):
        secured("dbname=x")


def test_a_services_host_counts(monkeypatch, tmp_path):
    services = tmp_path / "services"
    services.write_text(
        "[away]\nhost=db.example.org\n[weak]\nhost=db.example.org\nsslmode=require\n[here]\nhost=/run/postgresql\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert secured("service=away") == {"service": "away", **VERIFIED}
    assert secured("service=here") == {"service": "here"}
    with pytest.raises(SinkMisconfigured, match="sslmode=require"):
        secured("service=weak")
    monkeypatch.setenv("PGSERVICE", "away")
    assert secured("")["sslmode"] == "verify-full"
    assert secured("service=here") == {"service": "here"}
    import os

    assert os.environ["PGSERVICE"] == "away"


def test_old_protocols_are_refused():
    for version in ("TLSv1", "TLSv1.1"):
        with pytest.raises(SinkMisconfigured, match="broken"):
            secured(f"host=db ssl_min_protocol_version={version}")
    assert secured("host=db ssl_min_protocol_version=TLSv1.3")["ssl_min_protocol_version"] == "TLSv1.3"


def test_a_password_asks_for_channel_binding(monkeypatch, tmp_path):
    assert secured("host=db password=x")["channel_binding"] == "require"
    assert secured("host=db password=x channel_binding=prefer")["channel_binding"] == "prefer"
    assert "channel_binding" not in secured("host=127.0.0.1 password=x")
    monkeypatch.setenv("PGPASSWORD", "x")
    assert secured("host=db")["channel_binding"] == "require"
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / ".pgpass").write_text("*:*:*:*:x\n")
    assert secured("host=db")["channel_binding"] == "require"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:hun ter2@host/db",
        "host=db password=hunter2 hunter2",
        "hunter2",
        "password='hunter2",
        "postgresql://user:%zzhunter2@host/db",
    ],
)
def test_what_cannot_be_parsed_is_not_repeated(dsn):
    import traceback

    with pytest.raises(SinkMisconfigured) as caught:
        secured(dsn)
    whole = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in whole + caught.value.hint + repr(caught.value) + masked(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db user=u password=hunter2 dbname=x",
        "postgresql://u:hunter2@db/x?sslpassword=hunter2",
        "service=hunter password=hunter2",
    ],
)
def test_masked(dsn):
    assert "hunter2" not in masked(dsn) and masked(dsn)
    assert "hunter2" not in repr(Dsn(dsn))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hun@ter2@db/x",
        "postgresql://u:hunter2@@db/x",
        "host=a@db",
        "host=db,u:hunter2@db",
        "host=@a@db",
    ],
)
def test_a_password_that_was_taken_apart_is_no_host(dsn):
    with pytest.raises(SinkMisconfigured, match="connection string of the database cannot be read") as caught:
        connect(dsn, "test")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn", ["host=@abs", "host=@abs,@other", "postgresql://u@%40abs/x", "postgresql:///x?host=@abs"]
)
def test_an_abstract_socket_is_a_host_and_no_piece_of_a_password(dsn):
    """That psycopg does not reach it is another matter, and said to be so."""
    assert parse(dsn)["host"].startswith("@abs") and is_local(parse(dsn)["host"])
    with pytest.raises(SinkMisconfigured, match="cannot connect to host=@abs") as caught:
        connect(dsn, "test")
    assert "host=/DIRECTORY" in caught.value.hint


def test_is_local_takes_lists():
    assert is_local("127.0.0.1,::1,localhost,/run") and not is_local("127.0.0.1,10.0.0.1")
