"""Settings: every key of config.yml with its type, default and bounds; docs/reference/configuration.md lists them.

Invariants: a wrong value names file, line, key, reason and remedy; a broken file never stops a pipeline or the agent (`load_or_default`).
FLIGHTLOG_DSN stands above `database.dsn`. Owns: meaning and validation. Leaves YAML to `reader`, the kill switch to `switch`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import switch

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
    """`database:`. `dsn`: libpq connection string, empty for the embedded server."""

    dsn: str = ""


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
    """`spool:`. `quota`: bytes it may hold before pressure sheds records; `keep`: seconds that acknowledged segments stay while there is room."""

    quota: int = 2 << 30
    keep: float = 3600.0


@dataclass(frozen=True)
class Settings:
    """All settings."""

    database: Database = field(default_factory=Database)
    logging: Logging = field(default_factory=Logging)
    monitoring: Monitoring = field(default_factory=Monitoring)
    agent: AgentSettings = field(default_factory=AgentSettings)
    spool: Spool = field(default_factory=Spool)

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
        except ValueError as problem:
            raise _wrong(
                path, key, item, str(problem), "docs/reference/configuration.md says what it takes"
            ) from problem
    if path and not switch.file_enabled(path):
        chosen["monitoring"]["enabled"] = False
    dsn = os.environ.get("FLIGHTLOG_DSN")
    if dsn:
        chosen["database"]["dsn"] = dsn
    made: dict[str, Any] = {}
    for section, make in _SECTIONS.items():  # those inside others come first
        outer, _, name = section.rpartition(".")
        (chosen[outer] if outer else made)[name] = make(**chosen[section])
    return Settings(**made)


def load_or_default(path: str | None = None) -> tuple[Settings, ConfigError | None]:
    """Return the settings and what is wrong with them; then the defaults, with FLIGHTLOG_DSN."""
    try:
        return load(path), None
    except ConfigError as problem:
        return Settings(database=Database(os.environ.get("FLIGHTLOG_DSN", ""))), problem


def _read(path: str) -> dict[str, Value]:
    from .reader import read  # YAML is loaded only where there is a file

    return read(path)


def _wrong(path: str, key: str, item: Value, reason: str, remedy: str) -> ConfigError:
    shown = "" if item.value in ({}, None) or "dsn" in key else f" = {item.value!r}"
    return ConfigError(f"{path}:{item.line}: {key}{shown} {reason}", remedy)


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


def _level(value: Any) -> str:
    word = _text(value).upper()
    if word and word not in _LEVELS:
        raise ValueError(f"is none of {', '.join(_LEVELS)}")
    return word


def _word(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return str(value)

    return check


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
    "logging": Logging,
    "monitoring": Monitoring,
    "agent": AgentSettings,
    "spool": Spool,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "database.dsn": _text,
    "logging.level": _level,
    "logging.database.enabled": _truth,
    "logging.file.enabled": _truth,
    "logging.file.directory": _directory,
    "logging.file.format": _word("text", "jsonl"),
    "logging.file.when": _word("size", "day"),
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
}
