"""The settings as they are now: read again when the file has changed.

Invariants: a file that is broken while a process runs changes nothing; the last settings that could be read stay. Looks at the content, not at times:
an edit within one tick of the clock counts as well. Owns: noticing. Leaves meaning to `settings`.
"""

from __future__ import annotations

from .. import identity
from ..errors import ConfigError
from . import switch
from .settings import Settings, load, load_or_default


class Watch:
    """Settings that follow their file.

    Args:
        path: of the file; None: the one that applies here, looked for each time.

    Attributes:
        problem: what is wrong with the file as it is now, if anything.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._seen = self._content()
        self._settings, self.problem = load_or_default(self._seen[0])

    def look(self) -> Settings:
        """Return the settings that apply now. Never raises."""
        found = self._content()
        if found != self._seen:
            self._seen = found
            try:
                self._settings, self.problem = load(found[0]), None
            except ConfigError as problem:
                self.problem = problem
        return self._settings

    def _content(self) -> tuple[str, bytes | None]:
        path = switch.find_config() if self._path is None else self._path
        try:
            return path, identity.read_plain(path, switch.MAX_BYTES + 1)
        except OSError:
            return path, None
