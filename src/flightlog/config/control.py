"""The control page: how pressure and the kill switch reach running writers, at the price of one byte read per record.

    0 "FLCP" | 4 version u8 | 8 state u8 | 16 heartbeat u64, monotonic ns | 24 owner pid u64 | 32 owner start time u64     4096 bytes

state: bits 0-1 pressure (0 to 3), bits 4-6 rollout generation, bit 7 disabled. Zero is the normal case.
Invariants: written whole at birth, in place afterwards, never truncated, replaced or removed while in use: a mapped file that
shrinks would kill its readers. Without an owner's heartbeat readers look at the config file themselves, at most once a second.
Owns: the layout, both sides. Leaves deciding to the agent. Standard library only.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

from .. import identity
from . import switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

PAGE_BYTES = 4096
STATE = 8
DISABLED = 0x80
PRESSURE_MASK = 0x03
STALE_NS = 5_000_000_000
LOOK_EVERY_NS = 1_000_000_000
_HEARTBEAT = struct.Struct("<QQQ")
_NORMAL = bytes(STATE + 1)
_OFF = bytes(STATE) + bytes((DISABLED,))


class ControlPage:
    """The owner's side. Raises OSError when the page cannot be made."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if os.fstat(fd).st_size < PAGE_BYTES:
                os.pwrite(
                    fd, b"FLCP\x01" + bytes(PAGE_BYTES - 5), 0
                )  # real blocks: a hole could raise SIGBUS on a full disk
            self._page = mmap.mmap(fd, PAGE_BYTES)
        finally:
            os.close(fd)
        self.beat()

    def beat(self) -> None:
        """Say that the owner lives."""
        pid = os.getpid()
        self._page[16:40] = _HEARTBEAT.pack(time.monotonic_ns(), pid, identity.process_start_time(pid))

    def set_state(self, pressure: int = 0, disabled: bool = False) -> None:
        """Tell all readers: pressure 0 to 3, and whether monitoring is switched off."""
        self._page[STATE] = (pressure & PRESSURE_MASK) | (DISABLED if disabled else 0)


class ControlReader:
    """A writer's side: `page[STATE]` is the byte to look at; `look` keeps it true when nobody beats."""

    __slots__ = ("_config", "_mapped", "_path", "_seen", "page")

    def __init__(self, path: str, config: str) -> None:
        self._path, self._config = path, config
        self._mapped: mmap.mmap | None = None
        self._seen: tuple[object, ...] = ()
        self.page: Sequence[int] | mmap.mmap = _NORMAL

    def look(self) -> None:
        """Map the page if there is one; without a fresh heartbeat see for ourselves what the config says. Never raises.

        To be called at most once a second.
        """
        try:
            if self._mapped is None:
                self._map()
            if self._mapped is not None:
                beat = _HEARTBEAT.unpack(self._mapped[16:40])[0]
                if time.monotonic_ns() - beat < STALE_NS:
                    self.page = self._mapped
                    return
        except (OSError, ValueError):
            pass
        self._look_at_config()

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
        if seen != self._seen:
            self._seen = seen
            self.page = _NORMAL if switch.file_enabled(self._config) else _OFF
        elif self.page is self._mapped:
            self.page = _NORMAL if switch.file_enabled(self._config) else _OFF
