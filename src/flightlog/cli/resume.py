"""`flightlog resume`: start a run's command again, which goes on with what the run has left; `--plan` says what that will be.

Owns: the plan, its JSON (docs/reference/cli/resume.md), and refusing what is stale. Leaves guards and files to `resuming`, the start to `run`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from .. import redact
from ..errors import Refused, UsageError
from . import output
from .choose import open_store
from .complete import complete_runs
from .resuming import lay_down, must_be_over, next_attempt, options

if TYPE_CHECKING:
    from ..query.checkpoints import Kept, Stage
    from ..query.runs import Run

GIT_SECONDS = 5


@dataclass
class Plan:
    """What resuming will do.

    Attributes:
        kept: what the store has.
        changed: what is different from when it was kept: (what, which, how); code, git, input; written: an input that changed while the run went on,
            most likely by itself.
        versioned: the pipeline gives its checkpoints versions, so that it judges changes of its code itself.
        unknown: why the command cannot be started from here, or empty.
    """

    kept: Kept
    changed: list[tuple[str, str, str]] = field(default_factory=list)
    versioned: bool = False
    unknown: str = ""

    @property
    def latest(self) -> Run:
        """The attempt that is gone on with."""
        return self.kept.attempts[-1]

    @property
    def stale(self) -> list[tuple[str, str, str]]:
        """The changes that somebody has to say yes to."""
        return [one for one in self.changed if one[0] == "input" or (one[0] != "written" and not self.versioned)]


@click.command(short_help="Start a run's command again; it goes on where it stopped.")
@click.argument("selector", metavar="RUN", shell_complete=complete_runs)
@click.option("--plan", "only_plan", is_flag=True, help="Say what is passed over and what runs again; start nothing.")
@click.option(
    "-y", "--yes", is_flag=True, help="Although code or inputs have changed, or RUN may still go on elsewhere."
)
@click.option(
    "-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print the plan."
)
@click.option("--utc", is_flag=True, help="Times in UTC instead of the local zone.")
@output.color_option
def resume(selector: str, only_plan: bool, yes: bool, form: str, utc: bool, color: str) -> None:
    """Start the command of RUN again, in its directory, under the recorder; it goes on with the checkpoints that RUN has left.

    \b
    Examples:
      flightlog resume orders --plan
      flightlog resume orders
      flightlog resume orders@-1 --yes
    """
    if form == "json" and not only_plan:
        raise UsageError(
            "-o json goes with --plan: a run that is resumed prints what it prints",
            "flightlog resume RUN --plan -o json",
        )
    from .. import wiring

    with open_store() as reading:
        plan = make_plan(wiring.checkpoints_of(reading.connection, selector))
    must_be_over(plan.kept, yes or only_plan)
    if only_plan:
        output.say(output.json_text(as_json(plan))) if form == "json" else _show(plan, output.Paint(color), utc)
        return
    latest = plan.latest
    if plan.unknown:
        raise Refused(plan.unknown, f"flightlog run --resume {latest.short} -- COMMAND")
    if plan.stale and not yes:
        what = "; ".join(f"{kind} {name} {how}" for kind, name, how in plan.stale)
        raise Refused(
            f"what {output.brief(latest.pipeline)} {latest.short} has left may be stale: {what}",
            f"flightlog resume {latest.short} --plan, then --yes, or run it from the beginning",
        )
    lay_down(plan.kept)
    os.chdir(latest.cwd or "/")
    from .starting import start

    start(list(latest.command or []), latest.pipeline if latest.data.get("named") else "", options(plan.kept))


def make_plan(kept: Kept) -> Plan:
    """Return what resuming *kept* on this node will do. Looks at files of this node."""
    from ..sdk import inputs

    plan = Plan(kept)
    seen: set[tuple[str, str]] = set()
    for work in kept.works:
        plan.versioned = plan.versioned or any(value.version is not None for value in work.values.values())
        for kind, then in [("code", work.code), *(("input", one) for one in work.inputs)]:
            if then is None or (kind, then["path"]) in seen:
                continue
            seen.add((kind, then["path"]))
            now = inputs.look(then["path"], inputs.MAX_SCRIPT if kind == "code" else inputs.MAX_HASHED)
            how = inputs.change(then, now)
            if kind == "input" and now is not None and _until(kept) >= now["mtime_ns"]:
                kind = "written"
            if how:
                plan.changed.append((kind, then["path"], how))
    latest = plan.latest
    commit = latest.data.get("git")
    if isinstance(commit, str) and commit:
        where = next((os.path.dirname(work.code["path"]) for work in kept.works if work.code), latest.cwd or "/")
        current = _commit(where)
        if current and not (current.startswith(commit) or commit.startswith(current)):
            plan.changed.append(("git", commit[:12], f"is now {current[:12]}"))
    plan.unknown = _unknown(latest)
    return plan


def _until(kept: Kept) -> int:
    """Return when the run was seen last, as nanoseconds since the epoch."""
    moments = [work.at for work in kept.works] + [run.ended_at for run in kept.attempts]
    return int(max((moment.timestamp() for moment in moments if moment is not None), default=0.0) * 1e9)


def _commit(directory: str) -> str:
    """Return the commit that *directory* has checked out, empty where that is not known."""
    try:
        done = subprocess.run(
            ["git", "-C", directory, "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _unknown(run: Run) -> str:
    """Return why the command of *run* cannot be started again, empty when it can."""
    name = f"{output.brief(run.pipeline)} {run.short}"
    if run.kind != "supervised":
        return f"how {name} was started is not known: it was not started by flightlog run"
    words = run.command
    if not words or not all(isinstance(word, str) for word in words):
        return f"the command of {name} is not recorded"
    if any(redact.MASK in word for word in words):
        return f"the command of {name} held a secret, which is not recorded"
    if not run.cwd or not os.path.isdir(run.cwd):
        return f"the directory of {name} is not on this node: {run.cwd or 'not recorded'}"
    return ""


def stages(plan: Plan) -> list[dict[str, Any]]:
    """Return what becomes of each stage: `passed` over, done in `part`, done `again`; with finished, total, again (None: not known)."""
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for work in plan.kept.works:
        for name, digests in work.items.items():
            counts[name] = counts.get(name, 0) + len(digests)
        totals.update(work.totals)
    known: dict[str, Stage | None] = {stage.name: stage for stage in plan.kept.stages}
    found = []
    for name in [*known, *(name for name in counts if name not in known)]:
        stage, finished = known.get(name), counts.get(name, 0)
        total = totals.get(name) or (stage.total if stage is not None else None)
        state = "again" if not finished else "passed" if total is not None and finished >= total else "part"
        left = None if total is None else max(0, total - finished)
        found.append({"stage": name, "state": state, "finished": finished, "total": total, "again": left})
    return found


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the contract of `--plan -o json`."""
    from .checkpoints import value_json

    latest = plan.latest
    return {
        "v": 1,
        "run": latest.run,
        "short": latest.short,
        "pipeline": latest.pipeline,
        "origin": plan.kept.origin,
        "attempt": next_attempt(plan.kept),
        "command": latest.command,
        "cwd": latest.cwd,
        "unknown": plan.unknown or None,
        "stages": stages(plan),
        "checkpoints": [value_json(value) for work in plan.kept.works for value in work.values.values()],
        "changed": [{"what": what, "name": name, "how": how} for what, name, how in plan.changed],
        "stale": bool(plan.stale),
        "saved_s": round(plan.kept.saved_seconds, 3),
    }


_WORDS = {"passed": "is passed over", "part": "goes on", "again": "runs again"}


def _show(plan: Plan, paint: output.Paint, utc: bool) -> None:
    latest, kept = plan.latest, plan.kept
    name = f"{output.brief(latest.pipeline)} {latest.short}"
    at = max((work.at for work in kept.works if work.at is not None), default=None)
    since = f", last checkpoint {output.clock(at, utc, date=True)}" if at else ""
    output.say(paint(f"{name}: attempt {next_attempt(kept)} would go on{since} ({output.zone_name(utc)})", "bold"))
    if not kept.works:
        output.say("  no checkpoint is recorded: everything runs again")
    rows = []
    for stage in stages(plan):
        total = f" of {stage['total']}" if stage["total"] is not None else ""
        items = f"{stage['finished']}{total} items are finished" if stage["finished"] else "no finished items are known"
        rows.append(["  stage", output.brief(stage["stage"]), _WORDS[stage["state"]], items])
    for work in kept.works:
        for value in work.values.values():
            where = f"{output.size(value.size)}, {output.clock(value.at, utc, date=True)}"
            what = "is read back" if value.text is not None else f"lies on node {work.node} only"
            rows.append(["  value", output.brief(value.key), what, where])
    for line in output.table(rows, set()) if rows else []:
        output.say(line)
    for kind, which, how in plan.changed:
        output.say(paint(f"  changed  {output.one_line(f'{kind} {which} {how}')}", "yellow"))
    if kept.works:
        output.say(f"  saved    about {output.duration(kept.saved_seconds)}")
    if plan.unknown:
        output.say(
            f"  start it by: flightlog run --resume {latest.short} -- COMMAND   ({output.one_line(plan.unknown)})"
        )
    else:
        sure = " --yes" if plan.stale else ""
        command = output.one_line(" ".join(latest.command or []))
        output.say(
            f"  start it by: flightlog resume {latest.short}{sure}   ({command} in {output.one_line(latest.cwd or '/')})"
        )
