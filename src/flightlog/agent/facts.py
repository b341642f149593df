"""What a batch says about each run: counts, and the facts its events state.

Owns: reading run events (docs/reference/journal-format.md, section 4) into the columns of pipeline_runs, and the first, simple verdict of
an end. Leaves merging with what is stored to the store; later parts replace the verdict by one from evidence.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from .. import records
from .decode import clean

MAX_COMMAND = 16384  # characters of a command line kept in the run's row
INDEXED = ("pipeline", "parent", "origin")
_VERDICT = re.compile(r"[a-z]+(-[a-z]+){0,3}")
_NATIVE = frozenset(("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS"))
_BY_SIGNAL = {"SIGABRT": "abort", "SIGXCPU": "cpu-limit", "SIGXFSZ": "file-limit"}


class RunFacts:
    """One run in one batch. `pos` is the next position; `known` are columns that events have stated, `stage` is the last one named."""

    __slots__ = (
        "errors",
        "events",
        "first",
        "known",
        "last",
        "pipeline",
        "pos",
        "pos_from",
        "refusals",
        "run",
        "stage",
        "warnings",
        "writers",
    )

    def __init__(self, run: str, pos: int, pipeline: str) -> None:
        self.run, self.pos, self.pos_from, self.pipeline = run, pos, pos, pipeline
        self.events = self.warnings = self.errors = self.refusals = 0
        self.first = self.last = 0
        self.stage: str | None = None
        self.known: dict[str, Any] = {}
        self.writers: set[str] = set()

    @property
    def lines(self) -> int:
        """How many logs there are: every position that is no event's and was not refused."""
        return self.pos - self.pos_from - self.events - self.refusals

    def seen(self, ns: int) -> None:
        """Note when something was said."""
        if not self.first or ns < self.first:
            self.first = ns
        if ns > self.last:
            self.last = ns

    def heed(self, level: int) -> None:
        """Count a log at WARNING or above."""
        if level >= 40:
            self.errors += 1
        elif level >= 30:
            self.warnings += 1

    def refused(self, event: bool, level: int) -> None:
        """Take back a row that became a dead letter after it had been counted. Its position stays empty."""
        self.refusals += 1
        if event:
            self.events -= 1
        elif level >= 40:
            self.errors -= 1
        elif level >= 30:
            self.warnings -= 1

    def event(self, name: str, ns: int, stage: str | None, data: dict[str, Any]) -> None:
        """Take what an event says. Anything may be missing or of another kind: whoever wrote it may have been anybody."""
        self.seen(ns)
        self.events += 1
        self.pos += 1
        if name == records.RUN_STARTED:
            self._started(ns, data)
        elif name == records.RUN_ENDED:
            self._ended(ns, data)
        elif name == "run.adopted":
            self._more(**_made_of(data))
            self._resumed(data)
            adopted = data.get("pipeline")
            if isinstance(adopted, str) and adopted:
                self._more(adopted=adopted)
                if "pipeline" in self.known and not self.known.get("data", {}).get("named"):
                    self.known["pipeline"] = adopted
        elif name == "run.left":
            self._failed_with(data)
        elif name == records.STAGE_STARTED and stage:
            self.stage = stage
        elif name == records.PROGRESS:
            self._progress(stage, data)

    def row(self, node: str, now_ns: int) -> dict[str, Any]:
        """Return this run as `pipeline_runs_apply_v1` takes it."""
        started = self.known.get("started") or _moment(self.first or now_ns, now_ns)
        row: dict[str, Any] = {
            "run": self.run,
            "pipeline": self.pipeline,
            "node": node,
            "started": started,
            "last_at": _moment(self.last or now_ns, now_ns),
            "lines": self.lines,
            "warnings": self.warnings,
            "errors": self.errors,
        }
        row.update(self.known)
        if self.stage is not None:
            row["last_stage"] = self.stage
        cleaned: dict[str, Any] = clean(row)
        for (
            name
        ) in INDEXED:  # an index takes short ones only; behind escapes, which are longer than what they stand for
            if cleaned.get(name):
                cleaned[name] = records.kept_name(cleaned[name])
        return cleaned

    def bare_row(self, node: str, now_ns: int) -> dict[str, Any]:
        """Return the row with nothing in it that a store could refuse."""
        row = self.row(node, now_ns)
        for name in ("command", "data", "last_progress", "cwd", "os_user"):
            row.pop(name, None)
        return row

    def _resumed(self, data: dict[str, Any]) -> None:
        """Take which attempt of what a run is, of who knows it when the command is running only."""
        origin, attempt = _string(data.get("origin")), _integer(data.get("attempt"))
        if origin:
            self.known["origin"] = origin
            self.known["attempt"] = max(attempt or 1, self.known.get("attempt") or 1)

    def _more(self, **values: Any) -> None:
        self.known.setdefault("data", {}).update(values)

    def _started(self, ns: int, data: dict[str, Any]) -> None:
        known = self.known
        known["started"] = _moment(ns, ns)
        known["kind"] = _string(data.get("kind")) or "implicit"
        known["pipeline"] = _string(data.get("pipeline")) or self.pipeline
        command = data.get("command")
        known["command"] = command if isinstance(command, list) and len(json.dumps(command)) <= MAX_COMMAND else None
        for name in ("parent", "cwd"):
            known[name] = _string(data.get(name)) or None
        known["origin"] = known.get("origin") or _string(data.get("origin")) or None
        known["os_user"] = _string(data.get("user")) or (str(data["uid"]) if "uid" in data else None)
        known["pid"] = _integer(data.get("pid"))
        known["attempt"] = max(_integer(data.get("attempt")) or 1, known.get("attempt") or 1)
        self._more(**{key: data[key] for key in ("start", "keeper", "named") if data.get(key)}, **_made_of(data))
        adopted = known["data"].get("adopted")
        if adopted and not data.get("named"):
            known["pipeline"] = adopted

    def _ended(self, ns: int, data: dict[str, Any]) -> None:
        if "state" in self.known:
            return  # the first end stands
        known = self.known
        known["state"] = "succeeded" if data.get("status") == "ok" else "failed"
        known["ended"] = _moment(ns, ns)
        known["exit_code"], known["wait_status"] = _integer(data.get("exit_code")), _integer(data.get("wait_status"))
        known["term_signal"] = _string(data.get("term_signal")) or None
        known["verdict"], known["confidence"] = verdict(data)
        kept = (
            "captures",
            "lost",
            "rusage",
            "recorder_s",
            "cost",
            "by",
            "core",
            "exec_errno",
            "oom_kills",
            "duration_ns",
            "keeper",
            "shim",
        )
        self._more(end={key: data[key] for key in kept if data.get(key) is not None})
        self._failed_with(data)

    def _failed_with(self, data: dict[str, Any]) -> None:
        error = data.get("error")
        if isinstance(error, dict):
            self._more(error={key: error.get(key) for key in ("type", "module", "message")})
        if isinstance(data.get("rows"), dict):
            self._more(rows={key: _count(data["rows"].get(key)) for key in ("read", "written")})

    def _progress(self, stage: str | None, data: dict[str, Any]) -> None:
        done, total = _count(data.get("done")), _count(data.get("total"))
        if done is not None:
            self.known["last_progress"] = {"stage": stage or "", "done": done, "total": total}
            if "bar" in data:
                self.known["last_progress"]["bar"] = _string(data["bar"])


def verdict(data: dict[str, Any]) -> tuple[str, str]:
    """Return (verdict, confidence): the shim's, who saw the evidence, else what the end of the process alone can tell (DESIGN D7)."""
    given, certain = _string(data.get("verdict")), _string(data.get("confidence"))
    if _VERDICT.fullmatch(given) and certain in ("proven", "likely", "unknown"):
        return given, certain
    name, code = _string(data.get("term_signal")), data.get("exit_code")
    if data.get("exec_errno"):
        return "exec-failure", "proven"
    if name:
        if data.get("oom_kills"):
            return "oom-cgroup", "likely"
        if name in _NATIVE:
            return "native-crash", "likely"
        if name == "SIGKILL":
            return "unknown", "unknown"
        return _BY_SIGNAL.get(name, "stopped-outside"), "likely"
    if isinstance(data.get("error"), dict):
        return "python-exception", "proven"
    if data.get("status") == "ok":
        return "ok", "proven"
    return ("exit-status", "proven") if code else ("unknown", "unknown")


def _moment(ns: int, instead: int) -> str:
    """Return nanoseconds since the epoch as a timestamp with time zone."""
    for value in (ns, instead):
        try:
            return datetime.datetime.fromtimestamp(value / 1e9, datetime.timezone.utc).isoformat()
        except (OverflowError, ValueError, OSError):
            continue
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def _made_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return what an SDK says a run was made of, as far as it says it in the right form."""
    found = {key: _string(data.get(key)) for key in ("host", "python", "git", "deps", "traceparent")}
    kept: dict[str, Any] = {key: value for key, value in found.items() if value}
    if data.get("params"):
        kept["params"] = data["params"]
    if _integer(data.get("deps_count")):
        kept["deps_count"] = data["deps_count"]
    return kept


def _count(value: Any) -> int | float | None:
    """Return how many things were done: what JSON can carry as a number without losing digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < 1 << 53 else None  # nor infinity, nor what is no number


def _string(value: Any) -> str:
    return value[:4096] if isinstance(value, str) else ""


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31 else None
