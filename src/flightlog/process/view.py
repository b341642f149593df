"""A kept process as people and programs see it: the fields of `flightlog ps -o json` and `get_process_status`.

Owns: their names (docs/reference/controller.md). Leaves what is true to state.json.
"""

from __future__ import annotations

import time

from .. import identity
from . import machine, rate, restart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .statedir import StateDir

PAUSED, LOST = "paused", "lost"


def view(folder: StateDir, state: dict[str, Any]) -> dict[str, Any]:
    """Return the fields; a process that was not started yet has few of them."""
    spec = folder.read("spec.json")
    policy = spec.get("policy") or {}
    process = state.get("process") or {}
    here = state.get("boot") == identity.boot_id()
    pid, start = int(process.get("pid") or 0), int(process.get("start") or 0)
    alive = here and bool(start) and identity.process_alive(pid, start)
    return {
        "v": 1,
        "name": folder.name,
        "state": _state(state, here),
        "pid": pid if alive else None,
        "run": process.get("run") or (state.get("end") or {}).get("run"),
        "daemon": bool(policy.get("daemon")),
        "recorded": bool(spec.get("recorded")),
        "command": list(spec.get("command") or ()),
        "cwd": spec.get("cwd"),
        "group": list(spec.get("group") or ()),
        "strategy": spec.get("strategy") or restart.ONE,
        "attempt": state.get("attempt", 0),
        "restarts": state.get("restarts", 0),
        "uptime_s": round(rate.boottime() - float(state.get("began") or 0), 3) if alive else None,
        "next_start_s": _next(state) if here else None,
        "verdict": (state.get("end") or {}).get("verdict"),
        "confidence": (state.get("end") or {}).get("confidence"),
        "because": list((state.get("end") or {}).get("because") or ()),
        "exit_code": (state.get("end") or {}).get("exit_code"),
        "term_signal": (state.get("end") or {}).get("term_signal"),
        "ended_at": moment((state.get("end") or {}).get("ended_at")),
        "reason": state.get("reason") or None,
        "problem": state.get("problem") or None,
        "ready": state.get("ready"),
        "status": state.get("status") or None,
        "survivors": list(state.get("survivors") or ()) if state.get("phase") == machine.STUCK else [],
        "caretaker": (state.get("caretaker") or {}).get("pid") if folder.holder() is not None else None,
        "stdout": folder.file("stdout.log"),
        "stderr": folder.file("stderr.log"),
    }


def _state(state: dict[str, Any], here: bool) -> str:
    phase = str(state.get("phase") or machine.DONE)
    if phase == machine.DONE:
        return str(state.get("outcome") or machine.STOPPED)
    if not here:
        return LOST
    if phase == machine.STUCK:
        return "stop_failed"
    if phase == machine.WAITING:
        return "backoff"
    return PAUSED if state.get("frozen") and phase in (machine.RUNNING, machine.LINGERING) else phase


def _next(state: dict[str, Any]) -> float | None:
    if state.get("phase") != machine.WAITING:
        return None
    return round(max(0.0, float(state.get("next_at") or 0) - rate.boottime()), 3)


def moment(seconds: Any) -> str | None:
    """Return seconds since the epoch as ISO 8601 in UTC, with microseconds; None for what is no number."""
    if not isinstance(seconds, (int, float)):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%06dZ" % int(seconds % 1 * 1e6)
