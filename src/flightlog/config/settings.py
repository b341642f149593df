"""Settings: every key of config.yml with its type, default and bounds; docs/reference/configuration.md lists them.

Invariants: a wrong value names file, line, key, reason and remedy; a broken file never stops a pipeline or the agent (`load_or_default`), and never
makes the agent ship to another database than the one it was to name. Owns: keys and their meaning. Leaves single values to `values`, YAML to
`reader`, the kill switch to `switch`, where connection strings come from to `dsn`.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import identity
from ..errors import ConfigError
from . import dsn, switch, values
from .quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount

if TYPE_CHECKING:
    from .reader import Value


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
    """`logging:`. `level`: empty leaves the programs' own levels alone; `on_full`: seconds that a call may wait for room, 0 sheds at once."""

    level: str = ""
    redact: Redact = field(default_factory=Redact)
    database: LogDatabase = field(default_factory=LogDatabase)
    file: LogFiles = field(default_factory=LogFiles)
    on_full: float = 0.0


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
    self_check: int | None = 180


@dataclass(frozen=True)
class Spool:
    """`spool:`. `quota`: what it may hold; `keep_free`: what it leaves free on its file system; `keep`: seconds that acknowledged segments stay
    while there is room.

    `path`: in /etc/flightlog/config.yml only, the spool that all users of this machine share (`identity.shared_spool` reads it).
    """

    quota: Amount = DEFAULT_QUOTA
    keep_free: Amount = DEFAULT_KEEP_FREE
    keep: float = 3600.0
    path: str = ""


@dataclass(frozen=True)
class Metrics:
    """`metrics:`. Seconds between two records of what a run uses; 0: none."""

    interval: float = 5.0


@dataclass(frozen=True)
class Hang:
    """`hang:`. Seconds of silence after which a run counts as stalled, 0: never; whether it is ended then, and after how many seconds more."""

    after: float = 600.0
    kill: bool = False
    kill_after: float = 60.0


@dataclass(frozen=True)
class Settings:
    """All settings."""

    database: Database = field(default_factory=Database)
    logging: Logging = field(default_factory=Logging)
    monitoring: Monitoring = field(default_factory=Monitoring)
    agent: AgentSettings = field(default_factory=AgentSettings)
    spool: Spool = field(default_factory=Spool)
    metrics: Metrics = field(default_factory=Metrics)
    hang: Hang = field(default_factory=Hang)
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
    path = _found() if path is None else path
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, item in _read(path).items() if path else ():
        if key.partition(".")[0] not in _SECTIONS:
            continue  # somebody else's: one config.yml serves many programs
        if key == "monitoring" and item.value not in ({}, None):
            with contextlib.suppress(ValueError):  # `monitoring: false`
                chosen["monitoring"]["enabled"] = values.truth(item.value)
                continue
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
        except values.WrongItem as problem:
            at = item._replace(
                value=problem.item, line=(item.items or (item.line,))[min(problem.index, len(item.items) - 1)]
            )
            raise _wrong(path, key, at, str(problem), "docs/reference/configuration.md says what it takes") from problem
        except ValueError as problem:
            raise _wrong(
                path, key, item, str(problem), "docs/reference/configuration.md says what it takes"
            ) from problem
    obeyed = switch.file_enabled(path)
    if not obeyed:
        chosen["monitoring"]["enabled"] = False
    database, warnings = _database(path, chosen.pop("database"))
    if obeyed and not chosen["monitoring"].get("enabled", True):
        remedy = "write `enabled: false` below `monitoring:`"
        warnings += (
            f"{path}: monitoring is switched off in a way that nobody obeys, by an alias or a `?` (try: {remedy})",
        )
    made: dict[str, Any] = {}
    for section, make in _SECTIONS.items():  # those inside others come first
        if section in chosen:
            outer, _, name = section.rpartition(".")
            (chosen[outer] if outer else made)[name] = make(**chosen[section])
    return Settings(database=database, warnings=warnings, **made)


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
        return re.search(rb"\bdsn(_file)?[\"']?[ \t]*:", identity.read_plain(path)) is not None
    except (OSError, ValueError):
        return os.path.exists(path)


def _read(path: str) -> dict[str, Value]:
    from .reader import read  # YAML is loaded only where there is a file

    return read(path)


def _wrong(path: str, key: str, item: Value, reason: str, remedy: str) -> ConfigError:
    shown = "" if item.value in ({}, None) or "dsn" in key else f" = {item.value!r}"
    return ConfigError(f"{path}:{item.line}: {key}{shown} {reason}", remedy)


_SECTIONS: dict[str, Callable[..., Any]] = {
    "database": Database,
    "logging.database": LogDatabase,
    "logging.file": LogFiles,
    "logging.redact": Redact,
    "logging": Logging,
    "monitoring": Monitoring,
    "agent": AgentSettings,
    "spool": Spool,
    "metrics": Metrics,
    "hang": Hang,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "database.dsn": values.text,
    "database.dsn_file": values.text,
    "database.tls": values.one_of("verify-full", "insecure-allowed"),
    "database.roles": values.truth,
    "database.read_timeout": values.span(0.1, 86400),
    "logging.level": values.level,
    "logging.redact.enabled": values.truth,
    "logging.redact.keys": values.list_of(values.name, 100),
    "logging.redact.allow": values.list_of(values.name, 100),
    "logging.redact.patterns": values.list_of(values.pattern, 32),
    "logging.database.enabled": values.truth,
    "logging.file.enabled": values.truth,
    "logging.file.directory": values.directory,
    "logging.file.format": values.one_of("text", "jsonl"),
    "logging.file.when": values.one_of("size", "day"),
    "logging.file.max_bytes": values.size(4 << 10, 1 << 40),
    "logging.file.backups": values.number(0, 100_000),
    "logging.file.compress": values.truth,
    "logging.file.total": values.size(16 << 20, 1 << 50),
    "logging.on_full": values.on_full,
    "monitoring.enabled": values.truth,
    "monitoring.database_logging": values.truth,
    "monitoring.file_logging": values.truth,
    "agent.batch_rows": values.number(1, 1_000_000),
    "agent.batch_bytes": values.size(64 << 10, 1 << 30),
    "agent.flush_interval": values.span(0.01, 60),
    "agent.idle_exit": values.span(1, 10 * 365 * 86400),
    "agent.self_check": values.hour,
    "spool.quota": values.amount(10**6, 1 << 50),
    "spool.keep_free": values.amount(0, 1 << 50),
    "spool.keep": values.span(0, 365 * 86400),
    "spool.path": values.spool_path,
    "metrics.interval": values.span_or_never(1, 3600),
    "hang.after": values.span_or_never(1, 30 * 86400),
    "hang.kill": values.truth,
    "hang.kill_after": values.span(0, 30 * 86400),
}
