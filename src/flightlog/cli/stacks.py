"""`flightlog stacks`: where the processes of a run are, now, on this node.

Owns: that page and its JSON (docs/reference/cli/stacks.md). Leaves finding them to `process.living`, stacks to `process.stacks`.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import NotFound, UsageError
from . import output
from .choose import runs_argument

if TYPE_CHECKING:
    from ..process.living import Living

DUMP_SECONDS = 2.0
POLL_SECONDS = 0.02
MAX_SPIES = 32


@click.command(short_help="Show where a run's processes are now.")
@runs_argument
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def stacks(selectors: tuple[str, ...], form: str) -> None:
    """Show where the processes of RUN are now: their stacks, as far as tools and rights reach, and what the kernel says of each thread.

    Nobody is stopped or slowed down for it. On this node only, without any database.

    \b
    Examples:
      flightlog stacks orders
      flightlog stacks orders -o json
    """
    from ..process import living
    from ..query.selectors import resolve

    if not selectors:
        raise UsageError("which run?", "flightlog stacks PIPELINE")
    known = living.runs()
    if not known:
        raise NotFound(
            "no run goes on on this node that you may look at", "flightlog list; as root, everybody's are seen"
        )
    documents = [as_json(known[run]) for run in resolve(_Living(known), selectors)]
    if form == "json":
        output.say(output.json_text(documents[0] if len(documents) == 1 else {"v": 1, "runs": documents}))
        return
    for number, document in enumerate(documents):
        if number:
            output.say()
        _show(document)


def as_json(run: Living) -> dict[str, Any]:
    """Return the contract of `-o json`."""
    from .. import identity, redact
    from ..journal import evidence
    from ..process import stacks as taking
    from ..process import stall, threads

    before = [thread for pid in run.processes for thread in threads.threads(pid)]
    began = time.monotonic()
    missing: list[str] = []
    taken: dict[int, list[dict[str, str]]] = {pid: [] for pid in run.processes}
    asked, fd, begin = _ask(run, evidence, taking)
    spies: list[taking.Spy] = []
    program = taking.find_spy()
    for pid in run.processes:
        if pid in asked or not taking.is_python(pid):
            continue
        refused = taking.refusal(pid) if program else f"py-spy is not installed (try: {taking.INSTALL})"
        if refused:
            missing.append(refused)
        elif len(spies) < MAX_SPIES:
            spies.append(taking.Spy(program, pid))
    deadline = time.monotonic() + DUMP_SECONDS
    dump = ""
    while not taking.all_ended(spies) or time.monotonic() - began < 1.0 or (asked and not dump):
        time.sleep(POLL_SECONDS)
        dump = taking.dumped(fd, begin) if asked else ""
        if time.monotonic() > deadline and taking.all_ended(spies):
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
        "ts": output.iso(datetime.datetime.now(datetime.timezone.utc)),
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


def _ask(run: Living, evidence: Any, taking: Any) -> tuple[set[int], int, int]:
    """Ask those that offer it for their stacks; return them, the evidence's descriptor, and where their answers begin."""
    try:
        fd = os.open(evidence.path_of(run.spool, run.run), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return set(), -1, 0
    begin = taking.size_of(fd)
    offered = taking.offers(fd)
    return {pid for pid, process in run.processes.items() if taking.ask(process, offered)}, fd, begin


def _show(document: dict[str, Any]) -> None:
    name = output.brief(document["pipeline"])
    output.say(f"{name} {document['short']}: {document['klass']}: {output.one_line(document['details'])}")
    for process in document["processes"]:
        head = f"process {process['pid']} {output.one_line(process['name'])}, state {process['state']}"
        output.say(f"\n{head}")
        for stack in process["stacks"]:
            output.say(f"  {stack['by']}:")
            for line in stack["text"].splitlines():
                output.say(f"    {output.one_line(line)}")
        output.say("  kernel:")
        for thread in process["threads"]:
            waits = f"waits: {thread['waits']} {thread['target']}".rstrip() if thread["waits"] else ""
            where = f"in {thread['wchan']}" if thread["wchan"] else "running" if thread["syscall"] == -1 else ""
            parts = [f"{thread['tid']} {thread['name']}", f"state {thread['state']}", waits, where]
            output.say("    " + output.one_line(", ".join(part for part in parts if part)))
    for one in document["missing"]:
        output.note(f"not seen: {output.one_line(one)}")


class _Living:
    """The runs that go on here, to choose from."""

    def __init__(self, known: dict[str, Living]) -> None:
        self._known = known

    def pipelines(self) -> list[str]:
        return list(dict.fromkeys(run.pipeline for run in self._known.values()))

    def runs_of(
        self,
        pipeline: str,
        skip: int = 0,
        limit: int | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> list[str]:
        ours = [run.run for run in self._known.values() if run.pipeline == pipeline]
        return ours[skip : None if limit is None else skip + limit]

    def failed(self, pipelines: list[str] | None) -> list[str]:
        return []

    def by_id(self, text: str, limit: int) -> list[tuple[str, str, str]]:
        return [
            (run.run, run.pipeline, "running")
            for run in self._known.values()
            if run.run.startswith(text) or (len(text) == 6 and run.run.endswith(text))
        ][:limit]
