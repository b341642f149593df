"""What a shell completes: pipelines and recent runs.

Invariants: never prints, never starts anything, answers in a second at most; nothing that could steer a terminal is offered. What was asked of
the store is kept for a while in HOME/complete-<store>.json (0600), so that the next Tab loads no database driver.
Owns: that file. Leaves the words of a command to click.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from typing import Any

import click

from .. import identity

RUNS = 200
SECONDS = 1  # the longest that the store is waited for
FRESH_SECONDS = 20.0
Recent = list[tuple[str, str, str]]  # pipeline, short form, state


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return pipelines, and short ids of recent runs, that begin with what was typed; nothing when the store is not at hand."""
    found = _recent()
    names = {pipeline: "pipeline" for pipeline, _, _ in found}
    names.update((short, f"{pipeline} {state}") for pipeline, short, state in found)
    return _items(names, incomplete)


def complete_pipelines(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Return pipelines that begin with what was typed; nothing when the store is not at hand."""
    return _items({pipeline: "pipeline" for pipeline, _, _ in _recent()}, incomplete)


def _recent() -> Recent:
    try:
        path = _path()
        known = _kept(path)
        if known is None:
            known = _asked()
            with contextlib.suppress(OSError):
                _keep(path, known)
        return known
    except Exception:  # a completion must never print
        return []


def _path() -> str:
    chosen = "\0".join(os.environ.get(name, "") for name in ("FLIGHTLOG_DSN", "FLIGHTLOG_CONFIG"))
    return os.path.join(identity.home(), "complete-%08x.json" % zlib.crc32(os.fsencode(chosen + "\0" + os.getcwd())))


def _kept(path: str) -> Recent | None:
    """Return what was kept, None when that is too old or cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or not 0 <= time.time() - status.st_mtime < FRESH_SECONDS:
                return None
            return [(str(pipeline), str(short), str(state)) for pipeline, short, state in json.load(file)]
    except (OSError, ValueError, TypeError):
        return None


def _keep(path: str, found: Recent) -> None:
    identity.make_home(identity.home())
    fresh = f"{path}.{os.getpid()}"
    with open(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(found, file)
    os.replace(fresh, path)


def _asked() -> Recent:
    from psycopg import conninfo

    from .. import wiring
    from ..config.dsn import Dsn
    from ..query import runs
    from ..store.db import connect

    known = wiring.store_dsn(start=False)
    patient = conninfo.make_conninfo(known, connect_timeout=SECONDS)
    dsn = Dsn(patient, getattr(known, "insecure", False))  # what it is made of says nothing about that
    with connect(dsn, "flightlog completion", statement_seconds=SECONDS) as connection:
        wiring.look_only(connection)
        return [(run.pipeline, run.short, run.state) for run in runs.list_runs(connection, limit=RUNS)]


def _items(names: dict[str, str], incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    from .output import one_line

    plain = {name: text for name, text in names.items() if name.startswith(incomplete) and name == one_line(name)}
    return [CompletionItem(name, help=one_line(text)) for name, text in plain.items()]
