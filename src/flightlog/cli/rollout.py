"""`flightlog rollout`: which pipelines are monitored now, and why.

Invariants: says what pipelines on this node are told; changes and starts nothing. Owns: these commands' words and their JSON (docs/reference/cli/rollout.md).
Leaves the decision to `config.rollout`, where the rules come from to `config.gate`.
"""

from __future__ import annotations

from typing import Any

import click

from .. import identity
from ..config import compiled, switch
from ..config import rollout as rules
from ..config.gate import Gate
from ..errors import FlightlogError, UsageError
from . import output
from .complete import complete_pipelines

_OUTPUT = click.option(
    "-o", "--output", "form", type=click.Choice(["short", "json"]), default="short", help="How to print it."
)


@click.group(short_help="Which pipelines are monitored, and why.")
def rollout() -> None:
    """Which pipelines are monitored, and why: `monitoring.rollout` of the config file.

    \b
    Examples:
      flightlog rollout explain orders
      flightlog rollout status
    """


@rollout.command(short_help="Say whether a pipeline is monitored, and why.")
@click.argument("pipeline", shell_complete=complete_pipelines)
@_OUTPUT
def explain(pipeline: str, form: str) -> None:
    """Say whether PIPELINE is monitored, and why. It need not have run.

    \b
    Examples:
      flightlog rollout explain orders
      flightlog rollout explain orders -o json
    """
    if not pipeline.strip():
        raise UsageError("a pipeline has a name", "flightlog rollout explain PIPELINE")
    config, enabled, gate = _look()
    decision = rules.decide(gate.rollout, pipeline)
    monitored = enabled and decision.inside
    if form == "json":
        data = {"v": 1, **_one(pipeline, enabled, decision), **_rules(config, enabled, gate)}
        output.say(output.json_text(data))
        return
    where = config or "no config file"
    output.say(f"{output.one_line(pipeline)} is {'' if monitored else 'not '}monitored: {_why(enabled, decision)}")
    output.say(f"  bucket      {decision.bucket / 100:.2f} of 100")
    output.say(f"  percent     {_percent(gate)}")
    if not decision.pattern and decision.by in (rules.BELOW, rules.ABOVE, rules.NOT_SAID):
        output.say(f"  alone       it is in from {(decision.bucket + 1) / 100:.2f} percent on")
    output.say(f"  from        {where}{_source(gate)}")


@rollout.command(short_help="Show the rules, and the pipelines that are known.")
@_OUTPUT
def status(form: str) -> None:
    """Show the rules that hold, and which of the pipelines that the store knows are in.

    \b
    Examples:
      flightlog rollout status
      flightlog rollout status -o json
    """
    config, enabled, gate = _look()
    names = _known()
    found = None if names is None else [_one(name, enabled, rules.decide(gate.rollout, name)) for name in names]
    if form == "json":
        output.say(output.json_text({"v": 1, **_rules(config, enabled, gate), "pipelines": found}))
        return
    output.say(f"percent     {_percent(gate)}")
    output.say(f"include     {', '.join(map(output.one_line, gate.rollout.include)) or 'none'}")
    output.say(f"exclude     {', '.join(map(output.one_line, gate.rollout.exclude)) or 'none'}")
    output.say(f"from        {config or 'no config file'}{_source(gate)}")
    if not enabled:
        output.say("monitoring is switched off: no pipeline is monitored")
    if found is None:
        return
    inside = sum(one["monitored"] for one in found)
    output.say(f"pipelines   {inside} of {len(found)} that the store knows are monitored")
    rows = [["PIPELINE", "MONITORED", "BUCKET", "WHY"]]
    for name, one in zip(names or (), found):
        why = _why(enabled, rules.decide(gate.rollout, name))
        rows.append([output.brief(name), "yes" if one["monitored"] else "no", f"{one['bucket']:.2f}", why])
    if found:
        output.say("")
        output.say("\n".join(output.table(rows, {2})))


def _look() -> tuple[str, bool, Gate]:
    config = switch.find_config()
    gate = Gate(compiled.path_for(identity.control_path(config)), config)
    gate.look()
    return config, switch.file_enabled(config), gate


def _known() -> list[str] | None:
    """Return the pipelines that the store knows; None where it is not at hand, which is said. Nothing is started."""
    from .. import wiring
    from ..query import runs

    if wiring.is_asleep():
        output.note("the embedded server does not run: the pipelines it knows are not shown")
        return None
    try:
        with wiring.reading_store(ship=False) as reading:
            return sorted({run.pipeline for run in runs.latest_of_each(reading.connection)})
    except FlightlogError as problem:
        output.note(f"the pipelines that the store knows are not shown: {output.one_line(problem.message)}")
        return None


def _one(pipeline: str, enabled: bool, decision: rules.Decision) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "monitored": enabled and decision.inside,
        "by": decision.by if enabled else "switched-off",
        "pattern": decision.pattern or None,
        "bucket": decision.bucket / 100,
    }


def _rules(config: str, enabled: bool, gate: Gate) -> dict[str, Any]:
    return {
        "enabled": enabled,
        "percent": gate.rollout.percent if gate.rollout.clear else None,
        "include": list(gate.rollout.include),
        "exclude": list(gate.rollout.exclude),
        "file": config or None,
        "source": gate.source,
    }


def _percent(gate: Gate) -> str:
    return f"{gate.rollout.percent:g}" if gate.rollout.clear else "not understood: flightlog config check"


def _source(gate: Gate) -> str:
    return f" ({gate.source})" if gate.source not in ("nothing", "compiled") else ""


def _why(enabled: bool, decision: rules.Decision) -> str:
    if not enabled:
        return "monitoring is switched off (monitoring.enabled)"
    limit = decision.threshold / 100
    return {
        rules.EXCLUDED: f"{output.one_line(decision.pattern)} in monitoring.rollout.exclude",
        rules.INCLUDED: f"{output.one_line(decision.pattern)} in monitoring.rollout.include",
        rules.BELOW: f"its bucket {decision.bucket / 100:.2f} is below {limit:g} percent",
        rules.ABOVE: f"its bucket {decision.bucket / 100:.2f} is not below {limit:g} percent",
        rules.NOT_SAID: "no rollout is under way: all pipelines are",
        rules.UNCLEAR_WORD: "monitoring.rollout is not understood, and nobody is in",
    }[decision.by]
