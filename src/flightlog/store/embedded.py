"""The embedded PostgreSQL: one server per FLIGHTLOG_HOME, for those who have no other.

    HOME/pg/data   the cluster        HOME/pg/sock   its socket, 0700, the only way in        HOME/pg/log   what it says
    HOME/pg/start.lock   flock(2): one starts it at a time

Invariants: no TCP; peer authentication with a map of exactly two or three accounts; as root it runs as an unprivileged account and nothing outside
HOME changes its mode; it outlives who started it and inherits nothing from it. Owns: making, starting and stopping this server. Leaves the
programs to `pg_programs`, what a killed server left to `pg_remains`, the schema to `migrate`. Not done by the package's own interface: that opens parent directories and trusts everybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import signal
import subprocess
import time
import zlib

import psycopg

from .. import identity
from ..errors import EmbeddedError
from . import pg_programs, pg_remains
from .pg_programs import Account, Programs

DATABASE = ROLE = "flightlog"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
SOCKET_BYTES = 107  # unix(7): sun_path, less its final NUL
_SOCKET_NAME = "/.s.PGSQL.5432"
_MAX_LOG_BYTES = 8 << 20
_CONFIGURATION = """
# flightlog
listen_addresses = ''
max_connections = 60
shared_buffers = 128MB
max_wal_size = 1GB
wal_level = minimal
max_wal_senders = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_started: list[subprocess.Popen[bytes]] = []  # kept, so that none is reported as forgotten


class EmbeddedServer:
    """The server of one home.

    Args:
        home: FLIGHTLOG_HOME; made if needed.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.folder = os.path.join(home, "pg")
        self.data = os.path.join(self.folder, "data")

    @property
    def pid(self) -> int:
        """The postmaster's process id, 0 when it does not run."""
        return _postmaster(self.data)[0]

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.pid != 0

    @property
    def version(self) -> str:
        """Major version of the cluster, empty before there is one."""
        try:
            with open(os.path.join(self.data, "PG_VERSION"), encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""

    def start(self, fast: bool = False) -> str:
        """Start the server if it does not run; return its DSN.

        Args:
            fast: without any flushing to disk, for tests; what it holds does not survive a crash of the machine.

        Blocks for seconds when the cluster is made, else for less than one. Raises EmbeddedError.
        """
        if running_dsn(self.home):
            return self._dsn(pg_programs.account())
        if "\n" in self.folder:
            raise EmbeddedError(  # the server's own postmaster.pid gives a line to each path
                f"the embedded PostgreSQL cannot be kept in {self.folder!r}: there is a line break in the path",
                "set FLIGHTLOG_HOME to a directory without one, or use a server of your own: FLIGHTLOG_DSN",
            )
        account = pg_programs.account()
        try:
            return self._start(account, fast)
        except PermissionError as problem:
            raise EmbeddedError(
                f"the embedded PostgreSQL in {self.folder} is not this user's: {problem.filename}: {problem.strerror}",
                "ask as the user it belongs to, or set FLIGHTLOG_HOME to a directory of yours, or use a server: FLIGHTLOG_DSN",
            ) from problem
        except (OSError, subprocess.SubprocessError) as problem:
            raise EmbeddedError(
                f"the embedded PostgreSQL in {self.folder} cannot be started: {problem}", self._hint()
            ) from problem

    def stop(self, immediate: bool = False) -> bool:
        """Stop the server, clients or not; False when it did not run. *immediate*: like a crash. Raises EmbeddedError."""
        pid, _, _ = _postmaster(self.data)
        if not pid:
            return False
        try:
            os.kill(pid, signal.SIGQUIT if immediate else signal.SIGINT)
            deadline = time.monotonic() + STOP_SECONDS
            while _runs(pid):
                for process in _started:
                    process.poll()
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGQUIT)
                    deadline = time.monotonic() + STOP_SECONDS
                time.sleep(0.01)
        except ProcessLookupError:
            pass
        except PermissionError as problem:
            raise EmbeddedError(
                f"the server (process {pid}) belongs to another user", "stop it as that user"
            ) from problem
        return True

    def _start(self, account: Account, fast: bool) -> str:
        identity.make_home(self.home)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
        lock = os.open(os.path.join(self.folder, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if running_dsn(self.home):
                return self._dsn(account)
            if account.lent and os.stat(self.folder).st_uid == os.geteuid():
                # Only here, in the lock: whoever made it may not have come so far, or no further.
                os.chmod(self.folder, 0o711)  # noqa: S103 - passed, not listed
            account.must_reach(self.folder)
            programs = pg_programs.find(self.folder, account)
            if not self.version:
                self._make(programs, account)
            elif self.version != programs.major:
                raise EmbeddedError(
                    f"{self.data} was made by PostgreSQL {self.version}, here is {programs.major}",
                    f"install PostgreSQL {self.version}, or move {self.folder} away to begin anew (what was shipped stays in it)",
                )
            self._launch(programs, account, fast)
            dsn = self._dsn(account)
            self._ensure_database(dsn)
            return dsn
        finally:
            os.close(lock)

    def _make(self, programs: Programs, account: Account) -> None:
        """Make the cluster beside its place and move it there: a half made one is never taken for whole.

        In a folder of this attempt's own: the initdb of somebody who was killed may still be at work in his, and clears it away when it fails.
        """
        for left in glob.glob(os.path.join(glob.escape(self.folder), "new*")):
            shutil.rmtree(left, ignore_errors=True)
        folder = os.path.join(self.folder, f"new-{secrets.token_hex(4)}")
        account.own_folder(folder)
        fresh = os.path.join(folder, "data")
        arguments = ["-D", fresh, "-U", ROLE, "--auth-local=peer", "--auth-host=reject", "-E", "UTF8", "--no-locale"]
        done = programs.run("initdb", [*arguments, "--no-instructions", "-N"], account)
        if done.returncode != 0:
            raise EmbeddedError(
                f"initdb failed in {self.folder}: {done.stderr.decode('utf-8', 'replace').strip()[-500:]}", self._hint()
            )
        with open(os.path.join(fresh, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(_CONFIGURATION)
        with open(os.path.join(fresh, "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write(f"local all {ROLE} peer map={ROLE}\n")
        with open(os.path.join(fresh, "pg_ident.conf"), "w", encoding="utf-8") as file:
            for name in sorted({account.name, pg_programs.caller()}):
                file.write(f'{ROLE} "{name}" {ROLE}\n')
        os.rename(fresh, self.data)
        os.rmdir(folder)

    def _launch(self, programs: Programs, account: Account, fast: bool) -> None:
        _started[:] = [
            process for process in _started if process.poll() is None
        ]  # one that was killed counts as running till then
        folder = self._socket_folder(account)
        pg_remains.make_way(self.data, folder + _SOCKET_NAME)
        log_path = os.path.join(self.folder, "log")
        with contextlib.suppress(OSError):
            if os.path.getsize(log_path) > _MAX_LOG_BYTES:
                os.replace(log_path, log_path + ".1")
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            escaped = folder.replace('"', '""')
            options = [f'unix_socket_directories="{escaped}"', "unix_socket_permissions=0700", *(_FAST if fast else ())]
            arguments = ["-D", self.data]
            for option in options:
                arguments += ["-c", option]
            process = programs.launch("postgres", arguments, account, log)
        finally:
            os.close(log)
        _started.append(process)
        deadline = time.monotonic() + START_SECONDS
        while _postmaster(self.data)[1:] != ("ready", folder):
            if process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the embedded PostgreSQL in {self.folder} did not start: {_tail(log_path)}", self._hint()
                )
            time.sleep(0.01)

    def _ensure_database(self, dsn: str) -> None:
        try:
            with psycopg.connect(dsn.replace(f"dbname={DATABASE}", "dbname=postgres"), autocommit=True) as connection:
                there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                if there is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        except psycopg.Error as problem:
            raise EmbeddedError(f"the embedded PostgreSQL does not let us in: {problem}", self._hint()) from problem

    def _dsn(self, account: Account) -> str:
        return _dsn_of(_postmaster(self.data)[2] or self._socket_folder(account))

    def _socket_folder(self, account: Account) -> str:
        """Return the directory of the socket, made if needed; another one when the home's path is too long for a socket."""
        folder = os.path.join(self.folder, "sock")
        if len(os.fsencode(folder + _SOCKET_NAME)) > SOCKET_BYTES:
            name = "flightlog-%d-%08x" % (account.uid, zlib.crc32(os.fsencode(os.path.realpath(self.home))))
            folder = os.path.join("/tmp", name)  # noqa: S108 - checked for owner and mode below
        account.own_folder(folder)
        status = os.lstat(folder)
        if status.st_uid != account.uid or status.st_mode & 0o170077 != 0o040000:
            raise EmbeddedError(
                f"{folder} is not a directory of {account.name}'s own", "remove it, or set FLIGHTLOG_HOME"
            )
        return folder

    def _hint(self) -> str:
        return f"read {os.path.join(self.folder, 'log')}; or use a server of your own: FLIGHTLOG_DSN"


def running_dsn(home: str) -> str | None:
    """Return the DSN of the running server of *home*, None when it does not run or is not ready. Reads one small file."""
    pid, state, folder = _postmaster(os.path.join(home, "pg", "data"))
    return _dsn_of(folder) if pid and state == "ready" and folder else None


def was_killed(home: str) -> bool:
    """Tell whether the server of *home* has ended without being stopped: who stops it removes its pid file."""
    data = os.path.join(home, "pg", "data")
    return os.path.exists(os.path.join(data, "postmaster.pid")) and _postmaster(data)[0] == 0


def _dsn_of(folder: str) -> str:
    quoted = folder.replace("\\", "\\\\").replace("'", "\\'")
    return f"host='{quoted}' dbname={DATABASE} user={ROLE}"


def _postmaster(data: str) -> tuple[int, str, str]:
    """Return (pid, state, socket directory) from postmaster.pid; zeros when no postmaster runs, whatever the file says."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return 0, "", ""
    if not _runs(pid):
        return 0, "", ""
    return (
        pid,
        (lines[7].strip() if len(lines) > 7 else ""),
        (lines[4].split(",")[0].strip('"') if len(lines) > 4 else ""),
    )


def _runs(pid: int) -> bool:
    """Tell whether process *pid* is a postgres that runs: after a crash the number may be somebody else's."""
    if identity.process_state(pid) in ("", "Z", "X"):
        return False
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"postgres" in file.read().split(b"\0")[0]
    except OSError:
        return os.path.isdir("/proc/self") is False


def _tail(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return " | ".join(file.read()[-2000:].strip().splitlines()[-4:])
    except OSError:
        return "it said nothing"
