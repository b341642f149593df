"""Ids of runs and writers where the system gives no random bytes."""

import os

from flightlog import identity


def test_ids_differ_where_the_system_gives_no_random_bytes(monkeypatch):
    def nothing(count):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "urandom", nothing)
    ids = {identity.new_writer_id() for _ in range(1000)}
    assert len(ids) == 1000 and all(len(one) == 32 for one in ids)
    runs = {identity.new_ulid() for _ in range(1000)}
    assert len(runs) == 1000 and all(map(identity.is_ulid, runs))
