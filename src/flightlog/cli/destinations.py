"""The destinations of the agent as `flightlog agent status` shows them: what is wanted, how it does, what waits for it.

Owns: these words and this JSON (docs/reference/cli/agent.md). What the agent says about itself counts while it runs; positions are read anyway.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from .. import identity
from . import output

if TYPE_CHECKING:
    from ..config.settings import Settings


def destinations(facts: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    """Return both destinations, the database first. *facts*: of the command."""
    from .. import wiring
    from ..agent import board

    wish = wiring.wish(settings)
    said = board.read(identity.home(), facts["pid"]) if facts["running"] else {}
    database = _one("database", wish.database, facts["running"], said.get("database", {}))
    if wish.database and (facts["store_error"] is None or not facts["running"]):
        database.update(backlog_bytes=facts["backlog_bytes"], problem=database["problem"] or facts["store_error"])
    files = _one("files", wish.files is not None, facts["running"], said.get("files", {}))
    files.update(directory=wish.directory, format=settings.logging.file.format)
    positions = wiring.file_positions(wish) if wish.files else None
    if wish.files is not None:
        files["backlog_bytes"] = wiring.file_backlog(wish)
    if positions is not None:
        files["records_from"] = _moment((positions.first_ns or positions.began_ns) / 1e9)
        files["gaps"] = [[_moment(begin / 1e9), _moment(end / 1e9)] for begin, end in positions.gaps]
    return [database, files]


def _one(name: str, enabled: bool, running: bool, said: dict[str, Any]) -> dict[str, Any]:
    state = "off" if not enabled else said.get("state", "starting") if running else "waiting"
    if enabled and state == "off":
        state = "starting"  # the agent has not heard of it yet
    return {
        "name": name,
        "enabled": enabled,
        "state": state,
        "since": _moment(said.get("since")) if enabled else None,
        "caught_up_at": _moment(said.get("caught_up_at")) if enabled else None,
        "problem": said.get("problem") if enabled else None,
        "hint": said.get("hint") if enabled else None,
        "backlog_bytes": said.get("backlog_bytes") if enabled else None,
    }


def lines(one: dict[str, Any], facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a destination in words: (name or nothing, what to say)."""
    waits = one["backlog_bytes"]
    words = [] if one["name"] == "database" else [f"{one['format']} in {one['directory']}"]
    if not one["enabled"]:
        key = "logging.database.enabled" if one["name"] == "database" else "logging.file.enabled"
        words = [f"off ({key})"]
    else:
        words.append("no agent writes" if one["state"] == "waiting" else one["state"])
        words.append("backlog unknown" if waits is None else f"{output.size(waits)} wait" if waits else "nothing waits")
        if waits and one["caught_up_at"]:
            words.append(f"last caught up {one['caught_up_at']}")
    found = [", ".join(words)]
    if one["problem"] and one["problem"] != facts["store_error"]:
        found.append(one["problem"] + (f" (try: {one['hint']})" if one["hint"] else ""))
    if one.get("records_from"):
        found.append(f"records from {one['records_from']} on")
    if one.get("gaps"):
        begin, end = one["gaps"][-1]
        found.append(f"switched off from {begin} to {end}: what left the spool in between is not in them")
    return [("" if number else one["name"], text) for number, text in enumerate(found)]


def _moment(seconds: object) -> str | None:
    if not isinstance(seconds, (int, float)):
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
