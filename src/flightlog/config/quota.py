"""How much the spool may hold, and what is given up first: the arithmetic of quota and pressure, and two bounded looks at a disk.

Invariants: pure but for `disk` and `directory_bytes`, which never raise and do a bounded amount of work; up at once, down only when there is
clearly room again, so that a level does not flicker. Owns: the rules that agent, shim and pipelines follow alike (docs/reference/quota.md).
Leaves saying them to `control`, files to others. Standard library only.
"""

from __future__ import annotations

import os
from collections import namedtuple

# An amount is bytes, a share of the file system, or both (0: not given). For a quota the smaller of the two counts, for what is kept
# free the larger.
Amount = namedtuple("Amount", ("bytes", "share"))
Disk = namedtuple("Disk", ("total", "free"))  # bytes; free: for everybody, not what is set aside for root

DEFAULT_QUOTA = Amount(2 * 10**9, 0.10)
DEFAULT_KEEP_FREE = Amount(10**9, 0.05)
SMALL_SHARE = 0.25  # the default keeps no more free than this: on a small file system 1 GB is everything

# Pressure: 0 none, 1 to 3 what the levels shed, 4 full. Share of the room at which a level begins; it ends RELEASE below that.
FULL = 4
PRESSURES = ((1.0, FULL), (0.95, 3), (0.85, 2), (0.70, 1))
RELEASE = 0.10
NEVER = 1 << 62
# Records below this level are shed, by pressure: DEBUG; INFO as well; all below WARNING; everything that is not kept at any price.
SHED_BELOW = (0, 20, 21, 30, NEVER)

LEAST_SEGMENT, MOST_SEGMENT = 64 << 10, 8 << 20
MAX_SIZES, MAX_NAMES = 256, 4096  # files whose size is asked for, and names read, in one look at a directory


def quota_bytes(amount: Amount, total: int) -> int:
    """Return a quota on a file system of *total* bytes (0: unknown)."""
    found = [int(part) for part in (amount.bytes, amount.share * total) if part]
    return min(found) if found else 0


def keep_bytes(amount: Amount, total: int) -> int:
    """Return how much is to stay free on a file system of *total* bytes (0: unknown)."""
    wanted = int(max(amount.bytes, amount.share * total))
    if amount == DEFAULT_KEEP_FREE and total:
        wanted = min(wanted, int(SMALL_SHARE * total))
    return wanted


def segment_bytes(quota: int) -> int:
    """Return the size at which a segment ends: small enough that a quota is not all in segments which nobody may remove yet."""
    return max(LEAST_SEGMENT, min(MOST_SEGMENT, quota // 16))


def share_used(used: int, quota: int, free: int, keep: int) -> float:
    """Return how much of its room the spool has used: 1.0 at its quota, or when only what is to be kept free is left.

    The room ends at the quota, or earlier where the disk does: what is used, and what is free beyond *keep*.
    """
    if free <= keep:
        return 1.0
    room = min(quota, used + free - keep)
    return used / room if room > 0 else 1.0


def pressure(share: float, before: int) -> int:
    """Return the pressure at *share*, after *before*: higher at once, lower only RELEASE below where the level begins."""
    for begins, level in PRESSURES:
        if share >= begins or (level <= before and share >= begins - RELEASE):
            return level
    return 0


def shares(quota: int, used: dict[int, int]) -> dict[int, int]:
    """Return each user's part of a node's quota, by uid; *used* is what each one has in the spool now.

    Half of an equal part is everybody's own, whatever the others do; the rest belongs to whoever needs it first. Together they never hold more
    than the quota.
    """
    floor = quota // (2 * len(used)) if len(used) > 1 else quota
    taken = {uid: max(count, floor) for uid, count in used.items()}
    everything = sum(taken.values())
    return {uid: max(floor, quota - (everything - taken[uid])) for uid in used}


def disk(path: str) -> Disk | None:
    """Return size and free room of the file system that *path* is on, or will be on; None when that cannot be known. Never raises."""
    while True:
        try:
            found = os.statvfs(path)
        except FileNotFoundError:
            above = os.path.dirname(path)
            if above == path or not above:
                return None
            path = above
            continue
        except (OSError, ValueError):
            return None
        unit = found.f_frsize or found.f_bsize
        return Disk(found.f_blocks * unit, found.f_bavail * unit)


def directory_bytes(path: str) -> int:
    """Return about how many bytes the files of one directory hold: counted, or estimated from a part when there are many. Never raises."""
    sized = names = total = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                names += 1
                if sized < MAX_SIZES:
                    try:
                        total += entry.stat(follow_symlinks=False).st_size
                        sized += 1
                    except OSError:
                        continue
                elif names >= MAX_NAMES:
                    break
    except OSError:
        pass
    return total if sized == names or not sized else total * names // sized
