"""The composition root: which store, which sink, which destinations, for this home and configuration.

Owns: choosing between a configured server and the embedded one, bringing the embedded one's schema up to date, and the short catch-up before
something is read (DESIGN D10). Leaves processes to `daemons`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from . import identity
from .agent import door
from .agent.file_positions import load as load_file_positions
from .agent.file_positions import waiting
from .agent.spool import CAPTURE, Files, directories
from .agent.spool_scan import look
from .config import quota, switch
from .config.compiling import Rules
from .config.settings import Settings, load_or_default
from .config.watch import Watch
from .errors import FlightlogError, NotFound, SinkError, SinkMisconfigured, SinkUnavailable
from .process.launch import DSN_WITHHELD
from .store import embedded, migrate, roles
from .store.db import Connection, connect, translate
from .store.queries import query

if TYPE_CHECKING:  # a command that only looks needs none of them, and waits 30 ms for them
    from .agent.agent import Agent
    from .agent.destinations import Wish
    from .agent.file_positions import FilePositions
    from .query.checkpoints import Kept
    from .store.ingest import PostgresSink

READER = "flightlog cli"  # application_name of who reads
CATCH_UP_SECONDS = 0.2  # for an agent that runs
OWN_CATCH_UP_SECONDS = 1.0  # where none runs: a busy machine needs that for the last words of a short run
RECOVERY_SECONDS = 10.0  # an embedded server that was killed is back in less than one
RETRY_SECONDS = 0.05
OPEN_LINE_BYTES = 64 << 10  # the rest of a line that is still being written is no backlog


@dataclass
class Reading:
    """A store opened for looking.

    Attributes:
        connection: autocommit, times in UTC.
        node: this node's name.
        backlog_bytes: what lies in this node's spool and is not in the store yet.
        pending: unshipped bytes by writer, for writers that have files in the spool.
        off: what to say when nothing new comes into the store because it is switched off.
        positions: how far these writers are in the store: (segment, byte, closed).
        waiting: for the face's use: what it has found out about what is pending.
    """

    connection: Connection
    node: str
    backlog_bytes: int = 0
    pending: dict[str, int] = field(default_factory=dict)
    off: FlightlogError | None = None
    positions: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    waiting: object = None


def settings() -> Settings:
    """Return the settings that apply here; a broken file counts as an empty one (`flightlog validate` says what is wrong)."""
    return load_or_default(None)[0]


def wish(chosen: Settings) -> Wish:
    """Return where these settings want records to go."""
    from .agent.destinations import Wish
    from .agent.file_sink import FileWish

    wanted = chosen.logging.file
    directory = wanted.directory or os.path.join(identity.home(), "logs")
    files = FileWish(
        directory, wanted.format, wanted.when, wanted.max_bytes, wanted.backups, wanted.compress, wanted.total
    )
    return Wish(chosen.to_database, files if chosen.to_files else None, directory)


def file_positions(wanted: Wish) -> FilePositions | None:
    """Return what the text logs hold, None when there are none yet, or that cannot be read."""
    try:
        return load_file_positions(wanted.directory)
    except (OSError, SinkError):
        return None


def file_backlog(wanted: Wish) -> int | None:
    """Return how many bytes of the spool are not in the text logs, None when that cannot be known."""
    found = look(directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", "")))
    try:
        stored = load_file_positions(wanted.directory)
    except (OSError, SinkError):
        return None
    return waiting(found, stored)


def file_waits() -> bool:
    """Tell whether something of the spool is wanted in text logs and not there yet, or that cannot be known."""
    wanted = wish(settings())
    return wanted.files is not None and file_backlog(wanted) != 0


def database_waits() -> bool:
    """Tell whether something of the spool is wanted in the database and not there yet. Raises FlightlogError."""
    if not settings().to_database:
        return False
    with reading_store(ship=False) as reading:
        return reading.backlog_bytes != 0


def switched_off() -> FlightlogError | None:
    """Return what to say where records do not go into the database; None where they do."""
    chosen = settings()
    if chosen.to_database:
        return None
    wanted = wish(chosen)
    key = "logging.database.enabled" if not chosen.logging.database.enabled else "monitoring.database_logging"
    where = f"read the text logs in {wanted.directory}, or " if wanted.files else ""
    return SinkMisconfigured(
        f"the database is switched off: {key} is false in {switch.find_config() or 'the settings'}",
        f"{where}set {key} to true; what the spool still holds is then shipped",
    )


def spool_quota(chosen: Settings) -> int:
    """Return how many bytes the spool of this home may hold."""
    disk = quota.disk(identity.home())
    return quota.quota_bytes(chosen.spool.quota, disk.total if disk else 0)


def store_dsn(start: bool = True) -> str:
    """Return the DSN of the store: the configured one, else the embedded server's of this home, started when *start*.

    It is never started while the database is switched off. Blocks while the server starts. Raises EmbeddedError; SinkMisconfigured when
    nothing runs and nothing may be started.
    """
    database = settings().database
    if database.dsn:
        return database.dsn
    if database.problem:
        raise SinkMisconfigured(
            f"no database is known: {database.problem}; none is taken instead",
            "mend the config file, or name a database by FLIGHTLOG_DSN",
        )
    if os.environ.get(DSN_WITHHELD):
        raise SinkMisconfigured(
            "a pipeline is not told the database of who started it", "name it in a config file: database.dsn_file"
        )
    home = identity.home()
    running = embedded.running_dsn(home)
    if running is not None:
        return running
    off = switched_off()
    if off is not None:
        raise off
    if not start:
        raise SinkMisconfigured("the embedded server does not run", "flightlog agent start")
    dsn = embedded.EmbeddedServer(home).start()
    migrate.migrate(dsn, settings().database.roles)
    return dsn


def is_embedded() -> bool:
    """Tell whether the store is the embedded server of this home."""
    database = settings().database
    return not database.dsn and not database.problem and not os.environ.get(DSN_WITHHELD)


def is_asleep() -> bool:
    """Tell whether the store is the embedded server of this home, and it does not run."""
    return is_embedded() and embedded.running_dsn(identity.home()) is None


def make_sink() -> PostgresSink:
    """Return a sink, not opened. The embedded server is started if needed, with today's schema. Raises FlightlogError."""
    from .store.ingest import PostgresSink

    dsn = store_dsn()
    if is_embedded() and any(not item.applied_at for item in migrate.status(dsn)):
        migrate.migrate(dsn, settings().database.roles)
    return PostgresSink(dsn, roles.WRITER if settings().database.roles else "")


def make_agent(holding: door.Door, upkeep: object = None, idle_exit: float | None = None) -> Agent:
    """Return this home's agent. The caller holds its door."""
    from .agent.agent import Agent
    from .agent.destinations import Destinations
    from .agent.upkeep import Upkeep

    assert upkeep is None or isinstance(upkeep, Upkeep)
    errands = None
    if upkeep is not None:  # not in a short visit, which would leave before they are done
        from .operators import errands as of_operators

        errands = of_operators(identity.home())
    Rules(switch.find_config()).look()
    watch = Watch()
    chosen = watch.look()
    spool = os.environ.get("FLIGHTLOG_SPOOL", "")
    return Agent(
        identity.home(),
        spool,
        make_sink,
        holding,
        batch_rows=chosen.agent.batch_rows,
        batch_bytes=chosen.agent.batch_bytes,
        flush_interval=chosen.agent.flush_interval,
        idle_exit=idle_exit,
        upkeep=upkeep,
        quota=spool_quota(chosen),
        kept_seconds=chosen.spool.keep,
        self_check=chosen.agent.self_check,
        errands=errands,
        destinations=Destinations(
            lambda: wish(watch.look()),
            identity.node_name(),
            identity.home(),
            spool,
            chosen.agent.batch_rows,
            chosen.agent.flush_interval,
        ),
    )


@contextlib.contextmanager
def reading_store(ship: bool = True) -> Iterator[Reading]:
    """Open the store for reading; ship first what is pending, for at most 200 ms by an agent that runs, for at most a second without one.

    Raises SinkError, EmbeddedError.
    """
    dsn, connection = _opened()
    off = switched_off()
    reading = Reading(connection, identity.node_name(), off=off)
    try:
        if is_embedded() and not _is_current(reading.connection):
            migrate.migrate(dsn, settings().database.roles)
        look_only(reading.connection)
        _look_at_spool(reading)
        if ship and off is None and any(reading.pending.values()):
            _catch_up(reading)
        yield reading
    finally:
        reading.connection.close()


def reconnect(reading: Reading) -> None:
    """Open the store again, whose connection was lost. Starts an embedded server that was killed, none that was stopped. Raises SinkError,
    EmbeddedError.
    """
    fresh = _connect(store_dsn(start=is_embedded() and embedded.was_killed(identity.home())))
    look_only(fresh)
    reading.connection.close()
    reading.connection = fresh


def _opened() -> tuple[str, Connection]:
    """Return the store's DSN and a connection. The embedded server may be on its way down or up, after a crash: then it is waited for."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        dsn = store_dsn()
        try:
            return dsn, _connect(dsn)
        except SinkUnavailable:
            if not is_embedded() or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def _connect(dsn: str) -> Connection:
    return connect(dsn, READER, statement_seconds=settings().database.read_timeout)


def look_only(connection: Connection) -> None:
    """Make a connection one for reading, in the reader's role where roles are wanted. Raises SinkError."""
    if settings().database.roles:
        roles.look_only(connection)


def _is_current(connection: Connection) -> bool:
    latest = migrate.migrations()[-1].name
    try:
        row = connection.execute("SELECT to_regclass('pipeline_migrations') IS NOT NULL").fetchone()
        if not row or not row[0]:
            return False
        return connection.execute("SELECT FROM pipeline_migrations WHERE name = %s", (latest,)).fetchone() is not None
    except psycopg.Error as problem:
        raise translate(problem, "cannot read migrations") from problem


def _catch_up(reading: Reading) -> None:
    """Ship what is pending: by ourselves when there is no agent, else by waking it."""
    home = identity.home()
    deadline = time.monotonic() + CATCH_UP_SECONDS
    own = door.Door(home)
    try:
        if own.take():
            agent = make_agent(own)
            agent.quiet = True
            try:
                agent.drain(OWN_CATCH_UP_SECONDS)
            finally:
                agent.close()
            _look_at_spool(reading)
            return
    except (OSError, FlightlogError):
        return  # no right to write here, or another one was faster: then what is in the store is shown
    finally:
        own.leave()
    door.ring(home)
    before = reading.positions
    while time.monotonic() < deadline and (reading.backlog_bytes or _stands(reading, before)):
        time.sleep(0.01)
        _look_at_spool(reading)


def _stands(reading: Reading, before: dict[str, tuple[int, int, bool]]) -> bool:
    """Tell whether something waits that has not moved since *before*: lines of a run that goes on, or only the beginning of one."""
    return any(
        waits and reading.positions.get(writer) == before.get(writer) for writer, waits in reading.pending.items()
    )


def fetch_checkpoints(selector: str) -> Kept:
    """Return what the one run that *selector* names can be resumed from. This is the checkpoint fetcher (DESIGN D12): who starts a process calls it before.

    Ships first what lies here, as `reading_store`. Raises NotFound, SinkError, EmbeddedError, UsageError.
    """
    with reading_store() as reading:
        return checkpoints_of(reading.connection, selector)


def checkpoints_of(connection: Connection, selector: str) -> Kept:
    """Return the same from an open store. Raises NotFound, SinkError, UsageError."""
    from .query import checkpoints, runs, selectors

    found = selectors.resolve(connection, [selector])
    if len(found) != 1:
        raise NotFound(
            f"{selector} means {len(found)} runs, and one is resumed at a time", f"flightlog list {selector}"
        )
    run, back = runs.get(connection, found[0]), 0
    # What a program said around its own runs is nothing to be resumed.
    while run.kind == "implicit" and selector == run.pipeline:
        back += 1
        try:
            run = runs.get(connection, selectors.resolve(connection, [f"{selector}@-{back}"])[0])
        except NotFound:
            break
    return checkpoints.gather(connection, run)


def look_again(reading: Reading) -> None:
    """Find out anew what of this node's spool is not in the store. Raises SinkError."""
    _look_at_spool(reading)


def _look_at_spool(reading: Reading) -> None:
    """Compare the spool with the store's positions."""
    found = look(directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", "")))
    try:
        rows = reading.connection.execute(query("ingest", "positions").encode(), {"writers": list(found)}).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        rows = []  # who may not know positions may still read logs
    except psycopg.Error as problem:
        raise translate(problem, "cannot read positions") from problem
    known = {row[0]: (row[1], row[2], row[6]) for row in rows}
    reading.pending, reading.positions = {}, known
    reading.backlog_bytes = 0
    for writer, files in found.items():
        waiting = _waiting(files, *known.get(writer, (0, 0, False)))
        reading.pending[writer] = waiting
        if waiting > OPEN_LINE_BYTES or files.kind != CAPTURE or files.ended:
            reading.backlog_bytes += waiting


def _waiting(files: Files, segno: int, offset: int, closed: bool) -> int:
    if closed:
        return 0
    return sum(
        max(0, size - (offset if number == segno else 0)) for number, size in files.sizes.items() if number >= segno
    )
