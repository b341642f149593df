"""A bar that is being drawn is told of while it is, at most so often; in the end each byte is in exactly one record."""

import os

from flightlog.agent import capture_tail
from flightlog.journal.capture import CaptureWriter
from integration.shipping import fetch, messages, ship_all, shipper_for, spool_of, sums_are_right

RUN = "01M86ZYTH9FGWWWGERS15X8FFQ"


def test_a_bar_that_is_being_drawn(dsn, home, monkeypatch):
    spool = spool_of(home)
    writer = CaptureWriter(spool, {"run": RUN, "stream": "stderr", "boot": "0" * 32, "keeper": [0, 0]})
    writer.open()
    shipper = shipper_for(dsn, home)

    def written(data):
        os.write(writer.fd, data)
        writer.stamp(writer.size())
        ship_all(shipper, spool, look_alive=False)
        return messages(dsn)

    assert written(b"1%\r2%\r3%") == []  # the first look
    assert written(b"\r4%\r5%") == []  # too soon
    monkeypatch.setattr(capture_tail, "PROGRESS_SECONDS", 0.0)
    assert written(b"\r6%\r7%") == ["6%"]
    assert written(b"\r8%\r9%")[:1] == ["6%"]
    written(b"\rdone\nWARNING:etl.load:slow\n")
    writer.end()
    ship_all(shipper, spool)
    found = messages(dsn)
    assert found[0] == "6%" and found[-2:] == ["done", "WARNING:etl.load:slow"]
    assert fetch(dsn, "SELECT logger, level FROM pipeline_logs ORDER BY pos DESC LIMIT 1")[0][0] == "etl.load"
    sums_are_right(dsn)
