"""Where the connection string comes from, and that it is not seen.

It comes from the environment (FLIGHTLOG_DSN, FLIGHTLOG_DSN_FILE) or the config file (`database.dsn`, `database.dsn_file`), in this order; no option
of a command takes it, because everybody can read the arguments of a process.
Invariants: a file that holds a password and that others can read is refused; what a `Dsn` shows of itself is no part of it. Passwords may as well be
where libpq looks: PGPASSFILE, a service file. Owns: finding and reading it. Leaves its meaning to `store`.
"""

from __future__ import annotations

import os
import re
import stat

from ..errors import ConfigError

DSN, DSN_FILE = "FLIGHTLOG_DSN", "FLIGHTLOG_DSN_FILE"
MAX_BYTES = 64 << 10
_PASSWORD = re.compile(r"\b(password|sslpassword)\s*=|://[^/?#@\s]*:[^@\s]+@", re.I)


class Dsn(str):
    """A connection string that does not show itself: its repr is no part of it.

    Attributes:
        insecure: whether the configuration allows connections to other machines that are not proven to go to the right one.
    """

    insecure: bool

    def __new__(cls, text: str = "", insecure: bool = False) -> Dsn:
        """Make one of *text*."""
        made = super().__new__(cls, text)
        made.insecure = insecure
        return made

    def __repr__(self) -> str:
        return "<Dsn: not shown>" if self else "<Dsn: none>"


def from_environment() -> str:
    """Return what FLIGHTLOG_DSN or the file named by FLIGHTLOG_DSN_FILE holds, empty when neither is set. Raises ConfigError."""
    text = os.environ.get(DSN, "")
    if text:
        return text
    path = os.environ.get(DSN_FILE, "")
    return read_file(path, DSN_FILE) if path else ""


def read_file(path: str, named_by: str) -> str:
    """Return the connection string in file *path*: its first line. Raises ConfigError, which names the file but nothing in it.

    Args:
        path: absolute, or below the working directory.
        named_by: the setting that named it, for messages.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            data = os.read(fd, MAX_BYTES) if stat.S_ISREG(status.st_mode) else None
        finally:
            os.close(fd)
    except OSError as problem:
        raise ConfigError(
            f"{path}, named by {named_by}, cannot be read: {problem.strerror}", "check the path and its rights"
        ) from problem
    if data is None:
        raise ConfigError(f"{path}, named by {named_by}, is not a regular file", "write the connection string into one")
    lines = data.decode("utf-8", "replace").strip().splitlines()
    text = lines[0].strip() if lines else ""
    if not text:
        raise ConfigError(f"{path}, named by {named_by}, is empty", "write the connection string into its first line")
    who = seen_by(status, group_counts=True)
    if who and has_password(text):
        raise ConfigError(
            f"{path}, named by {named_by}, holds a password and can be read by {who}", f"chmod 600 {path}"
        )
    return text


def seen_by(status: os.stat_result, group_counts: bool = False) -> str:
    """Return who besides its owner can read a file, as words; empty when nobody can.

    The group counts, when wanted, only for a file that is not root's: root:flightlog 0640 is how a service gets its secrets.
    """
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return "everybody"
    if status.st_mode & stat.S_IWGRP or (group_counts and status.st_uid != 0 and status.st_mode & stat.S_IRGRP):
        return "its group"
    return ""


def has_password(text: str) -> bool:
    """Tell whether a connection string carries a password."""
    return _PASSWORD.search(text) is not None
