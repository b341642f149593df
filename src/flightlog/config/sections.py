"""The sections of config.yml as values to be used, and every default.

Owns: these classes. Leaves what a file says to `settings`, keys to `keys`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import dsn, rollout
from .quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount


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
class Staged:
    """`monitoring.rollout:`. Which pipelines are monitored."""

    percent: float = 100.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def rules(self) -> rollout.Rollout:
        """The same as rules to decide by."""
        return rollout.Rollout(self.percent, self.include, self.exclude, True)


@dataclass(frozen=True)
class Monitoring:
    """`monitoring:`. `enabled` is the kill switch; the next two are short for `logging.database.enabled`, `logging.file.enabled`."""

    enabled: bool = True
    database_logging: bool = True
    file_logging: bool = False
    rollout: Staged = field(default_factory=Staged)


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


# By dotted name; those inside others come first.
SECTIONS: dict[str, Callable[..., Any]] = {
    "database": Database,
    "logging.database": LogDatabase,
    "logging.file": LogFiles,
    "logging.redact": Redact,
    "logging": Logging,
    "monitoring.rollout": Staged,
    "monitoring": Monitoring,
    "agent": AgentSettings,
    "spool": Spool,
    "metrics": Metrics,
    "hang": Hang,
}
