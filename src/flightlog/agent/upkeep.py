"""Beside shipping, in a thread of its own: flush what pipelines have written, keep the spool within its quota, say that somebody watches, obey the
kill switch.

Invariants: a sink that hangs never keeps the spool from being flushed (DESIGN D9: at power loss at most the last second) nor the kill switch from
being heard (D13: 5 s) nor acknowledged segments from being given up before a record is shed. One page per user, so that who writes much is told to
write less and the others are not. Owns: fdatasync, control pages, the compiled settings, when to look. Leaves the rules to `config.quota`, removal to
`retire`. Touches no sink.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import identity
from ..config import control, quota, switch
from ..config.compiling import Rules
from ..config.control import ControlPage, Limits
from ..config.quota import DEFAULT_KEEP_FREE, DEFAULT_QUOTA, Amount
from ..errors import SegmentError
from ..journal import reserve
from ..journal.format import CAPTURE_SUFFIX, SEGMENT_SUFFIX, segment_name
from ..system import os, time
from .abandoned import remove_abandoned
from .acknowledged import Acknowledged
from .hint import Hint
from .lag import Oldest
from .retire import retire
from .spool import CAPTURE, Files, bytes_of, directories, flush_folder
from .spool_scan import Scan

EVERY_SECONDS = 0.5  # twice in the second that a power cut may take: flushing takes its time as well
SHORTEST_SECONDS = 0.05  # between two looks, when the spool fills fast
UNSEEN_RATE = (
    20e6  # bytes per second that may begin between two looks without passing a whole level; from 400 MB of quota on
)
RESERVE_EVERY = 20  # rounds
ABANDONED_EVERY = 1000
OTHERS_MODE, PASSABLE_MODE = 0o644, 0o711  # of another user's page and of the directory: pressure is no secret
LEVEL_SHARE = 0.05  # of the quota: the narrowest level
ASK_SECONDS = 10.0  # for which a new agent waits to hear what the store has before it takes everything for unshipped
CROWDED = 0.5  # share of the room from which on acknowledged segments are not kept any longer


class Wanted(NamedTuple):
    """What the settings say: quota, what stays free, and for how many seconds a full spool may keep a pipeline waiting."""

    quota: Amount = DEFAULT_QUOTA
    keep_free: Amount = DEFAULT_KEEP_FREE
    block: float = 0.0


class Upkeep:
    """The thread.

    Args:
        home: FLIGHTLOG_HOME.
        chosen: FLIGHTLOG_SPOOL or empty.
        config: the config file whose switch is watched, or empty.
        wanted: returns what the settings say now; asked at each look, twice a second or more often. Must not raise.

    Attributes:
        acknowledged: what the store is known to have; the agent fills it.
        hint: is told what is removed, before it is; the agent's.
        pressure: the highest of all users, 0 to 4.
        limits: of the node: quota, use, free room, the oldest that waits.
        disabled: the kill switch.
    """

    def __init__(self, home: str, chosen: str, config: str, wanted: Callable[[], Wanted] = Wanted) -> None:
        self._home, self._chosen, self._config, self._wanted = home, chosen, config, wanted
        self._rules = Rules(config)
        self.say: Callable[[str], None] = lambda text: None  # where to say what is wrong with the config file
        self._sizes: dict[tuple[str, str, int], int] = {}
        self._flushed: dict[str, Files] = {}
        self._stop = threading.Event()
        self._pages: dict[int, ControlPage | None] = {}
        self._pressures: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="flightlog-upkeep", daemon=True)
        self._oldest = Oldest()
        self._flush_at = 0.0
        self._began = time.monotonic()
        self._used = (0.0, 0)  # when, and how much was in the spool then
        self.acknowledged = Acknowledged()
        self._scan = Scan(self.acknowledged.closed)
        self.hint: Hint | None = None
        self.limits = control.NO_LIMITS
        self.pressure = 0
        self.disabled = False
        self.rounds = 0

    def start(self) -> None:
        """Begin."""
        self._page(os.geteuid())
        self._thread.start()

    def stop(self) -> None:
        """End, after a last flush. Blocks for as long as the disk does, at most 5 s."""
        self._stop.set()
        self._thread.join(5.0)

    def status(self) -> dict[str, Any]:
        """Return what others are told about the room there is."""
        limits = self.limits
        waits = limits.oldest not in (control.NOTHING_WAITS, control.UNKNOWN)
        return {
            "pressure": self.pressure,
            "quota_bytes": limits.quota,
            "used_bytes": limits.used,
            "free_bytes": limits.free,
            "keep_free_bytes": limits.keep,
            "oldest_unshipped_s": max(0.0, time.time() - limits.oldest / 1e9) if waits else 0.0,
        }

    def _run(self) -> None:
        pause = 0.0
        while True:
            last = self._stop.wait(pause)
            pause = self._round(last)
            if last:
                return

    def _round(self, last: bool = False) -> float:
        """Look once; return when to look again, in seconds from now."""
        wrong = self._rules.look()
        if wrong:
            self.say(f"the config file is not taken, what it said before holds: {wrong}")
        folders = directories(self._home, self._chosen)
        found = self._scan.look(folders)
        self.disabled = not switch.file_enabled(self._config)
        pause = self._weigh(folders, found)
        if last or time.monotonic() >= self._flush_at:
            self._flush_at = time.monotonic() + EVERY_SECONDS
            self._flush(found)
        if self.rounds % RESERVE_EVERY == 0:
            for folder in folders:
                if _owner(folder) == os.geteuid() and os.path.isdir(folder):
                    reserve.sweep(folder)
                    if self.pressure < quota.FULL:
                        reserve.fill(folder)
        if self.rounds % ABANDONED_EVERY == ABANDONED_EVERY - 1:
            for folder in folders:
                remove_abandoned(folder)
        self.rounds += 1
        return pause

    # -- room ---------------------------------------------------------------------------------------------------------

    def _weigh(self, folders: list[str], found: dict[str, Files]) -> float:
        """Find out how full it is, give up what is acknowledged if need be, and tell everybody; return when to look again."""
        wanted = self._wanted()
        disk = quota.disk(folders[0] if folders else self._home)
        total, free = disk or (0, 1 << 62)
        most, keep = quota.quota_bytes(wanted.quota, total), quota.keep_bytes(wanted.keep_free, total)
        if quota.share_used(bytes_of(found), most, free, keep) >= CROWDED:
            freed = retire(found, self.acknowledged, spare=False, hint=self.hint)
            if freed:
                found.clear()
                found.update(self._scan.look(folders))
                disk = quota.disk(folders[0])
                free = disk.free if disk else free
        oldest = self._oldest.look(found, self.acknowledged)
        users = self._users(folders, found)
        parts = quota.shares(most, users)
        share = 0.0
        for uid, used in users.items():
            one = quota.share_used(used, parts[uid], free, keep)
            self._pressures[uid] = quota.pressure(one, self._pressures.get(uid, 0))
            share = max(share, one)
            page = self._page(uid)
            if page is not None:
                page.set_limits(Limits(parts[uid], keep, used, free, oldest, wanted.block * 1000))
                page.set_state(self._pressures[uid], self.disabled)
                page.beat()
        self.pressure = max(self._pressures.get(uid, 0) for uid in users)
        self.limits = Limits(most, keep, sum(users.values()), free, oldest, wanted.block * 1000)
        return self._pause(share, most)

    def _users(self, folders: list[str], found: dict[str, Files]) -> dict[int, int]:
        """Return how many bytes each user has in the spool that are not in the store."""
        owner = {folder: _owner(folder) for folder in folders}
        users = dict.fromkeys(owner.values(), 0)
        users.setdefault(os.geteuid(), 0)
        if not self.acknowledged.asked and time.monotonic() - self._began < ASK_SECONDS:
            return users  # most of it may be in the store: nobody drops a record because an agent has just begun
        closed = self.acknowledged.closed()
        for writer, files in found.items():
            if writer not in closed:
                users[owner[files.directory]] += self.acknowledged.waiting(files)
        return users

    def _page(self, uid: int) -> ControlPage | None:
        """Return a user's page, made when it is first needed; None where it cannot be: his writers then look for themselves."""
        if uid not in self._pages:
            path = identity.control_path(self._config, uid)
            own = uid == os.geteuid()
            self._pages[uid] = None
            try:
                if own:
                    self._pages[uid] = ControlPage(path)
                elif path != identity.control_path(self._config):
                    self._pages[uid] = ControlPage(path, OTHERS_MODE)
                    os.chmod(os.path.dirname(path), PASSABLE_MODE)
            except OSError:
                pass
        return self._pages[uid]

    def _pause(self, share: float, most: int) -> float:
        """Return when to look again: sooner when, as fast as it fills now, the next level is less than two looks away."""
        longest = min(EVERY_SECONDS, max(2 * SHORTEST_SECONDS, most * LEVEL_SHARE / UNSEEN_RATE))
        now, used = time.monotonic(), self.limits.used
        before, self._used = self._used, (now, used)
        grown = (used - before[1]) / max(1e-3, now - before[0])
        above = [begins for begins, _ in quota.PRESSURES if begins > share]
        if grown <= 0 or not above or not before[0]:
            return longest
        seconds: float = (min(above) - share) * most / grown / 2
        return min(longest, max(SHORTEST_SECONDS, seconds))

    # -- durability ---------------------------------------------------------------------------------------------------

    def _flush(self, found: dict[str, Files]) -> None:
        seen: dict[tuple[str, str, int], int] = {}
        flushed = dict(found)
        grown = set()
        before = self._flushed.get
        others = [files for writer, files in found.items() if before(writer) is not files]  # settled ones stay the same
        for files in others:
            suffix = CAPTURE_SUFFIX if files.kind == CAPTURE else SEGMENT_SUFFIX
            for number, size in files.sizes.items():
                key = (files.directory, files.writer, number)
                if key not in self._sizes:
                    grown.add(files.directory)  # fsync(2): flushing a file does not flush its name
                if self._sizes.get(key) == size or _flush(files, segment_name(files.writer, number, suffix)):
                    seen[key] = size
                else:
                    flushed.pop(files.writer, None)  # it is tried again
        for folder in grown:
            flush_folder(folder)
        self._sizes, self._flushed = seen, flushed


def _owner(folder: str) -> int:
    """Return whose spool directory it is: by its name, else ours."""
    name = os.path.basename(folder)
    return int(name) if identity.is_uid(name) else os.geteuid()


def _flush(files: Files, name: str) -> bool:
    try:
        fd = files.open(name)
    except (OSError, SegmentError):
        return False
    try:
        os.fdatasync(fd)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
