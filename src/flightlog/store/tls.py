"""Connections to other machines go to the right one, or not at all.

libpq's own default (`sslmode=prefer`) takes whoever answers. Here a server that is not on this machine has to show a certificate for its name
(`verify-full`, TLS 1.2 or newer), and where a password is sent, the server has to prove over the same connection that it knows it (channel binding).
What a connection string leaves open is filled in so; what it says otherwise is refused, unless `database.tls: insecure-allowed`.
On this machine is: a Unix socket, 127.0.0.0/8, ::1, `localhost`; a name is not, whatever address it has.
Owns: this rule. Leaves certificates and passwords to libpq, which takes them from its usual places.
"""

from __future__ import annotations

import ipaddress
import os
import threading

import psycopg
from psycopg import conninfo, pq

from ..errors import SinkMisconfigured

VERIFIED = {"sslmode": "verify-full", "ssl_min_protocol_version": "TLSv1.2", "gssencmode": "disable"}
_OLD_PROTOCOLS = ("tlsv1", "tlsv1.1")
_changing_environment = threading.Lock()


def parse(dsn: str) -> dict[str, str]:
    """Return what a connection string says. Raises SinkMisconfigured, without any part of it."""
    try:
        return {key: str(value) for key, value in conninfo.conninfo_to_dict(dsn).items() if value is not None}
    except (psycopg.Error, ValueError, UnicodeError):
        pass
    # Outside the handler: libpq's message repeats the connection string, and would be shown as the cause of ours.
    raise SinkMisconfigured(
        "the configured connection string (DSN) cannot be parsed",
        "write host=... dbname=... user=..., values with spaces in quotes; or postgresql://user@host/database",
    )


def secured(dsn: str, insecure: bool = False) -> dict[str, str]:
    """Return the parameters to connect with: those of *dsn*, and what it takes to reach the right server.

    Args:
        dsn: connection string or URI.
        insecure: what is not verified is not refused.

    Raises SinkMisconfigured when it says something that would not be safe.
    """
    given = parse(dsn)
    said = effective(given)
    if is_local(said.get("host", ""), said.get("hostaddr", "")):
        return given
    mode = said.get("sslmode", "")
    if mode and mode != "verify-full":
        if insecure:
            return given
        raise SinkMisconfigured(
            f"sslmode={mode} does not prove that {said.get('host') or said.get('hostaddr')} is the right server, and it is not on this machine",
            "sslmode=verify-full, with sslrootcert=FILE or sslrootcert=system; or in config.yml: database.tls: insecure-allowed",
        )
    oldest = said.get("ssl_min_protocol_version", "")
    if oldest.lower() in _OLD_PROTOCOLS and not insecure:
        raise SinkMisconfigured(
            f"ssl_min_protocol_version={oldest} allows protocols that are broken",
            "leave it out, or TLSv1.2; or in config.yml: database.tls: insecure-allowed",
        )
    if insecure and not mode:
        return given
    wanted = dict(VERIFIED)
    if _sends_password(said):
        wanted["channel_binding"] = "require"
    given.update((key, value) for key, value in wanted.items() if key not in said)
    return given


def is_local(host: str, address: str = "") -> bool:
    """Tell whether everything that a host and an address stand for (lists, separated by commas) is on this machine."""
    return all(_local_host(item) for item in host.split(",")) and all(_local_host(item) for item in address.split(","))


def effective(given: dict[str, str]) -> dict[str, str]:
    """Return what libpq will use: what was *given*, else the service's and the environment's; its built-in defaults are left out."""
    service = given.get("service", "")
    with _changing_environment:
        before = os.environ.get("PGSERVICE")
        if service:
            os.environ["PGSERVICE"] = service  # the only way in which libpq tells what a service says
        try:
            found = _defaults()
        finally:
            if service and before is None:
                del os.environ["PGSERVICE"]
            elif service and before is not None:
                os.environ["PGSERVICE"] = before
    return {**found, **given}


def explained(message: str) -> str:
    """Return what to do when a connection failed over its proof; empty when it did not."""
    if "channel binding" in message:
        return (
            "is the server behind a proxy, or does it not ask for a SCRAM password? Then say so: channel_binding=prefer"
        )
    if "certificate" in message or "SSL" in message:
        return "the server has to show a certificate for its name that sslrootcert=FILE (or =system) vouches for; see docs/howto/production-database.md"
    return ""


def _defaults() -> dict[str, str]:
    found = {}
    try:
        options = pq.Conninfo.get_defaults()
    except psycopg.Error:
        return {}
    for option in options:
        if option.val is not None and option.val != option.compiled:
            found[option.keyword.decode()] = option.val.decode("utf-8", "replace")
    return found


def _local_host(name: str) -> bool:
    if not name or name.startswith(("/", "@")) or name.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _sends_password(said: dict[str, str]) -> bool:
    """Tell whether there is a password to be sent: given, or in a file that libpq looks into."""
    if said.get("password") or os.environ.get("PGPASSWORD"):
        return True
    return os.path.isfile(said.get("passfile") or os.path.join(os.path.expanduser("~"), ".pgpass"))
