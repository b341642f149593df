"""How full the spool is, in words and JSON: for `flightlog agent status` and `flightlog status`.

What the agent says on the control page is taken while it lives; without an agent the same is found out here, by the same rules, but for what only a
store in reach can tell. Owns: these facts' names (docs/reference/quota.md) and words.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from .. import identity
from ..config import control, quota, switch
from . import output

if TYPE_CHECKING:
    from ..wiring import Reading

LATE_SECONDS = 60.0  # what waits for longer than this is worth a word


def facts(reading: Reading | None = None) -> dict[str, Any]:
    """Return {pressure, quota_bytes, used_bytes, free_bytes, keep_free_bytes, oldest_unshipped_s} of this user's spool here.

    `oldest_unshipped_s` is 0.0 when nothing waits, None when nobody knows.
    """
    found = control.read(identity.control_path(switch.find_config()))
    if found is not None and found[1].quota:
        pressure, limits = found
        return _named(pressure, limits)
    return _looked_up(reading)


def words(found: dict[str, Any]) -> str:
    """Return what is unusual about it, as the end of a line; empty when nothing is."""
    parts = []
    if found["pressure"]:
        parts.append(f"pressure {pressure_words(found['pressure'])}")
    waits = found["oldest_unshipped_s"]
    if waits is not None and waits >= LATE_SECONDS:
        parts.append(f"the oldest waits for {output.duration(waits)}")
    return "".join(f", {part}" for part in parts)


def pressure_words(pressure: int) -> str:
    """Return a pressure with what it means."""
    means = ("none", "1 (DEBUG is dropped)", "2 (INFO is dropped)", "3 (all below WARNING is dropped)", "4 (full)")
    return means[min(pressure, quota.FULL)]


def lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts for people: (name, value)."""
    waits = found["oldest_unshipped_s"]
    lag = "unknown" if waits is None else f"the oldest record waits for {output.duration(waits)}" if waits else "none"
    disk = f"{output.size(found['free_bytes'])} free, {output.size(found['keep_free_bytes'])} of it are kept free"
    return [("disk", disk), ("pressure", pressure_words(found["pressure"])), ("lag", lag)]


def _named(pressure: int, limits: control.Limits) -> dict[str, Any]:
    waits: float | None = None
    if limits.oldest == control.NOTHING_WAITS:
        waits = 0.0
    elif limits.oldest != control.UNKNOWN:
        waits = round(max(0.001, time.time() - limits.oldest / 1e9), 3)
    return {
        "pressure": pressure,
        "quota_bytes": limits.quota,
        "used_bytes": limits.used,
        "free_bytes": limits.free,
        "keep_free_bytes": limits.keep,
        "oldest_unshipped_s": waits,
    }


def _looked_up(reading: Reading | None) -> dict[str, Any]:
    from .. import wiring
    from ..agent.acknowledged import Acknowledged
    from ..agent.lag import Oldest
    from ..agent.spool import directories
    from ..agent.spool_scan import look

    chosen = wiring.settings().spool
    disk = quota.disk(identity.spool_dir()) or quota.Disk(0, 1 << 62)
    most, keep = quota.quota_bytes(chosen.quota, disk.total), quota.keep_bytes(chosen.keep_free, disk.total)
    found = look(directories(identity.home(), os.environ.get("FLIGHTLOG_SPOOL", "")))
    known = Acknowledged()
    oldest = control.UNKNOWN
    if reading is not None:
        for writer, position in reading.positions.items():
            known.learn(writer, *position)
        oldest = Oldest().look(found, known)
    used = sum(known.waiting(files) for files in found.values())
    share = quota.share_used(used, most, disk.free, keep)
    return _named(quota.pressure(share, 0), control.Limits(most, keep, used, disk.free, oldest, 0))
