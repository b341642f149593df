"""Every key of config.yml: what it takes, when a change is taken over, what it means. The one list that validation, `flightlog config` and the reference
page are made of.

Owns: this list. Leaves defaults to the dataclasses of `settings`, kinds to `written`, sentences around it to `page`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import values
from .rollout import MAX_PATTERNS
from .written import (
    DIRECTORY,
    HOUR,
    LEVEL,
    ON_FULL,
    PATH,
    PERCENT,
    SPOOL,
    TEXT,
    TRUTH,
    Kind,
    amount,
    number,
    size,
    span,
    span_or_never,
    texts,
    words,
)

LIVE = "now"  # within 5 seconds, in what runs and in what begins
AGENT = "agent restart"
COMMAND = "next command"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        kind: what it takes.
        taken: when a change is taken over: `now`, `agent restart` or `next command`.
        example: a value as one would write it.
        meaning: in a few sentences; Markdown.
        variable: the environment variable that stands above it, or empty.
        since: the version that knew it first.
    """

    kind: Kind
    taken: str
    example: str
    meaning: str
    variable: str = ""
    since: str = "0.1.0"


DAYS = 86400
KEYS: dict[str, Key] = {
    "database.dsn": Key(
        TEXT,
        AGENT,
        "postgresql://flightlog@db.example.org/flightlog",
        "libpq connection string or URL of the PostgreSQL. Empty: the embedded server of FLIGHTLOG_HOME.",
        "FLIGHTLOG_DSN",
    ),
    "database.dsn_file": Key(
        PATH,
        AGENT,
        "/etc/flightlog/dsn",
        "A file that holds the connection string instead, in its first line; relative to the config file. Not together with `database.dsn`.",
        "FLIGHTLOG_DSN_FILE",
    ),
    "database.tls": Key(
        words("verify-full", "insecure-allowed"),
        AGENT,
        "verify-full",
        "Whether a server on another machine has to prove that it is the right one.",
    ),
    "database.roles": Key(
        TRUTH,
        AGENT,
        "true",
        "Whether agent and reading commands act in the roles `flightlog_writer` and `flightlog_reader` where they may.",
    ),
    "database.read_timeout": Key(
        span(0.1, DAYS), COMMAND, "30s", "How long one question of a reading command may take."
    ),
    "logging.level": Key(
        LEVEL,
        LIVE,
        "INFO",
        "Lowest level of a logging call that is recorded, in addition to the programs' own levels, which it does not change. Empty: whatever they let through. Captured output and events are recorded all the same.",
    ),
    "logging.on_full": Key(
        ON_FULL,
        LIVE,
        "block(5s)",
        "What a logging call does with a record that there is no room for: count it and go on, or wait at most so long first.",
    ),
    "logging.redact.enabled": Key(
        TRUTH, LIVE, "true", "Whether secrets are masked. [Redaction](redaction.md) lists what is found."
    ),
    "logging.redact.keys": Key(
        texts(values.name, 100, "names"), LIVE, "[customer_ssn, iban]", "More names whose values are secrets."
    ),
    "logging.redact.allow": Key(
        texts(values.name, 100, "names"), LIVE, "[token_count]", "Names whose values are none."
    ),
    "logging.redact.patterns": Key(
        texts(values.pattern, 32, "regular expressions"),
        LIVE,
        "['acct-\\d{6,12}']",
        "More texts that are secrets. What could be slow is refused.",
    ),
    "logging.database.enabled": Key(
        TRUTH,
        LIVE,
        "false",
        "Whether the agent ships into the database. With `false` no database is needed: the embedded one is not started, and the reading commands say so.",
    ),
    "logging.file.enabled": Key(TRUTH, LIVE, "true", "Whether the agent writes text logs, one per pipeline."),
    "logging.file.directory": Key(
        DIRECTORY,
        LIVE,
        "/var/log/flightlog",
        "Where; made with mode 0750. Empty: `FLIGHTLOG_HOME/logs`. Only one agent may write to a directory. A new directory begins with what the spool still holds.",
    ),
    "logging.file.format": Key(
        words("text", "jsonl"),
        LIVE,
        "jsonl",
        "A line for people (`NAME.log`), or one JSON object per line (`NAME.jsonl`).",
    ),
    "logging.file.when": Key(
        words("size", "day"),
        LIVE,
        "day",
        "When a log is rotated: by `max_bytes` only, or also with the first batch of a new day (UTC).",
    ),
    "logging.file.max_bytes": Key(
        size(4 << 10, 1 << 40),
        LIVE,
        "16MiB",
        "Longest log before it is rotated; never more than a quarter of `total`. One batch is never split, so a log may be one batch longer.",
    ),
    "logging.file.backups": Key(
        number(0, 100_000, "files"), LIVE, "30", "Rotated files kept of each log; the oldest goes first."
    ),
    "logging.file.compress": Key(TRUTH, LIVE, "true", "Whether rotated files are compressed by gzip."),
    "logging.file.total": Key(
        size(16 << 20, 1 << 50),
        LIVE,
        "10GiB",
        "What all logs of the directory may take together, rotated ones and what is being compressed included. Never exceeded: before a batch is written, the oldest rotated files are removed, then the oldest logs rotated.",
    ),
    "monitoring.enabled": Key(
        TRUTH,
        LIVE,
        "false",
        "The kill switch. `false`: pipelines go on as if flightlog were not there; what was recorded before is still shipped. Running pipelines obey it as well, without reading YAML: in blocks, in braces (JSON), with any of `false`, `no`, `off`, `n`, `0` in any case of letters, quoted or not, and as `monitoring: false`. Aliases (`*x`), merges (`<<`) and `?` are not followed: the agent says so.",
    ),
    "monitoring.database_logging": Key(
        TRUTH,
        LIVE,
        "false",
        "Short for `logging.database.enabled`: the database is off as soon as one of the two is `false`.",
    ),
    "monitoring.file_logging": Key(
        TRUTH,
        LIVE,
        "true",
        "Short for `logging.file.enabled`: text logs are on as soon as one of the two is `true`.",
    ),
    "monitoring.rollout.percent": Key(
        PERCENT,
        LIVE,
        "25",
        "How many of a hundred pipelines are monitored, chosen by their names: the same ones on every node, and who is in at 25 is in at 50. A pipeline that is not in runs as with `monitoring.enabled: false`.",
    ),
    "monitoring.rollout.include": Key(
        texts(values.glob, MAX_PATTERNS, "patterns"),
        LIVE,
        '[orders, "*-nightly"]',
        "Pipelines that are in whatever the percentage is: names, with `*`, `?`, `[...]`. The case of ASCII letters does not matter. Put quotes around a pattern that begins with a star.",
    ),
    "monitoring.rollout.exclude": Key(
        texts(values.glob, MAX_PATTERNS, "patterns"),
        LIVE,
        '["ledger-*"]',
        "Pipelines that are out, whatever else is said.",
    ),
    "agent.batch_rows": Key(number(1, 1_000_000, "rows"), AGENT, "5000", "Rows of one batch."),
    "agent.batch_bytes": Key(size(64 << 10, 1 << 30), AGENT, "2MiB", "Bytes of one batch into the database."),
    "agent.flush_interval": Key(
        span(0.01, 60),
        AGENT,
        "2s",
        "Longest pause between two looks at the spool while little comes; a reading command ends it.",
    ),
    "agent.self_check": Key(
        HOUR,
        AGENT,
        "04:30",
        "From when on the agent audits once a day what it has stored since the day before; a background agent that is not there then does it when it is.",
    ),
    "agent.idle_exit": Key(
        span(1, 10 * 365 * DAYS),
        AGENT,
        "1h",
        "How long a background agent without anything to do stays. One that runs as a service stays for ever.",
    ),
    "spool.quota": Key(
        amount(10**6, 1 << 50),
        LIVE,
        "5GB",
        "What the spools of a node may hold that is not shipped yet; then records are shed, the lowest levels first, each counted: [quota](quota.md).",
    ),
    "spool.keep_free": Key(
        amount(0, 1 << 50), LIVE, "10%", "What the spool leaves free for others on its file system; `0` for nothing."
    ),
    "spool.keep": Key(
        span(0, 365 * DAYS),
        AGENT,
        "6h",
        "How long acknowledged segments stay while the spool is less than half full: a destination that is switched on later, or a restored database, gets them again.",
    ),
    "spool.path": Key(
        SPOOL,
        AGENT,
        "/var/spool/flightlog/spool",
        "In /etc/flightlog/config.yml only: the spool that all users of this machine share.",
    ),
    "metrics.interval": Key(
        span_or_never(1, 3600),
        LIVE,
        "15s",
        "How often `flightlog run` records what the processes of a run use ([metrics](cli/metrics.md)). The last minute, a look a second, is kept with a run's end all the same; with `0` GPUs are not looked at.",
    ),
    "hang.after": Key(
        span_or_never(1, 30 * DAYS),
        LIVE,
        "30m",
        "After how long a silence a run counts as stalled: its stacks are taken, the cause is classified, and a warning and the event `run.stalled` are recorded.",
    ),
    "hang.kill": Key(TRUTH, LIVE, "true", "Whether a stalled run is ended."),
    "hang.kill_after": Key(
        span(0, 30 * DAYS),
        LIVE,
        "5m",
        "How long a stall is waited out before that. Then SIGTERM, 10 seconds later SIGABRT (a core, where they are allowed), 5 seconds later SIGKILL.",
    ),
}
