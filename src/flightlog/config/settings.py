"""Settings: every key of config.yml with its type, default and bounds; docs/reference/configuration.md lists them.

Invariants: a wrong value names file, line, key, reason and remedy; a broken file never stops a pipeline or the agent (`load_or_default`), and never
makes the agent ship to another database than the one it was to name. Owns: meaning and validation. Leaves YAML to `reader`, the kill switch
to `switch`, where connection strings come from to `dsn`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import dsn, switch

if TYPE_CHECKING:
    from .reader import Value

_SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SPANS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Database:
    """`database:`.

    Attributes:
        dsn: libpq connection string, empty for the embedded server.
        dsn_file: a file that holds it instead.
        tls: `verify-full`, or `insecure-allowed`: whether a server on another machine has to prove that it is the right one.
        roles: whether agent and reading commands act in the roles of `store.roles` where they may.
        read_timeout: seconds that one question of a reading command may take.
        problem: why no database is known although one is configured; empty otherwise. Not a key.
    """

    dsn: dsn.Dsn = field(default_factory=dsn.Dsn)
    dsn_file: str = ""
    tls: str = "verify-full"
    roles: bool = True
    read_timeout: float = 5.0
    problem: str = ""


@dataclass(frozen=True)
class Redact:
    """`logging.redact:`. What is added to the built-in rules: names of secrets, names that are none, regular expressions."""

    enabled: bool = True
    keys: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogDatabase:
    """`logging.database:`. Whether the agent ships into the database."""

    enabled: bool = True


@dataclass(frozen=True)
class LogFiles:
    """`logging.file:`. Text logs per pipeline; `directory` empty: FLIGHTLOG_HOME/logs; `total`: bytes of all of them together."""

    enabled: bool = False
    directory: str = ""
    format: str = "text"
    when: str = "size"
    max_bytes: int = 64 << 20
    backups: int = 10
    compress: bool = False
    total: int = 2 << 30


@dataclass(frozen=True)
class Logging:
    """`logging:`. `level`: empty leaves the programs' own levels alone."""

    level: str = ""
    redact: Redact = field(default_factory=Redact)
    database: LogDatabase = field(default_factory=LogDatabase)
    file: LogFiles = field(default_factory=LogFiles)


@dataclass(frozen=True)
class Monitoring:
    """`monitoring:`. `enabled` is the kill switch; the other two are short for `logging.database.enabled`, `logging.file.enabled`."""

    enabled: bool = True
    database_logging: bool = True
    file_logging: bool = False


@dataclass(frozen=True)
class AgentSettings:
    """`agent:`. Rows and bytes of one batch; seconds between looks at an idle spool; idle seconds before a background agent leaves."""

    batch_rows: int = 20_000
    batch_bytes: int = 8 << 20
    flush_interval: float = 0.5
    idle_exit: float = 600.0


@dataclass(frozen=True)
class Spool:
    """`spool:`. `quota`: bytes it may hold before pressure sheds records; `keep`: seconds that acknowledged segments stay while there is room.

    `path`: in /etc/flightlog/config.yml only, the spool that all users of this machine share (`identity.shared_spool` reads it).
    """

    quota: int = 2 << 30
    keep: float = 3600.0
    path: str = ""


@dataclass(frozen=True)
class Settings:
    """All settings."""

    database: Database = field(default_factory=Database)
    logging: Logging = field(default_factory=Logging)
    monitoring: Monitoring = field(default_factory=Monitoring)
    agent: AgentSettings = field(default_factory=AgentSettings)
    spool: Spool = field(default_factory=Spool)
    warnings: tuple[str, ...] = ()  # what is usable and should be mended

    @property
    def to_database(self) -> bool:
        """Whether records are shipped into the database: off as soon as either key says so."""
        return self.logging.database.enabled and self.monitoring.database_logging

    @property
    def to_files(self) -> bool:
        """Whether text logs are written: on as soon as either key says so."""
        return self.logging.file.enabled or self.monitoring.file_logging


def load(path: str | None = None) -> Settings:
    """Return the settings of *path*, by default of the config file that applies here (`switch.find_config`).

    Raises ConfigError for the first thing that is wrong.
    """
    path = switch.find_config() if path is None else path
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, item in _read(path).items() if path else ():
        if key.partition(".")[0] not in _SECTIONS:
            continue  # somebody else's: one config.yml serves many programs
        if key in _SECTIONS:
            if item.value not in ({}, None):
                raise _wrong(path, key, item, "is a section", f"write its keys below `{key.rpartition('.')[2]}:`")
            continue
        section, _, name = key.rpartition(".")
        check = _KEYS.get(key)
        if check is None:
            near = difflib.get_close_matches(key, _KEYS, 1)
            remedy = f"did you mean {near[0]}?" if near else "docs/reference/configuration.md lists the keys"
            raise _wrong(path, key, item, "is no setting", remedy)
        try:
            chosen[section][name] = check(item.value)
        except _WrongItem as problem:
            at = item._replace(
                value=problem.item, line=(item.items or (item.line,))[min(problem.index, len(item.items) - 1)]
            )
            raise _wrong(path, key, at, str(problem), "docs/reference/configuration.md says what it takes") from problem
        except ValueError as problem:
            raise _wrong(
                path, key, item, str(problem), "docs/reference/configuration.md says what it takes"
            ) from problem
    if path and not switch.file_enabled(path):
        chosen["monitoring"]["enabled"] = False
    database, warnings = _database(path, chosen.pop("database"))
    made: dict[str, Any] = {}
    for section, make in _SECTIONS.items():  # those inside others come first
        if section in chosen:
            outer, _, name = section.rpartition(".")
            (chosen[outer] if outer else made)[name] = make(**chosen[section])
    return Settings(database=database, warnings=warnings, **made)


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
        meant = _names_a_database(switch.find_config() if path is None else path)
        return Settings(database=Database(problem=problem.message if meant else "")), problem


def _database(path: str, given: dict[str, Any]) -> tuple[Database, tuple[str, ...]]:
    """Return the section with the connection string that applies, and warnings. Raises ConfigError."""
    warnings: tuple[str, ...] = ()
    inline, named_file = given.pop("dsn", ""), given.get("dsn_file", "")
    text = dsn.from_environment()
    if not text and inline and named_file:
        raise ConfigError(f"{path}: database.dsn and database.dsn_file are both given", "keep one of them")
    if not text and named_file:
        text = dsn.read_file(os.path.join(os.path.dirname(path), named_file), "database.dsn_file")
    if inline and dsn.has_password(inline):
        who = dsn.seen_by(os.stat(path))
        if who:
            remedy = f"chmod 640 {path}, or move the connection string to a file of its own: database.dsn_file"
            warnings = (f"{path} holds a password and can be read by {who} (try: {remedy})",)
    given["dsn"] = dsn.Dsn(text or inline, given.get("tls") == "insecure-allowed")
    return Database(**given), warnings


def _names_a_database(path: str) -> bool:
    """Tell whether a file that is no config file was to name a database."""
    try:
        with open(path, "rb") as file:
            return re.search(rb"\bdsn(_file)?[\"']?[ \t]*:", file.read(1 << 20)) is not None
    except (OSError, ValueError):
        return os.path.exists(path)


def _read(path: str) -> dict[str, Value]:
    from .reader import read  # YAML is loaded only where there is a file

    return read(path)


def _wrong(path: str, key: str, item: Value, reason: str, remedy: str) -> ConfigError:
    shown = "" if item.value in ({}, None) or "dsn" in key else f" = {item.value!r}"
    return ConfigError(f"{path}:{item.line}: {key}{shown} {reason}", remedy)


class _WrongItem(ValueError):
    """One item of a list is wrong."""

    def __init__(self, index: int, item: Any, reason: str) -> None:
        super().__init__(reason)
        self.index, self.item = index, item


def _list(check: Callable[[str], object], most: int) -> Callable[[Any], tuple[str, ...]]:
    def check_all(value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise ValueError("is no list")
        if len(value) > most:
            raise ValueError(f"has more than {most} items")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise _WrongItem(index, item, "is no text")
            try:
                check(item)
            except ValueError as problem:
                raise _WrongItem(index, item, str(problem)) from problem
        return tuple(value)

    return check_all


def _name(text: str) -> None:
    from .. import redact

    bare = redact.folded(text)
    if not 3 <= len(bare) <= 64:
        raise ValueError("is not between 3 and 64 characters long, separators not counted")
    if not text.isascii() or not bare.isalnum():
        raise ValueError("is no name: letters, digits, - _ . only")


def _pattern(text: str) -> None:
    from .patterns import literal_of

    literal_of(text)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("is neither true nor false")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise ValueError("is no text")


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value in words:
            return str(value)
        raise ValueError(f"is none of {', '.join(words)}")

    return check


def _spool_path(value: Any) -> str:
    text = _text(value)
    if text and not (text.startswith("/") and text.rstrip("/").endswith("/spool")):
        raise ValueError("is no absolute path that ends in /spool")
    return text.rstrip("/")


def _level(value: Any) -> str:
    word = _text(value).upper()
    if word and word not in _LEVELS:
        raise ValueError(f"is none of {', '.join(_LEVELS)}")
    return word


def _directory(value: Any) -> str:
    path = os.path.expanduser(_text(value))
    if path and (not os.path.isabs(path) or "\0" in path):
        raise ValueError("is no absolute path")
    return os.path.normpath(path) if path else ""


def _number(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("is no whole number")
        return int(_bounded(value, low, high))

    return check


def _size(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        return int(_bounded(_measured(value, _SIZES, "a size such as 8MiB"), low, high))

    return check


def _span(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        return _bounded(_measured(value, _SPANS, "a duration such as 500ms, 10m"), low, high)

    return check


def _measured(value: Any, units: dict[str, Any], wanted: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if found is None or isinstance(value, bool) or found.group(2).lower() not in units:
        raise ValueError(f"is not {wanted}")
    return float(found.group(1)) * float(units[found.group(2).lower()])


def _bounded(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"is not between {low:g} and {high:g}")
    return value


_SECTIONS: dict[str, Callable[..., Any]] = {
    "database": Database,
    "logging.database": LogDatabase,
    "logging.file": LogFiles,
    "logging.redact": Redact,
    "logging": Logging,
    "monitoring": Monitoring,
    "agent": AgentSettings,
    "spool": Spool,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "database.dsn": _text,
    "database.dsn_file": _text,
    "database.tls": _one_of("verify-full", "insecure-allowed"),
    "database.roles": _truth,
    "database.read_timeout": _span(0.1, 86400),
    "logging.level": _level,
    "logging.redact.enabled": _truth,
    "logging.redact.keys": _list(_name, 100),
    "logging.redact.allow": _list(_name, 100),
    "logging.redact.patterns": _list(_pattern, 32),
    "logging.database.enabled": _truth,
    "logging.file.enabled": _truth,
    "logging.file.directory": _directory,
    "logging.file.format": _one_of("text", "jsonl"),
    "logging.file.when": _one_of("size", "day"),
    "logging.file.max_bytes": _size(4 << 10, 1 << 40),
    "logging.file.backups": _number(0, 100_000),
    "logging.file.compress": _truth,
    "logging.file.total": _size(16 << 20, 1 << 50),
    "monitoring.enabled": _truth,
    "monitoring.database_logging": _truth,
    "monitoring.file_logging": _truth,
    "agent.batch_rows": _number(1, 1_000_000),
    "agent.batch_bytes": _size(64 << 10, 1 << 30),
    "agent.flush_interval": _span(0.01, 60),
    "agent.idle_exit": _span(1, 10 * 365 * 86400),
    "spool.quota": _size(16 << 20, 1 << 50),
    "spool.keep": _span(0, 365 * 86400),
    "spool.path": _spool_path,
}
