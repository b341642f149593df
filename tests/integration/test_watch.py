"""A server that says nothing any more is not waited for; one that is slow is."""

import random

import psycopg
import pytest
from proxy import Proxy

from flightlog.store import watch
from flightlog.store.db import connect
from flightlog.store.ingest import PIECE_BYTES
from waiting import wait_until


@pytest.fixture
def line(dsn, monkeypatch):
    monkeypatch.setattr(watch, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    one = Proxy(dsn, random.Random(1))
    yield one
    one.close()


def test_a_held_line_is_found_dead(line):
    with connect(line.dsn, "test", watched=True) as connection:
        connection.execute("SELECT 1")
        line.hold = True
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 2")
        line.hold = False


def test_what_is_idle_is_left_alone_and_what_moves_slowly_is_waited_for(line):
    with connect(line.dsn, "test", watched=True) as connection:
        connection.execute("CREATE TEMP TABLE slow (line text)")
        looks = iter(range(60))
        wait_until(lambda: next(looks, None) is None, 10)  # idle for some looks
        assert connection.execute("SELECT 1").fetchone() == (1,)
        line.bytes_per_second = 400_000
        row = b"x" * 99 + b"\n"
        with connection.cursor().copy("COPY slow FROM STDIN") as copy:
            for _ in range(8):
                copy.write(row * (PIECE_BYTES // 100))
        line.bytes_per_second = 0
        assert connection.execute("SELECT count(*) FROM slow").fetchone() == (8 * (PIECE_BYTES // 100),)
