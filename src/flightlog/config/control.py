"""The control page: how pressure, quota and the kill switch reach running writers, at the price of one byte read per record.

    0 "FLCP" | 4 version u8 | 8 state u8 | 16 heartbeat u64, monotonic ns | 24 owner pid u64 | 32 owner start time u64      4096 bytes
    since version 2:  40 quota | 48 keep free | 56 used | 64 free (bytes) | 72 oldest unshipped, ns since the epoch | 80 block, ms (u64 each)

state: bits 0-1 pressure (0 to 3), bit 2 full, bits 4-6 rollout generation (0), bit 7 disabled. Zero is the normal case. docs/reference/quota.md
says it in full. For a pipeline that is not in the rollout (`gate`) a reader's page says disabled, whatever the owner's does. Invariants: written whole at birth, in place afterwards, never truncated, replaced or removed while in use: a mapped file that
shrinks would kill its readers. Without an owner's heartbeat readers look at the config file themselves, at most once a second, and at the disk
when they begin a segment.
Owns: the layout, both sides. Leaves deciding to the agent and the rules to `quota`. Standard library only.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections import namedtuple

from .. import identity
from . import quota, switch
from .compiled import path_for
from .gate import Gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

PAGE_BYTES = 4096
VERSION = 2
STATE = 8
DISABLED = 0x80
PRESSURE_MASK = 0x07
FULL_BIT = 0x04
STALE_NS = 5_000_000_000
LOOK_EVERY_NS = 1_000_000_000
MEASURE_EVERY_NS = 5_000_000_000  # while we find pressure by ourselves
_HEARTBEAT = struct.Struct("<QQQ")
_LIMITS = struct.Struct("<QQQQQQ")
_LIMITS_AT = 40
NOTHING_WAITS, UNKNOWN = 0, (1 << 64) - 1

# What an owner says besides the state. `oldest`: when the oldest record was made that is not shipped; NOTHING_WAITS, or UNKNOWN.
Limits = namedtuple("Limits", ("quota", "keep", "used", "free", "oldest", "block_ms"))
NO_LIMITS = Limits(0, 0, 0, 0, UNKNOWN, 0)
# The pressure that the low bits of a state mean.
LEVELS = (0, 1, 2, 3, quota.FULL, quota.FULL, quota.FULL, quota.FULL)
_PAGES = {state: bytes(STATE) + bytes((state,)) for state in (0, 1, 2, 3, 7, DISABLED)}


def state_of(pressure: int, disabled: bool = False) -> int:
    """Return the state byte for a pressure of 0 to 4 (`quota.FULL`)."""
    return (3 | FULL_BIT if pressure >= quota.FULL else pressure) | (DISABLED if disabled else 0)


class ControlPage:
    """The owner's side. Raises OSError when the page cannot be made.

    Args:
        path: where it lies.
        mode: 0600; 0644 for another user's, which only its owner can write.
    """

    def __init__(self, path: str, mode: int = 0o600) -> None:
        self.path = path
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if os.fstat(fd).st_uid != os.geteuid():
                raise PermissionError("%s is another user's" % path)  # who could shrink it under us
            os.fchmod(fd, mode)
            if os.fstat(fd).st_size < PAGE_BYTES:
                os.pwrite(fd, bytes(PAGE_BYTES), 0)  # real blocks: a hole could raise SIGBUS on a full disk
            self._page = mmap.mmap(fd, PAGE_BYTES)
        finally:
            os.close(fd)
        self._page[:5] = b"FLCP" + bytes((VERSION,))
        self.beat()

    def beat(self) -> None:
        """Say that the owner lives."""
        pid = os.getpid()
        self._page[16:40] = _HEARTBEAT.pack(time.monotonic_ns(), pid, identity.process_start_time(pid))

    def set_state(self, pressure: int = 0, disabled: bool = False) -> None:
        """Tell all readers: pressure 0 to 4, and whether monitoring is switched off."""
        self._page[STATE] = state_of(pressure, disabled)

    def set_limits(self, limits: Limits) -> None:
        """Tell what the spool may hold, what it holds, and how long a full one may keep a pipeline waiting."""
        fields = [min(max(0, int(value)), UNKNOWN) for value in limits]
        self._page[_LIMITS_AT : _LIMITS_AT + _LIMITS.size] = _LIMITS.pack(*fields)


def read(path: str) -> tuple[int, Limits] | None:
    """Return the pressure (0 to 4) and limits on a page whose owner lives; None when there is none. For who looks once. Never raises."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            data = os.pread(fd, PAGE_BYTES, 0)
        finally:
            os.close(fd)
        beat = _HEARTBEAT.unpack_from(data, 16)[0]
        if data[:4] != b"FLCP" or data[4] < VERSION or not 0 <= time.monotonic_ns() - beat < STALE_NS:
            return None
        return LEVELS[data[STATE] & PRESSURE_MASK], Limits(*_LIMITS.unpack_from(data, _LIMITS_AT))
    except (OSError, struct.error, IndexError):
        return None


class ControlReader:
    """A writer's side: `page[STATE]` is the byte to look at; `look` keeps it true when nobody beats.

    Args:
        path: of the page.
        config: the config file whose switch is looked at when nobody beats, or empty.
        spool: the directory whose size is looked at then, or empty.
        pipeline: whose records they are: not in the rollout means disabled. Empty: nobody's in particular.

    Attributes:
        pipeline: may be changed; `look` afterwards.
    """

    __slots__ = (
        "_config",
        "_enabled",
        "_gate",
        "_mapped",
        "_measure_at",
        "_path",
        "_pressure",
        "_quota",
        "_seen",
        "_spool",
        "_was_owned",
        "page",
        "pipeline",
    )

    def __init__(self, path: str, config: str, spool: str = "", pipeline: str = "") -> None:
        self._path, self._config, self._spool = path, config, spool
        self.pipeline = pipeline
        self._gate = Gate(path_for(path), config)
        self._mapped: mmap.mmap | None = None
        self._seen: tuple[object, ...] = ()
        self._enabled, self._was_owned = True, False
        self._pressure = self._quota = self._measure_at = 0  # as we find them ourselves, and when to look again
        self.page: Sequence[int] | mmap.mmap = _PAGES[0]

    def look(self) -> None:
        """Map the page if there is one; without a fresh heartbeat see for ourselves what the config says. Never raises.

        To be called at most once a second.
        """
        try:
            if self._mapped is None:
                self._map()
            if self._owned():
                assert self._mapped is not None
                self.page = self._mapped if self._is_in(True) else _PAGES[DISABLED]
                self._pressure = 0
                self._was_owned = True
                return
        except (OSError, ValueError):
            pass
        self._look_at_config()
        if self._pressure and time.monotonic_ns() >= self._measure_at:
            self._measure()
        off = not self._enabled or not self._is_in(False)
        self.page = _PAGES[DISABLED] if off else _PAGES[state_of(self._pressure)]

    def measure(self) -> None:
        """Without an owner: see how full spool and disk are. A bounded look; for births of segments, never for each record."""
        try:
            if not self._owned():
                self._measure()
                self.look()
        except (OSError, ValueError, OverflowError):  # a spool or disk that cannot be looked at; a write will tell
            self._pressure = 0

    @property
    def pressure(self) -> int:
        """The pressure, 0 to 4."""
        return LEVELS[self.page[STATE] & PRESSURE_MASK]

    @property
    def limits(self) -> Limits:
        """What an owner said last, who may be gone; zeros when nobody ever did."""
        page = self._mapped
        if page is None or page[4] < 2:
            return NO_LIMITS
        return Limits(*_LIMITS.unpack(page[_LIMITS_AT : _LIMITS_AT + _LIMITS.size]))

    @property
    def quota(self) -> int:
        """How many bytes this user's part of the spool may hold, as an owner said or as we found; 0 while neither is known."""
        return int(self.limits.quota) or self._quota

    def is_owned(self) -> bool:
        """Tell whether somebody beats; `look` first."""
        return self._owned()

    def _is_in(self, owned: bool) -> bool:
        """Tell whether our pipeline is in the rollout."""
        if not self.pipeline:
            return True
        self._gate.look(owned)
        return self._gate.admits(self.pipeline)

    def _owned(self) -> bool:
        if self._mapped is None:
            return False
        return bool(time.monotonic_ns() - _HEARTBEAT.unpack(self._mapped[16:40])[0] < STALE_NS)

    def _measure(self) -> None:
        self._measure_at = time.monotonic_ns() + MEASURE_EVERY_NS
        found = quota.disk(self._spool) if self._spool else None
        if found is None:
            self._pressure = 0
            return
        said = self.limits
        most = said.quota or quota.quota_bytes(quota.DEFAULT_QUOTA, found.total)
        keep = said.keep if said.quota else quota.keep_bytes(quota.DEFAULT_KEEP_FREE, found.total)
        self._quota = most
        share = quota.share_used(quota.directory_bytes(self._spool), most, found.free, keep)
        self._pressure = quota.pressure(share, self._pressure)

    def _map(self) -> None:
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        try:
            if os.fstat(fd).st_size >= PAGE_BYTES:
                self._mapped = mmap.mmap(fd, PAGE_BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(fd)

    def _look_at_config(self) -> None:
        try:
            status = os.stat(self._config) if self._config else None
        except OSError:
            status = None
        seen = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        if seen != self._seen or self._was_owned:
            self._was_owned = False
            self._seen = seen
            self._enabled = switch.file_enabled(self._config)
