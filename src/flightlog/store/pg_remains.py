"""What a killed PostgreSQL leaves: processes that are about to go, and lock files that name a process nobody has reaped.

PostgreSQL takes a lock file's process for alive as long as its number is taken, also by a zombie: until whoever started the server, or the init
of a container, reaps it, which may be never, no other server starts. Invariants: a lock file is removed only when the process that it names is
dead for certain and no process of that cluster lives. Owns: this. Leaves starting to `embedded`, whose start.lock the caller holds.
"""

from __future__ import annotations

import contextlib
import os
import time

from .. import identity

GONE_SECONDS = 10.0  # for processes of a server whose postmaster was killed; they notice at once, unless in the middle of something


def make_way(data: str, socket: str) -> None:
    """Wait until nothing of a killed server is there any more, and remove lock files of a zombie's. Does nothing for one that lives. Never raises.

    Args:
        data: the cluster's directory.
        socket: of the server; its lock file lies beside it.
    """
    paths = [path for path in (os.path.join(data, "postmaster.pid"), socket + ".lock") if os.path.exists(path)]
    if not paths or not os.path.isdir("/proc/self"):
        return
    deadline = time.monotonic() + GONE_SECONDS
    while _processes_in(data):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    for path in paths:
        if _is_of_a_zombie(path):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _processes_in(data: str) -> bool:
    """Tell whether a process works in *data*, as each one of a server does."""
    place = os.path.realpath(data)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/cwd") == place:
                    return True
    return False


def _is_of_a_zombie(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            pid = int(file.readline())
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().startswith("postgres") and identity.process_state(pid) in ("Z", "X")
    except (OSError, ValueError):
        return False
