"""`flightlog stacks`: where the processes of a run are, now, on this node or another one.

Owns: that page. Leaves finding them to `process.living`, what is seen to `process.whereabouts`, another node to its agent.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import click

from .. import identity
from ..errors import FlightlogError, NotFound, UsageError
from . import keep, output
from .choose import runs_argument

if TYPE_CHECKING:
    from ..process.living import Living


@click.command(short_help="Show where a run's processes are now.")
@runs_argument
@keep.node_option
@click.option("-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it.")
def stacks(selectors: tuple[str, ...], node: str | None, form: str) -> None:
    """Show where the processes of RUN are now: their stacks, as far as tools and rights reach, and what the kernel says of each thread.

    Nobody is stopped or slowed down for it. On this node without any database; on another one its agent looks.

    \b
    Examples:
      flightlog stacks orders
      flightlog stacks orders --node etl-3 -o json
    """
    if not selectors:
        raise UsageError("which run?", "flightlog stacks PIPELINE")
    away = node is not None and node != identity.node_name()
    documents = _elsewhere(str(node), selectors) if away else _here(selectors)
    if form == "json":
        output.say(output.json_text(documents[0] if len(documents) == 1 else {"v": 1, "runs": documents}))
        return
    for number, document in enumerate(documents):
        if number:
            output.say()
        _show(document)


def _here(selectors: tuple[str, ...]) -> list[dict[str, Any]]:
    from ..process import living, whereabouts
    from ..query.selectors import resolve

    known = living.runs()
    if not known:
        raise NotFound(
            "no run goes on on this node that you may look at", "flightlog list; as root, everybody's are seen"
        )
    return [whereabouts.look(known[run]) for run in resolve(_Living(known), selectors)]


def _elsewhere(node: str, selectors: tuple[str, ...]) -> list[dict[str, Any]]:
    """Ask the agent of *node*, run by run; which runs are meant the store says."""
    there = keep.Elsewhere(node)
    found = []
    for run in dict.fromkeys(run for selector in selectors for run in keep.runs(selector)):
        try:
            found.append(json.loads(there.ask("stacks", run=run)))
        except ValueError as problem:
            raise FlightlogError(
                f"{node} gave an answer that cannot be read", "is its agent of this version?"
            ) from problem
    return found


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
