"""One batch of lines in the making, by pipeline: what the tails see in place of `batch.Gathering`.

Invariants: bounded by rows, bytes and runs; nothing is asked of anybody, so no record ever has to wait; a record that is no JSON becomes a line that
shows it, its secrets masked.
Owns: lines of a batch, and which pipeline a run belongs to. Leaves text to `text_line`, files to `file_sink`.
"""

from __future__ import annotations

import heapq
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from .. import records
from ..errors import PoisonRecord
from .facts import RunFacts
from .intake import RawOf
from .sites import Sites
from .step import Step
from .text_line import PIPELINE, TextClock, TextRows, column

MAX_RUNS = 200  # of one batch: each may be of a pipeline of its own, whose log is open until the batch is flushed
GUESSED, STARTED, ADOPTED, NAMED = range(4)  # how sure a run's pipeline is; the surer one stands


class Pipelines(dict[str, str]):
    """The pipeline of each run. *sure*: how sure that is."""

    def __init__(self) -> None:
        super().__init__()
        self.sure: dict[str, int] = {}

    def take(self, run: str, pipeline: object, sure: int) -> None:
        """Learn that *run* is one of *pipeline*, unless that is known better."""
        if isinstance(pipeline, str) and pipeline and sure > self.sure.get(run, -1):
            self[run] = pipeline[:4096]
            self.sure[run] = sure

    def forget(self, kept: set[str]) -> None:
        """Forget all runs but these."""
        for run in [run for run in self if run not in kept]:
            del self[run], self.sure[run]


class FileRun(RunFacts):
    """A run in a batch, which tells what it is called."""

    __slots__ = ("_pipelines",)

    def __init__(self, run: str, pipelines: Pipelines) -> None:
        super().__init__(run, 1, pipelines[run])
        self._pipelines = pipelines

    def event(self, name: str, ns: int, stage: str | None, data: dict[str, Any]) -> None:
        """Take what an event says about the run's pipeline."""
        self.seen(ns)
        if name == records.RUN_STARTED:
            self._pipelines.take(self.run, data.get("pipeline"), NAMED if data.get("named") else STARTED)
        elif name == "run.adopted":
            self._pipelines.take(self.run, data.get("pipeline"), ADOPTED)


class FileGathering:
    """Lines of one batch; begun anew for each.

    Args:
        node: of this agent.
        as_json: which form.
        max_rows, max_bytes: when a batch is full.
    """

    def __init__(self, node: str, as_json: bool, max_rows: int, max_bytes: int) -> None:
        self.node, self.clock, self.sites = node, TextClock(), Sites()
        self.pipelines = Pipelines()
        self.begin()
        self._as_json, self._max_rows, self._max_bytes = as_json, max_rows, max_bytes

    def begin(self) -> None:
        """Begin a batch."""
        self.runs: dict[str, FileRun] = {}
        self._texts: dict[str, dict[str, list[str]]] = {}  # by run and writer
        self.rows = self._bytes = 0
        self.clock.refresh()

    def rows_for(self, writer: str, pid: int) -> TextRows:
        """Return what makes lines of the records of *writer*; of use beyond this batch."""
        return TextRows(writer, self.node, pid, self.clock, self._as_json, self._put)

    def is_full(self) -> bool:
        """Whether it is time to write."""
        return self.rows >= self._max_rows or self._bytes >= self._max_bytes or len(self.runs) >= MAX_RUNS

    def run(self, run: str, pipeline: str) -> FileRun:
        """Return what is known of *run*; *pipeline* is a guess."""
        facts = self.runs.get(run)
        if facts is None:
            self.pipelines.take(run, pipeline or "unknown", GUESSED)
            facts = self.runs[run] = FileRun(run, self.pipelines)
        return facts

    def logs(self, lines: list[str], raw_of: RawOf, kept_bytes: int = 0) -> None:
        """Count lines, which are where they belong since they were made."""
        self.rows += len(lines)

    def event(self, line: str, raw: bytes) -> None:
        """Count an event, whether it had anything to say or not."""
        self.rows += 1

    def refuse(self, writer: str, seq: int, run: str, raw: bytes, problem: PoisonRecord) -> None:
        """Show a record that no line could be made of, which may be somebody else's; `TextRows.own` masks it."""
        shown = raw.decode("utf-8", "backslashreplace")
        self.say(writer, run, seq, records.ERROR, f"a record that is {problem.message}: {shown}")

    def account(self, step: Step, run: str) -> None:
        """Say what of a writer's part is missing: loss is never silent."""
        dropped = step.dropped - step.start.dropped
        if dropped > 0:
            text = f"{dropped} records were dropped by the pipeline: no room in the spool"
            self.say(step.writer, run, step.seq, records.WARNING, text)
        if step.corrupt:
            text = f"{step.corrupt} records are lost: their bytes in the spool are damaged (kept in quarantine)"
            self.say(step.writer, run, step.seq, records.ERROR, text)

        if step.gap:
            text = f"at least {step.gap} records are missing: they were in a segment that is in the spool no more"
            self.say(step.writer, run, step.seq, records.ERROR, text)

    def say(self, writer: str, run: str, seq: int, level: int, message: str) -> None:
        """Add a line of flightlog's own."""
        self.run(run, "")
        self.rows_for(writer, 0).own(run, self.clock.now_ns, level, message, seq)
        self.rows += 1

    def texts(self) -> dict[str, list[str]]:
        """Return the lines by pipeline: those of all writers in the order of time as far as each writer's own order allows."""
        parts: dict[str, list[list[str]]] = {}
        for run, writers in self._texts.items():
            pipeline = self.pipelines[run]
            name = quote(pipeline) if self._as_json else column(pipeline)
            for lines in writers.values():
                parts.setdefault(pipeline, []).append([text.replace(PIPELINE, name, 1) for text in lines])
        return {
            pipeline: lists[0] if len(lists) == 1 else list(heapq.merge(*lists, key=_time))
            for pipeline, lists in parts.items()
        }

    def _put(self, run: str, writer: str, text: str) -> None:
        self._texts.setdefault(run, {}).setdefault(writer, []).append(text)
        self._bytes += len(text)


def _time(text: str) -> str:
    """Return the beginning of a line up to its time: what stands before that is the same in all lines of a form."""
    return text[:42]
