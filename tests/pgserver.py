"""A PostgreSQL of the system's beside the embedded one: for TLS, which the embedded build lacks, and for the oldest version we support.

Listens on a loopback address of its own, so that no port is fought over; its superuser is `flightlog`, by a socket that only its account reaches.
"""

import contextlib
import glob
import os
import random
import shutil
import signal
import subprocess
import tempfile

import psycopg

from flightlog.store import pg_programs
from flightlog.store.pg_programs import Programs
from waiting import wait_until


def system_programs():
    """The programs of the oldest PostgreSQL that Debian's packages have put here and we support; None when there is none."""
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2])):
        major = folder.split("/")[-2]
        if int(major) >= pg_programs.OLDEST and os.path.exists(os.path.join(folder, "initdb")):
            return Programs(folder, major)
    return None


class Server:
    """What `running` yields: `dsn` of the superuser by socket, `address` of TCP, `major`, and `folder`, in which its account may read."""

    def __init__(self, folder, address, major, account):
        self.folder, self.address, self.major, self.account = folder, address, major, account
        self.dsn = f"host='{folder}' dbname=postgres user=flightlog"

    def give(self, path, mode=0o600):
        """Make a file the server's own."""
        if self.account.lent:
            os.chown(path, self.account.uid, self.account.gid)
        os.chmod(path, mode)


@contextlib.contextmanager
def running(programs, prepare=None, lines=(), hba=()):
    """A fresh server; *prepare*(server) may put files into its folder before it starts and returns more lines of configuration."""
    account = pg_programs.account()
    folder = tempfile.mkdtemp(prefix="fl-pg-", dir="/tmp")
    os.chmod(folder, 0o711)
    address = "127.%d.%d.%d" % (random.randrange(2, 250), random.randrange(250), random.randrange(2, 250))
    server = Server(os.path.join(folder, "own"), address, programs.major, account)
    account.own_folder(server.folder)
    data = os.path.join(server.folder, "data")
    process = None
    try:
        done = programs.run(
            "initdb", ["-D", data, "-U", "flightlog", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"], account
        )
        assert done.returncode == 0, done.stderr
        more = prepare(server) if prepare else ()
        with open(os.path.join(data, "postgresql.conf"), "a") as file:
            file.write(
                "\n".join(
                    [
                        f"listen_addresses = '{address}'",
                        f"unix_socket_directories = '{server.folder}'",
                        "fsync = off",
                        *lines,
                        *more,
                    ]
                )
                + "\n"
            )
        with open(os.path.join(data, "pg_hba.conf"), "w") as file:
            file.write("\n".join(["local all all trust", *hba]) + "\n")
        log_path = os.path.join(folder, "log")
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        process = programs.launch("postgres", ["-D", data], account, log)
        os.close(log)

        def ready():
            assert process.poll() is None, open(log_path).read()
            try:
                psycopg.connect(server.dsn).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(ready, 60, "the server")
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


class Authority:
    """A certificate authority of our own, with the openssl program, in *folder*."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = str(folder), name
        os.makedirs(self.folder, exist_ok=True)
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.crt", "-addext", "basicConstraints=critical,CA:TRUE", cwd=self.folder,
        )  # fmt: skip
        self.certificate = os.path.join(self.folder, f"{name}.crt")

    def issue(self, host):
        """Paths of a key and a certificate for *host*."""
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={host}",
            "-keyout",
            f"{host}.key",
            "-out",
            f"{host}.csr",
            cwd=self.folder,
        )
        with open(os.path.join(self.folder, f"{host}.ext"), "w") as file:
            file.write(f"subjectAltName=DNS:{host}\n")
        openssl(
            "x509", "-req", "-in", f"{host}.csr", "-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{host}.ext", "-out", f"{host}.crt", cwd=self.folder,
        )  # fmt: skip
        return os.path.join(self.folder, f"{host}.key"), os.path.join(self.folder, f"{host}.crt")
