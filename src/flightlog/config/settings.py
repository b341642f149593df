"""Settings: what config.yml says, as values to be used; docs/reference/configuration.md lists the keys.

Invariants: a wrong value names file, line, key, value, reason and remedy, and all are found in one go (`examine`); a broken file never stops a pipeline or
the agent (`load_or_default`), and never makes the agent ship to another database than the one it was to name. Owns: what is wrong
with a file. Leaves sections and defaults to `sections`, keys to `keys`, single values to `values`, YAML to `reader`, the kill switch to `switch`, where connection strings come from to `dsn`.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import identity
from ..errors import ConfigError
from . import dsn, switch, values
from .keys import KEYS
from .sections import SECTIONS, Database, Redact, Settings

if TYPE_CHECKING:
    from .reader import Twice, Value

__all__ = ["Database", "Examined", "Problem", "Redact", "Settings", "examine", "load", "load_or_default"]


class Problem(NamedTuple):
    """What is wrong, or should be mended.

    Attributes:
        path: the file.
        line: counted from 1; 0 where none can be named.
        key: dotted, or empty.
        value: as it stands there, for people; empty where it is not to be shown.
        reason: `is no whole number`.
        remedy: what to do.
    """

    path: str
    line: int
    key: str
    value: str
    reason: str
    remedy: str

    @property
    def message(self) -> str:
        """The whole in one sentence, without the remedy."""
        if not self.line:
            return self.reason
        value = f" = {self.value}" if self.value else ""
        return (
            f"{self.path}:{self.line}: {self.key}{value} {self.reason}"
            if self.key
            else f"{self.path}:{self.line}: {self.reason}"
        )


@dataclass
class Examined:
    """A config file as it was found.

    Attributes:
        path: of the file; empty: there is none.
        settings: what would hold if nothing were wrong: wrong values are passed over.
        problems: because of which the file is not taken.
        warnings: what is usable and should be mended.
        lines: where each key stands that counts.
    """

    path: str
    settings: Settings
    problems: list[Problem]
    warnings: list[Problem]
    lines: dict[str, int]


def load(path: str | None = None) -> Settings:
    """Return the settings of *path*, by default of the config file that applies here (`switch.find_config`).

    Raises ConfigError for the first thing that is wrong; its hint says how many others there are.
    """
    found = examine(_found() if path is None else path)
    if found.problems:
        first, more = found.problems[0], len(found.problems) - 1
        others = f"; {more} more: flightlog config check" if more else ""
        raise ConfigError(first.message, first.remedy + others)
    return found.settings


def examine(path: str) -> Examined:
    """Look at all of a config file. Raises nothing for what is wrong with it. Bounded work, whatever it holds."""
    twice: list[Twice] = []
    return _Examination(path, _read(path, twice) if path else {}).result(twice)


class _Examination:
    """The steps of `examine`."""

    def __init__(self, path: str, lines: dict[str, Value] | ConfigError) -> None:
        self._path = path
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._chosen: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self._lines: dict[str, int] = {}
        if isinstance(lines, ConfigError):
            self._problems.append(_of_error(path, lines))
            lines = {}
        for key, item in lines.items():
            self._take(key, item)

    def _take(self, key: str, item: Value) -> None:
        if key.partition(".")[0] not in SECTIONS:  # somebody else's: one config.yml serves many programs
            near = difflib.get_close_matches(key.lower(), [name for name in SECTIONS if "." not in name], 1, 0.8)
            if near:
                reason = "is no block of flightlog's: it is left alone"
                self._warn(key, item, reason, f"did you mean {near[0]}?")
            return
        if key == "monitoring" and isinstance(item.value, (bool, int, str)):
            with contextlib.suppress(ValueError):  # `monitoring: false`
                self._chosen["monitoring"]["enabled"] = values.truth(item.value)
                self._lines["monitoring.enabled"] = item.line
                return
        if key in SECTIONS:
            if item.value not in ({}, None):
                self._wrong(key, item, "is a section", f"write its keys below `{key.rpartition('.')[2]}:`")
            return
        known = KEYS.get(key)
        if known is None:
            self._wrong(key, item, "is no setting", _did_you_mean(key))
            return
        section, _, name = key.rpartition(".")
        try:
            if item.value == {}:
                raise ValueError("is a block of its own")
            if isinstance(item.value, (list, tuple, set)) and not known.kind.name.startswith("list"):
                raise ValueError("is a list")  # which may be larger than it looks: aliases
            self._chosen[section][name] = known.kind.check(item.value)
            self._lines[key] = item.line
        except values.WrongItem as problem:
            at = (item.items or (item.line,))[min(problem.index, len(item.items) - 1)]
            self._wrong(key, item._replace(value=problem.item, line=at), str(problem), _wanted(key))
        except (ValueError, OverflowError) as problem:
            self._wrong(key, item, str(problem), _wanted(key))

    def result(self, twice: list[Twice]) -> Examined:
        path = self._path
        for key, first, line in twice:
            if key.partition(".")[0] in SECTIONS:
                reason = f"stands in line {first} already: this one counts"
                self._warnings.append(Problem(path, line, key, "", reason, "keep one of them"))
        obeyed = switch.file_enabled(path)
        if not obeyed:
            self._chosen["monitoring"]["enabled"] = False
        database = self._database(self._chosen.pop("database"))
        if obeyed and not self._chosen["monitoring"].get("enabled", True):
            reason = f"{path}: monitoring is switched off in a way that nobody obeys, by an alias or a `?`"
            self._warnings.append(
                Problem(path, 0, "monitoring.enabled", "", reason, "write `enabled: false` below `monitoring:`")
            )
        made: dict[str, Any] = {}
        for section, make in SECTIONS.items():  # those inside others come first
            if section in self._chosen:
                outer, _, name = section.rpartition(".")
                (self._chosen[outer] if outer else made)[name] = make(**self._chosen[section])
        warnings = tuple(f"{one.message} (try: {one.remedy})" for one in self._warnings)
        settings = Settings(database=database, warnings=warnings, **made)
        return Examined(path, settings, self._problems, self._warnings, self._lines)

    def _database(self, given: dict[str, Any]) -> Database:
        """Return the section with the connection string that applies."""
        path = self._path
        inline, named_file = given.pop("dsn", ""), given.get("dsn_file", "")
        text = ""
        try:
            text = dsn.from_environment()
            if not text and inline and named_file:
                raise ConfigError(f"{path}: database.dsn and database.dsn_file are both given", "keep one of them")
            if not text and named_file:
                text = dsn.read_file(os.path.join(os.path.dirname(path), named_file), "database.dsn_file")
        except ConfigError as problem:
            self._problems.append(Problem(path, 0, "", "", problem.message, problem.hint))
        if inline and dsn.has_password(inline):
            who = dsn.seen_by(os.stat(path))
            if who:
                remedy = f"chmod 640 {path}, or move the connection string to a file of its own: database.dsn_file"
                reason = f"{path} holds a password and can be read by {who}"
                self._warnings.append(Problem(path, 0, "database.dsn", "", reason, remedy))
        given["dsn"] = dsn.Dsn(text or inline, given.get("tls") == "insecure-allowed")
        return Database(**given)

    def _wrong(self, key: str, item: Value, reason: str, remedy: str) -> None:
        self._problems.append(Problem(self._path, item.line, key, _shown(key, item.value), reason, remedy))

    def _warn(self, key: str, item: Value, reason: str, remedy: str) -> None:
        self._warnings.append(Problem(self._path, item.line, key, "", reason, remedy))


def _found() -> str:
    """Return the config file that applies here. Raises ConfigError when the one that FLIGHTLOG_CONFIG names is not there."""
    path = switch.find_config()
    if _is_missing(path):
        raise ConfigError(f"FLIGHTLOG_CONFIG names {path}, which is not there", "correct it, or unset it")
    return path


def _is_missing(path: str) -> bool:
    return bool(path) and bool(os.environ.get("FLIGHTLOG_CONFIG")) and not os.path.exists(path)


def load_or_default(path: str | None = None) -> tuple[Settings, ConfigError | None]:
    """Return the settings and what is wrong with them; then the defaults, with the database of the environment.

    Where a database was to be named in what cannot be read, none is known, and `Database.problem` says so.
    """
    try:
        return load(path), None
    except ConfigError as problem:
        try:
            named = dsn.from_environment()
        except ConfigError as other:
            return Settings(database=Database(problem=other.message)), other
        if named:
            return Settings(database=Database(dsn.Dsn(named))), problem
        path = switch.find_config() if path is None else path
        meant = _is_missing(path) or _names_a_database(path)
        return Settings(database=Database(problem=problem.message if meant else "")), problem


def _names_a_database(path: str) -> bool:
    """Tell whether a file that is no config file was to name a database."""
    try:
        text = identity.read_plain(path, switch.MAX_BYTES + 1)
        return len(text) > switch.MAX_BYTES or re.search(rb"\bdsn(_file)?[\"']?[ \t]*:", text) is not None
    except (OSError, ValueError):
        return os.path.exists(path)


def _read(path: str, twice: list[Twice]) -> dict[str, Value] | ConfigError:
    from .reader import read  # YAML is loaded only where there is a file

    try:
        return read(path, [name for name in SECTIONS if "." not in name], twice)
    except ConfigError as problem:
        return problem


_REPR = reprlib.Repr()  # an alias can make a small file large
_REPR.maxlevel, _REPR.maxlist, _REPR.maxstring, _REPR.maxother = 2, 4, 100, 100


def _of_error(path: str, problem: ConfigError) -> Problem:
    """Return what the reader could not read, with its line where it named one."""
    found = re.match(re.escape(path) + r":(\d+): ", problem.message)
    if found is None:
        return Problem(path, 0, "", "", problem.message, problem.hint)
    return Problem(path, int(found.group(1)), "", "", problem.message[found.end() :], problem.hint)


def _shown(key: str, value: Any) -> str:
    """Return a value for people, cut; empty for one that may be a secret."""
    return "" if value in ({}, None) or "dsn" in key else _REPR.repr(value)


def _did_you_mean(key: str) -> str:
    last = key.rpartition(".")[2].lower()
    same = [one for one in KEYS if one.rpartition(".")[2] == last]  # the right name in the wrong block
    near = difflib.get_close_matches(key.lower(), same or KEYS, 1, 0.0 if same else 0.6)
    return f"did you mean {near[0]}?" if near else "flightlog config explain lists the keys"


def _wanted(key: str) -> str:
    """Return what a key takes, as a remedy."""
    kind = KEYS[key].kind
    bounds = f" ({kind.bounds})" if kind.bounds else ""
    return f"write a {kind.name}{bounds}, for instance {key.rpartition('.')[2]}: {KEYS[key].example}"
