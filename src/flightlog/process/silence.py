"""For how long a run has been silent: neither output nor a record of one of its processes.

Output is what the capture has taken. Records are looked for where they must be: in the segments of the spool that the run's processes hold open, by
their size; what grew by heartbeats and metrics alone has not grown. That is looked at each second when a stall would be near, and rarely else. A run that is stopped
(SIGSTOP, Ctrl-Z, a debugger) is not silent, its clock stands. Owns: this clock. Leaves what follows from it to `hang`. Never raises.
"""

from __future__ import annotations

import os

from ..journal.format import FRAME_HEAD, FRAME_HEAD_BYTES, SEGMENT_SUFFIX, TAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

    from .pump import Pump

MOST = 4096  # descriptors of one process that are looked through
READ_BYTES = 64 << 10
ALIVE = (
    b'"ev":"heartbeat"',
    b'"ev":"metrics"',
)  # alive is not progressing; a run inside this one is looked at by its own shim


class Silence:
    """See the module.

    Args:
        spool: where the run's processes write.
        now: monotonic seconds.

    Attributes:
        since: when something was last said (monotonic seconds; later, when the run was stopped in between).
        deaf_until: until then records do not count: who was asked for its stacks may record that it was asked.
    """

    def __init__(self, spool: str, now: float) -> None:
        self.since = now
        self.deaf_until = 0.0
        self._spool = os.path.realpath(spool) + os.sep
        self._bytes = -1
        self._sizes: dict[str, int] = {}
        self._journals_at = 0.0
        self._looked_at = now

    def look(self, now: float, pumps: Sequence[Pump], pids: Iterable[int], stopped: bool, after: float) -> float:
        """Return the seconds of silence.

        Args:
            now: monotonic seconds.
            pumps: the run's streams.
            pids: its processes.
            stopped: whether its own process is.
            after: what would be a stall.
        """
        count = sum([pump.before + pump.end for pump in pumps])
        if count != self._bytes:
            self._bytes = count
            self.since = now
        if stopped:
            self.since = min(now, self.since + now - self._looked_at)
        self._looked_at = now
        if now - self.since >= after or now >= self._journals_at:
            self._journals_at = now + max(1.0, min(30.0, after / 20))
            if self._journals_grew(pids) and now >= self.deaf_until:
                self.since = now
        return now - self.since

    def _journals_grew(self, pids: Iterable[int]) -> bool:
        sizes: dict[str, int] = {}
        grew = False
        for pid in pids:
            for path, link in self._segments(pid):
                try:
                    size = os.stat(link).st_size
                except OSError:
                    continue
                before = self._sizes.get(path)
                sizes[path] = size
                if before is None:
                    grew = grew or size > 0
                elif size > before:
                    grew = grew or not only_heartbeats(link, before, size)
        self._sizes = sizes
        return grew

    def _segments(self, pid: int) -> list[tuple[str, str]]:
        """Return (path, link to it) of the segments that a process has open."""
        folder = "/proc/%d/fd/" % pid
        found: list[tuple[str, str]] = []
        try:
            names = os.listdir(folder)
        except OSError:
            return found
        for name in names[-MOST:]:  # a writer's descriptor is a high one
            try:
                target = os.readlink(folder + name)
            except OSError:
                continue
            if target.startswith(self._spool) and SEGMENT_SUFFIX in target:
                found.append((target.split(" ")[0], folder + name))
        return found


def only_heartbeats(path: str, begin: int, end: int) -> bool:
    """Tell whether a segment's frames from *begin* on are nothing but heartbeats; not when that cannot be seen."""
    if end - begin > READ_BYTES:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        data = os.pread(fd, end - begin, begin)
    except OSError:
        return False
    finally:
        os.close(fd)
    at = 0
    while at + FRAME_HEAD_BYTES <= len(data):
        word = FRAME_HEAD.unpack_from(data, at)[1]
        length = word & 0xFFFFFF
        payload = data[at + FRAME_HEAD_BYTES : at + FRAME_HEAD_BYTES + length]
        if word >> 24 != TAG or not any(word in payload for word in ALIVE):
            return False
        at += FRAME_HEAD_BYTES + length
    return at > 0
