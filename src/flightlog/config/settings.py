"""Settings: every key of config.yml with its type, default and bounds; docs/reference/config.md lists them.

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
from .quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount

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
class Logging:
    """`logging:`. `level`: empty leaves the programs' own levels alone; `on_full`: seconds that a call may wait for room, 0 sheds at once."""

    level: str = ""
    on_full: float = 0.0


@dataclass(frozen=True)
class Monitoring:
    """`monitoring:`. `enabled` is the kill switch; without `database_logging` the agent holds everything in the spool."""

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
    """`spool:`. `quota`: what it may hold; `keep_free`: what it leaves free on its file system; `keep`: seconds that acknowledged segments stay
    while there is room."""

    quota: Amount = DEFAULT_QUOTA
    keep_free: Amount = DEFAULT_KEEP_FREE
    keep: float = 3600.0


@dataclass(frozen=True)
class Settings:
    """All settings."""

    database: Database = field(default_factory=Database)
    logging: Logging = field(default_factory=Logging)
    monitoring: Monitoring = field(default_factory=Monitoring)
    agent: AgentSettings = field(default_factory=AgentSettings)
    spool: Spool = field(default_factory=Spool)


def load(path: str | None = None) -> Settings:
    """Return the settings of *path*, by default of the config file that applies here (`switch.find_config`).

    Raises ConfigError for the first thing that is wrong.
    """
    path = switch.find_config() if path is None else path
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, item in _read(path).items() if path else ():
        section, _, name = key.partition(".")
        if section not in _SECTIONS:
            continue  # somebody else's: one config.yml serves many programs
        if not name:
            if item.value not in ({}, None):
                raise _wrong(path, key, item, "is a section", f"write its keys below `{section}:`")
            continue
        check = _KEYS.get(key)
        if check is None:
            near = difflib.get_close_matches(key, _KEYS, 1)
            remedy = f"did you mean {near[0]}?" if near else "docs/reference/config.md lists the keys"
            raise _wrong(path, key, item, "is no setting", remedy)
        try:
            chosen[section][name] = check(item.value)
        except ValueError as problem:
            raise _wrong(path, key, item, str(problem), "docs/reference/config.md says what it takes") from problem
    if path and not switch.file_enabled(path):
        chosen["monitoring"]["enabled"] = False
    dsn = os.environ.get("FLIGHTLOG_DSN")
    if dsn:
        chosen["database"]["dsn"] = dsn
    return Settings(**{section: make(**chosen[section]) for section, make in _SECTIONS.items()})


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


def _amount(low: int, high: int) -> Callable[[Any], Amount]:
    """Return a check for a size, or a share of the file system such as 10%."""

    def check(value: Any) -> Amount:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(value))
        if found is not None:
            return Amount(0, _bounded(float(found.group(1)), 0, 100) / 100)
        return Amount(
            int(_bounded(_measured(value, _SIZES, "a size such as 2GB, or a share such as 10%"), low, high)), 0.0
        )

    return check


def _on_full(value: Any) -> float:
    """Return for how many seconds a logging call may wait for room."""
    word = str(value).strip().lower()
    if word == "shed":
        return 0.0
    found = re.fullmatch(r"block(?:\((.*)\))?", word)
    if found is None:
        raise ValueError("is neither shed nor block(5s)")
    return _span(0.01, 600)(found.group(1) or "5s")


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
    "logging": Logging,
    "monitoring": Monitoring,
    "agent": AgentSettings,
    "spool": Spool,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "database.dsn": _text,
    "logging.level": _level,
    "logging.on_full": _on_full,
    "monitoring.enabled": _truth,
    "monitoring.database_logging": _truth,
    "monitoring.file_logging": _truth,
    "agent.batch_rows": _number(1, 1_000_000),
    "agent.batch_bytes": _size(64 << 10, 1 << 30),
    "agent.flush_interval": _span(0.01, 60),
    "agent.idle_exit": _span(1, 10 * 365 * 86400),
    "spool.quota": _amount(10**6, 1 << 50),
    "spool.keep_free": _amount(0, 1 << 50),
    "spool.keep": _span(0, 365 * 86400),
}
