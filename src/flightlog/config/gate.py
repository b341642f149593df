"""Whether a process's pipeline is in the rollout, as its config file says now.

Where somebody beats on the control page (an agent), what he has compiled counts: the config file is not touched. Else the compiled settings, if they are of
the file's present state; else a scan of its text; else the compiled settings of before. What is said and understood by none of these is UNCLEAR: out.
Invariants: never raises; to be called once a second at most: two stat(2), and a read where something has changed.
Owns: which source counts. Leaves the decision to `rollout`. Standard library only.
"""

from __future__ import annotations

import os

from .. import identity
from . import compiled, switch
from .rollout import EVERYBODY, UNCLEAR, Rollout, decide, from_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMPILED, SCANNED, BEFORE, NOTHING = "compiled", "text", "compiled before", "nothing"


class Gate:
    """See the module.

    Args:
        compiled_path: where the compiled settings of this config file lie.
        config: the config file, or empty.

    Attributes:
        rollout: what holds.
        source: where it was taken from: one of the words above.
    """

    __slots__ = ("_answer", "_compiled", "_config", "_data", "_path", "_state", "rollout", "source")

    def __init__(self, compiled_path: str, config: str) -> None:
        self._path, self._config = compiled_path, config
        self.rollout, self.source = EVERYBODY, NOTHING
        self._compiled: tuple[object, ...] = ()
        self._data: dict[str, Any] | None = None
        self._state: dict[str, Any] | None = None
        self._answer: tuple[Rollout | None, str, bool] = (None, "", True)

    def look(self, owned: bool = False) -> None:
        """Find out what holds now. *owned*: somebody beats on the control page."""
        if not self._config:
            return
        try:
            self._look(owned)
        except Exception:  # nothing known is nothing said
            self.rollout, self.source = EVERYBODY, NOTHING
            self._compiled, self._state = (), None

    def admits(self, pipeline: str) -> bool:
        """Tell whether *pipeline* is monitored."""
        if self.rollout is EVERYBODY:
            return True
        rollout, name, inside = self._answer
        if rollout is not self.rollout or name != pipeline:
            inside = bool(decide(self.rollout, pipeline).inside)
            self._answer = (self.rollout, pipeline, inside)
        return inside

    def _look(self, owned: bool) -> None:
        fresh = self._read_compiled()
        said = self._compiled_rollout()
        if owned and said is not None:
            self._state = None
            if fresh or self.source != COMPILED:
                self.rollout, self.source = said, COMPILED
            return
        state = compiled.state_of(self._config)
        if state == self._state and not fresh:
            return
        self._state = state
        self.rollout, self.source = self._choose(state, said)

    def _choose(self, state: dict[str, Any], said: Rollout | None) -> tuple[Rollout, str]:
        if said is not None and self._data is not None and self._data.get("config") == state:
            return said, COMPILED
        try:
            text = identity.read_plain(self._config, compiled.MAX_BYTES * 4).decode("utf-8-sig", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return EVERYBODY, NOTHING
        except (OSError, ValueError):  # not ours to read: then for us it says nothing
            return (said, BEFORE) if said is not None else (EVERYBODY, NOTHING)
        if "rollout" not in text:
            return EVERYBODY, NOTHING
        from . import rollout_text  # needed where a rollout is under way and no agent is

        found = rollout_text.find(text)
        if found is None:
            return EVERYBODY, SCANNED
        if found.clear:
            return found, SCANNED
        return (said, BEFORE) if said is not None else (UNCLEAR, SCANNED)

    def _read_compiled(self) -> bool:
        """Read the compiled settings where they have changed; tell whether they have."""
        try:
            status = os.stat(self._path)
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)  # type: tuple[object, ...]
        except (OSError, ValueError):
            seen = (None,)
        if seen == self._compiled:
            return False
        self._compiled = seen
        self._data = compiled.read(self._path) if len(seen) > 1 else None
        return True

    def _compiled_rollout(self) -> Rollout | None:
        """Return what the compiled settings say; None where they say nothing of it: made by an older flightlog, or not there."""
        said = self._data["settings"].get("rollout") if self._data is not None else None
        if said is None:
            return None
        found = from_data(said)
        return EVERYBODY if found == EVERYBODY else found


def is_monitored(config: str, pipeline: str) -> bool:
    """Tell, for who begins something, whether the kill switch and the rollout let *pipeline* be monitored now. Never raises."""
    if not switch.file_enabled(config):
        return False
    gate = Gate(compiled.path_for(identity.control_path(config)), config)
    gate.look()
    return gate.admits(pipeline)
