"""What holds now, key by key, and where each value comes from: default, line of the config file, environment.

Invariants: a connection string is shown without its secrets, and as not known where a file that is not taken was to name one; of a file that is not taken, what is obeyed all the same (kill switch, rollout) is shown as
it is obeyed. Owns: this view. Leaves values to `settings`, words for them to `written`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from .. import identity, redact
from ..errors import ConfigError
from . import compiled, dsn, settings, switch, written
from .gate import NOTHING, Gate
from .keys import KEYS
from .settings import Examined, Settings

DEFAULT = "default"
SWITCH, ROLLOUT = "monitoring.enabled", "monitoring.rollout."


@dataclass(frozen=True)
class Effective:
    """One key.

    Attributes:
        key: dotted.
        value: as one would write it; secrets are masked.
        source: `default`, FILE:LINE, or the name of a variable.
        default: what holds when nothing is said.
    """

    key: str
    value: str
    source: str
    default: str


def examine(path: str | None = None) -> Examined:
    """Look at a config file, by default the one that applies here; one that FLIGHTLOG_CONFIG names and that is not there is a problem."""
    chosen = switch.find_config() if path is None else path
    found = settings.examine(chosen)
    if path is None and chosen and os.environ.get("FLIGHTLOG_CONFIG") and not os.path.exists(chosen):
        reason = f"FLIGHTLOG_CONFIG names {chosen}, which is not there"
        found.problems.insert(0, settings.Problem(chosen, 0, "", "", reason, "correct it, or unset it"))
    return found


def values(found: Examined) -> list[Effective]:
    """Return every key as it holds for what begins now, in the order of the reference."""
    taken = not found.problems
    holds = found.settings if taken else settings.load_or_default(found.path)[0]
    lines = found.lines if taken else {}
    gate = Gate(compiled.path_for(identity.control_path(found.path)), found.path)
    gate.look()
    made = []
    for key, known in KEYS.items():
        value = _of(holds, key)
        source = f"{found.path}:{lines[key]}" if key in lines else DEFAULT
        if key.startswith("database.dsn"):
            source = _environment(key) or source
            if key == "database.dsn" and source == DEFAULT and value:
                source = f"database.dsn_file of {found.path}"
            value = redact.text(str(value))
            if key == "database.dsn" and not taken and holds.database.problem:
                value, source = "not known", found.path
        elif not taken and key == SWITCH and not switch.file_enabled(found.path):
            value, source = False, found.path
        elif not taken and key.startswith(ROLLOUT) and gate.source != NOTHING:
            value, source = getattr(gate.rollout, key[len(ROLLOUT) :]), found.path
        made.append(Effective(key, known.kind.write(value), source, default(key)))
    return made


def default(key: str) -> str:
    """Return what holds for *key* when nothing is said, as one would write it."""
    return written.EMPTY if key == "database.dsn" else KEYS[key].kind.write(_of(Settings(), key))


def _of(chosen: Settings, key: str) -> Any:
    value: Any = chosen
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _environment(key: str) -> str:
    """Return the variable that *key* is taken from, or empty."""
    if key == "database.dsn":
        try:
            if dsn.from_environment():
                return dsn.DSN if os.environ.get(dsn.DSN) else dsn.DSN_FILE
        except ConfigError:
            return dsn.DSN_FILE
    return ""
