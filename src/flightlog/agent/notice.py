"""What the agent has to say about itself as records: a short run of the pipeline `flightlog`, written into the spool like any other.

So it is shipped exactly once, is found by who lists runs or reads logs, and can raise an alert. Owns nothing else.
"""

from __future__ import annotations

from typing import Any

from .. import identity, records
from ..journal.encode import encode
from ..journal.writer import Writer
from ..system import os, time

PIPELINE = LOGGER = "flightlog"


def write_notice(directory: str, event: str, message: str, data: dict[str, Any]) -> None:
    """Write that *event* happened, with a warning that says so to people. Never raises."""
    run = identity.new_ulid(time.time_ns())
    writer = Writer(directory, lambda: {"run": run, "pipeline": PIPELINE, "role": "agent"})
    started = {"pipeline": PIPELINE, "kind": "attached", "attempt": 1, "pid": os.getpid(), "uid": os.geteuid()}
    warning = {
        "k": "log",
        "t": time.time_ns(),
        "lv": 30,
        "lg": LOGGER,
        "m": message,
        "r": run,
        "src": "flightlog",
        "x": data,
    }
    for record in (
        records.event(records.RUN_STARTED, run, started, now_ns=time.time_ns()),
        records.event(event, run, data, now_ns=time.time_ns()),
        warning,
        records.event(records.RUN_ENDED, run, {"status": "ok", "by": "agent"}, now_ns=time.time_ns()),
    ):
        writer.append(encode(record), 30)
    writer.close()
