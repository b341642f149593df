"""Where the processes of a run are at this moment: the document of `flightlog stacks -o json`, made on the node where they are.

Invariants: nobody is stopped; what is shown is redacted here, before it leaves the node; `text` is never longer than what a command's row takes,
and what was left out for that is said in it. Owns: that document (docs/reference/cli/stacks.md). Leaves finding runs to `living`, stacks to
`stacks`, the word for it to `stall`.
"""

from __future__ import annotations

import json
import os
import time

from .. import identity, redact
from ..journal import evidence
from . import stacks, stall, threads
from .view import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .living import Living

DUMP_SECONDS = 2.0
POLL_SECONDS = 0.02
MAX_SPIES = 32
MAX_TEXT = 256 << 10  # characters: what the column `result` takes (migration 0011)


def look(run: Living) -> dict[str, Any]:
    """Return what is seen of a run now, in the form of `flightlog stacks -o json`. Takes one second, at most `stacks.SPY_SECONDS`."""
    before = [thread for pid in run.processes for thread in threads.threads(pid)]
    began = time.monotonic()
    missing: list[str] = []
    taken: dict[int, list[dict[str, str]]] = {pid: [] for pid in run.processes}
    asked, fd, begin = _ask(run)
    spies: list[stacks.Spy] = []
    program = stacks.find_spy()
    for pid in run.processes:
        if pid in asked or not stacks.is_python(pid):
            continue
        refused = stacks.refusal(pid) if program else "py-spy is not installed (try: %s)" % stacks.INSTALL
        if refused:
            missing.append(refused)
        elif len(spies) < MAX_SPIES:
            spies.append(stacks.Spy(program, pid))
    deadline = time.monotonic() + DUMP_SECONDS
    dump = ""
    while not stacks.all_ended(spies) or time.monotonic() - began < 1.0 or (asked and not dump):
        time.sleep(POLL_SECONDS)
        dump = stacks.dumped(fd, begin) if asked else ""
        if time.monotonic() > deadline and stacks.all_ended(spies):
            break
    if fd >= 0:
        os.close(fd)
    for spy in spies:
        if spy.text:
            taken[spy.pid].append({"by": "py-spy", "text": redact.text(spy.text)})
        elif spy.failed:
            missing.append(redact.text(spy.failed))
    for pid in asked:
        taken[pid].append({"by": "faulthandler", "text": redact.text(dump)})
    now = [thread for pid in run.processes for thread in threads.threads(pid)]
    klass, details = stall.classify(before, now, time.monotonic() - began)
    return {
        "v": 1,
        "run": run.run,
        "short": identity.short(run.run),
        "pipeline": run.pipeline,
        "ts": moment(time.time()),
        "klass": klass,
        "details": details,
        "processes": [
            {
                "pid": pid,
                "ppid": process.ppid,
                "name": process.name.decode("utf-8", "backslashreplace"),
                "state": process.state,
                "stacks": taken[pid],
                "threads": [thread.as_json() for thread in now if thread.pid == pid],
            }
            for pid, process in run.processes.items()
        ],
        "missing": sorted(set(missing)),
    }


def _ask(run: Living) -> tuple[set[int], int, int]:
    """Ask those that offer it for their stacks; return them, the evidence's descriptor, and where their answers begin."""
    try:
        fd = os.open(evidence.path_of(run.spool, run.run), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return set(), -1, 0
    begin = stacks.size_of(fd)
    offered = stacks.offers(fd)
    return {pid for pid, process in run.processes.items() if stacks.ask(process, offered)}, fd, begin


def text(document: dict[str, Any]) -> str:
    """Return the document as text of at most MAX_TEXT characters; the processes farthest from the root are left out first."""
    whole = json.dumps(document)
    left = 0
    while len(whole) > MAX_TEXT and document["processes"]:
        kept = len(document["processes"]) // 2
        left += len(document["processes"]) - kept
        said = "%d more processes (try: flightlog stacks, on that node)" % left
        document = dict(document, processes=document["processes"][:kept], missing=[*document["missing"][:20], said])
        whole = json.dumps(document)
    return whole
