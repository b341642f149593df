"""More writers wait than descriptors are to be had: a batch of them all keeps no more open than a few hundred, wherever it goes."""

import os

import pytest

from flightlog.agent.journal_tail import JournalTail
from flightlog.agent.shipper import MAX_OPEN
from integration.shipping import messages, ship_all, shipper_for, spool_of, write
from integration.test_file_shipper import closed, files_for, said

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"
WRITERS = MAX_OPEN + 150


@pytest.fixture
def most_open(monkeypatch):
    """The number of open descriptors behind each reading of a writer."""
    counts, read = [], JournalTail.read

    def counted(tail, *arguments):
        try:
            return read(tail, *arguments)
        finally:
            counts.append(len(os.listdir("/proc/self/fd")))

    monkeypatch.setattr(JournalTail, "read", counted)
    before = len(os.listdir("/proc/self/fd"))
    return lambda: max(counts) - before


def test_into_the_database(home, dsn, most_open):
    spool = spool_of(home)
    for number in range(WRITERS):
        write(spool, RUN, [f"{number}"])
    ship_all(shipper_for(dsn, home), spool)
    assert len(messages(dsn)) == WRITERS
    assert most_open() < MAX_OPEN


def test_into_text_logs(home, tmp_path, most_open):
    spool, directory = spool_of(home), str(tmp_path)
    for number in range(WRITERS):
        write(spool, RUN, [f"{number}"])
    shipper = files_for(home, directory)
    ship_all(shipper, spool)
    assert len(said(directory)) == WRITERS
    assert most_open() < MAX_OPEN
    closed(shipper)
