"""Compiled settings: what config.yml says to processes that cannot read YAML, as JSON beside the control page (DESIGN D13).

    <home>/control/<key>.json     {"v": 1, "config": {"path", "size", "mtime_ns"}, "settings": {"logging": {...}, "metrics": {...}, "hang": {...}, "rollout": {...}}}

Invariants: 0600, replaced by rename, so that a reader sees an old or a new one, never half of one; written only from a config file that is valid, so
that a typing error does not take rules away; holds no password and no DSN. `config` says of which state of which file it was made: by that its makers
(agent, `flightlog run`) know whether there is anything to do. A reader takes what lies there: rules of a moment ago are better than none.
Broken, missing, of another version: the defaults, and `Compiled.problem` says so to whoever can tell people. Owns: the file, both sides. Leaves YAML to `settings`. Standard library only; readers never raise.
"""

from __future__ import annotations

import errno
import json
import os

from .. import identity, redact
from ..records import LEVEL_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
LOGGER = "flightlog.settings"  # of lines that say that settings do not hold
MAX_BYTES = 256 << 10
SECTIONS = frozenset(("logging", "metrics", "hang", "rollout"))
UNREADABLE = "cannot be read"


def path_for(control_path: str) -> str:
    """Return where the settings lie that belong to a control page."""
    return os.path.splitext(control_path)[0] + ".json"


def state_of(config: str) -> dict[str, Any]:
    """Return what tells one state of a config file from another; a missing one has the size -1."""
    path = identity.absolute(config) if config else ""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return {"path": path, "size": -1, "mtime_ns": 0}
    return {"path": path, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def read(path: str) -> dict[str, Any] | None:
    """Return the whole content, None when there is none that can be used."""
    return _read(path)[0]


def _read(path: str) -> tuple[dict[str, Any] | None, str]:
    """Return the content, and why there is none although a file is there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            data = os.read(fd, MAX_BYTES + 1)
        finally:
            os.close(fd)
        found = json.loads(data) if len(data) <= MAX_BYTES else None
    except FileNotFoundError:
        return None, ""
    except OSError as problem:
        return None, "%s: %s" % (UNREADABLE, problem.strerror)
    except (ValueError, RecursionError):
        return None, "is damaged"
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        return None, "is damaged"
    if found.get("v") != VERSION:
        return None, "is of another version of flightlog"
    return found, ""


def unheeded(path: str, config: str) -> str:
    """Return what is wrong when *config* says something about redaction that is not in *path* in its present state; empty when nothing is."""
    if not config:
        return ""
    found = read(path)
    if found is not None and found.get("config") == state_of(config):
        return ""
    try:
        if b"redact" not in identity.read_plain(config):
            return ""
    except (OSError, ValueError):
        return ""
    if found is not None:
        return (
            "what %s says about redaction has changed and could not be taken; the rules of before hold (try: flightlog redact --list)"
            % config
        )
    return (
        "what %s says about redaction has not been taken; the built-in rules hold (try: flightlog redact --list)"
        % config
    )


def is_current(path: str, config: str) -> bool:
    """Tell whether *path* was made of the config file in its present state, by a flightlog that hands on what this one does."""
    found = read(path)
    return found is not None and found.get("config") == state_of(config) and set(found["settings"]) >= SECTIONS


def write(path: str, state: dict[str, Any], settings: dict[str, Any]) -> None:
    """Replace the file. Raises OSError."""
    data = json.dumps({"v": VERSION, "config": state, "settings": settings}).encode("ascii")
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    temporary = "%s.%d" % (path, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, "no room for the settings", temporary)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


class Compiled:
    """The settings as one process has taken them.

    Attributes:
        loaded: whether any were taken.
        level: the lowest level that is to be recorded; 0: all.
        problem: why they, or some of them, do not hold in this process; empty when nothing is wrong.
    """

    __slots__ = ("_seen", "level", "loaded", "problem")

    def __init__(self) -> None:
        self.loaded = False
        self.level = 0
        self.problem = ""
        self._seen: tuple[object, ...] = ()

    def look(self, path: str) -> bool:
        """Take what *path* holds if it has changed since the last look; tell whether anything is different now. Never raises."""
        try:
            status = os.stat(path)
            seen = (path, status.st_ino, status.st_size, status.st_mtime_ns)  # type: tuple[object, ...]
        except (FileNotFoundError, NotADirectoryError, ValueError):
            seen = (path,)
        except OSError as problem:
            seen = (path, problem.errno)
        if seen == self._seen or not (self.loaded or len(seen) > 1):
            return False
        self._seen = seen
        found, why = _read(path)
        if found is None and self.loaded and not why:
            why = "has gone"
        # A process that has changed its user, say, goes on with what it took before.
        kept = self.loaded and why.startswith(UNREADABLE)
        instead = "those of before" if kept else "the built-in rules of redaction"
        self.problem = "the settings in %s do not hold: it %s; %s do" % (path, why, instead) if why else ""
        if found is None and (kept or not self.loaded):
            return False
        logging = (found or {}).get("settings", {}).get("logging")
        try:
            wrong = redact.configure(logging.get("redact") if isinstance(logging, dict) else logging)
        except Exception as problem:
            wrong = [ascii(problem)]
            redact.configure(None)
        if wrong:
            self.problem = "rules of redaction in %s do not hold here: %s" % (path, "; ".join(wrong))
        self.loaded = found is not None and "logging" in found["settings"]
        name = logging.get("level") if isinstance(logging, dict) else None
        self.level = LEVEL_NUMBERS.get(name, 0) if isinstance(name, str) else 0
        return True
