"""Compiles config.yml for processes that cannot read YAML; done by the agent, while it runs, and by `flightlog run`, before it starts a command.

Invariants: a file that is not valid changes nothing but the rollout, where its text is understood (`rollout_text`); one that was compiled in its present state is
not read again. Owns: what is handed on: of `logging`, `metrics`, `hang` and `monitoring.rollout` only, so that nothing secret is. Leaves the compiled file to `compiled`, validation to `settings`.
"""

from __future__ import annotations

from typing import Any

from .. import identity, redact
from ..errors import ConfigError
from . import compiled, rollout, rollout_text, settings
from .patterns import literal_of


def refresh(config: str) -> dict[str, Any] | None:
    """Compile the config file *config* unless that was done in its present state; return what was compiled, None when nothing was to do.

    Raises ConfigError when the file is not valid, OSError when the result cannot be written.
    """
    if not config:
        return None
    path = compiled.path_for(identity.control_path(config))
    if compiled.is_current(path, config):
        return None
    state = compiled.state_of(config)  # before it is read: a change in between is found the next time
    try:
        made = handed_on(settings.load(state["path"]))
    except ConfigError:
        _refresh_rollout(state["path"], path)
        raise
    identity.make_home(identity.home())
    compiled.write(path, state, made)
    return made


def _refresh_rollout(config: str, path: str) -> None:
    """Hand on what a file that is not valid says of the rollout: who is told to keep out has to. What was compiled before stays, and stays old."""
    try:
        text = identity.read_plain(config).decode("utf-8-sig", "replace")
    except (OSError, ValueError):
        return
    before = compiled.read(path)
    said = (before or {}).get("settings", {}).get("rollout")
    found = rollout_text.find(text) or rollout.EVERYBODY
    if not found.clear:
        return
    data = rollout.to_data(found)
    if data != (said or rollout.to_data(rollout.EVERYBODY)):
        identity.make_home(identity.home())
        settings_before = dict((before or {}).get("settings", {}), rollout=data)
        compiled.write(
            path, (before or {}).get("config") or {"path": config, "size": -2, "mtime_ns": 0}, settings_before
        )


def handed_on(chosen: settings.Settings) -> dict[str, Any]:
    """Return the settings that go into the compiled file."""
    logging, rules = chosen.logging, chosen.logging.redact
    return {
        "logging": {
            "level": logging.level,
            "redact": {
                "enabled": rules.enabled,
                "keys": list(rules.keys),
                "allow": list(rules.allow),
                "patterns": [{"pattern": text, "literal": literal_of(text)} for text in rules.patterns],
            },
        },
        "metrics": {"interval": chosen.metrics.interval},
        "rollout": rollout.to_data(chosen.monitoring.rollout.rules),
        "hang": {"after": chosen.hang.after, "kill": chosen.hang.kill, "kill_after": chosen.hang.kill_after},
    }


class Rules:
    """Keeps this process, and by the compiled file all others, at what the config file says about redaction.

    Args:
        config: the config file, or empty.
    """

    def __init__(self, config: str) -> None:
        self._config = config
        self._state: dict[str, Any] | None = None
        self._taken = compiled.Compiled()

    def look(self) -> str:
        """Take what has changed since the last look; return what is wrong with the file, once for each of its states. One stat(2); never raises."""
        state = compiled.state_of(self._config)
        if state == self._state:
            return ""
        self._state = state
        said = ""
        try:
            refresh(self._config)
        except ConfigError as problem:
            said = problem.message
        except OSError as problem:  # no right to write here: then for this process alone
            said = f"the rules of {self._config} reach no other process: {problem}"
            chosen, wrong = settings.load_or_default(self._config)
            redact.configure(handed_on(chosen)["logging"]["redact"])
            if wrong is None:
                return said
        self._taken.look(compiled.path_for(identity.control_path(self._config)))
        return said or self._taken.problem
