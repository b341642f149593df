"""What is to be kept running, and how: the content of spec.json, from a controller to a caretaker.

Invariants: complete: nothing of the process that made it is needed any more; of its environment nothing that belongs to a run around it, and no
connection string. Owns: its fields, and what is taken over from the maker. Leaves starting it to `attempt`.
"""

from __future__ import annotations

import os

from .. import identity
from . import launch, outfile
from .restart import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

GRACE_SECONDS = 10.0
# Of flightlog's variables those that say where and who, not what run one is in.
KEPT = (
    b"FLIGHTLOG_HOME",
    b"FLIGHTLOG_NODE",
    b"FLIGHTLOG_CONFIG",
    b"FLIGHTLOG_CONTROL",
    b"FLIGHTLOG_SPOOL",
    b"FLIGHTLOG_AGENT",
    b"FLIGHTLOG_DSN_WITHHELD",
)
_SERVICE = (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID", b"LISTEN_PID", b"LISTEN_FDS")


class Program:
    """One program.

    Attributes:
        name: of the process.
        command: program and arguments.
        cwd, environment, umask: of the command.
        recorded: each attempt is a run under the recorder.
        pipeline, parent, config: of these runs.
        policy: when it is started again.
        grace_s: between SIGTERM and SIGKILL when nobody says otherwise.
        watchdog_s: it has to say WATCHDOG=1 as often once it has begun to; 0: it has not.
        max_bytes, backups: of its output files.
        group: the names it is restarted together with, in the order of their start; strategy: how (`restart.affected`).
        token: what marks its processes; the same as long as the directory exists.
    """

    __slots__ = (
        "backups",
        "command",
        "config",
        "cwd",
        "environment",
        "grace_s",
        "group",
        "max_bytes",
        "name",
        "parent",
        "pipeline",
        "policy",
        "recorded",
        "strategy",
        "token",
        "umask",
        "watchdog_s",
    )

    def __init__(self, name: str, command: Sequence[str], **more: Any) -> None:
        self.name = name
        self.command = list(command)
        self.cwd: str = more.get("cwd") or "/"
        self.environment: dict[str, str] = dict(more.get("environment") or {})
        self.umask: int = more.get("umask", 0o022)
        self.recorded: bool = bool(more.get("recorded"))
        self.pipeline: str = more.get("pipeline") or name
        self.parent: str = more.get("parent") or ""
        self.config: str = more.get("config") or ""
        policy = more.get("policy") or {}
        self.policy = policy if isinstance(policy, Policy) else Policy(**policy)
        self.grace_s: float = more.get("grace_s", GRACE_SECONDS)
        self.watchdog_s: float = more.get("watchdog_s") or 0.0
        self.max_bytes: int = more.get("max_bytes") or outfile.MAX_BYTES
        self.backups: int = more.get("backups") or outfile.BACKUPS
        self.group: list[str] = list(more.get("group") or ())
        self.strategy: str = more.get("strategy") or "one"
        self.token: str = more.get("token") or ""

    def as_json(self) -> dict[str, Any]:
        """Return it for spec.json."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["policy"] = self.policy.as_json()
        return found

    @property
    def mark(self) -> str:
        """What FLIGHTLOG_PROCESS says in its processes."""
        return "%s:%s" % (self.name, self.token)


def from_json(data: Mapping[str, Any]) -> Program | None:
    """Return the program that spec.json describes; None when that is none."""
    try:
        return Program(**data) if data.get("name") and data.get("command") else None
    except (TypeError, ValueError):
        return None


def environment_here(home: str, changes: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment that a process started from here gets: ours, with *changes*."""
    found = launch.user_environment()
    launch.withhold_database(found)
    for name in list(found):
        if name in _SERVICE or (name.startswith(b"FLIGHTLOG_") and name not in KEPT):
            del found[name]
    inject = os.fsencode(launch.INJECT)
    if b"PYTHONPATH" in found:  # put there for the run around us
        rest = b":".join([part for part in found[b"PYTHONPATH"].split(b":") if part != inject])
        if rest:
            found[b"PYTHONPATH"] = rest
        else:
            del found[b"PYTHONPATH"]
    found[b"FLIGHTLOG_HOME"] = os.fsencode(identity.absolute(home))
    for key, value in (changes or {}).items():
        found[os.fsencode(key)] = os.fsencode(value)
    return {os.fsdecode(key): os.fsdecode(value) for key, value in found.items()}


def umask_here() -> int:
    """Return our umask without setting it, which another thread could meet."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError, IndexError):
        pass
    return 0o022
