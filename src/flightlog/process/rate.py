"""How fast the processes of one home may be restarted together: when everything failed at once, not everything comes back at once.

One small file, `<home>/processes/.starts`, under flock(2): a bucket of tokens on the clock that counts since boot. Starts that a person asks for
take none. Owns: that file. Leaves the arithmetic to `restart`. Never raises, never blocks longer than 0.2 s: without it nobody waits.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

from .. import identity
from .restart import reserve
from .statedir import FOLDER

BURST, PER_SECOND = 10.0, 2.0
PATIENCE_SECONDS = 0.2
_FORM = struct.Struct("=dd32s")  # tokens, seconds since boot, boot id


def boottime() -> float:
    """Return the seconds since boot, those asleep included: it never jumps, and is the same for all processes."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic()


def turn(home: str, burst: float = BURST, per_second: float = PER_SECOND) -> float:
    """Take a place in the queue; return the seconds until it is our turn."""
    try:
        fd = os.open(os.path.join(home, FOLDER, ".starts"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return 0.0
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    return 0.0
                time.sleep(0.002)
        now, boot = boottime(), identity.boot_id().encode("ascii")
        tokens, then = burst, now
        data = os.pread(fd, _FORM.size, 0)
        if len(data) == _FORM.size:
            kept, at, whose = _FORM.unpack(data)
            if whose == boot and -1e6 < kept <= burst and at <= now:
                tokens, then = kept, at
        level, wait = reserve(tokens, now - then, burst, per_second)
        os.pwrite(fd, _FORM.pack(level, now, boot), 0)
        return wait
    except OSError:
        return 0.0
    finally:
        os.close(fd)
