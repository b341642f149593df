"""The memory that keeper, shim and (until its exec) the command share: what the keeper must know if the shim dies.

Invariants: each field has one writer; a store of 8 aligned bytes is whole; a stream's position changes segment by
filling the inactive half and then turning `active`. Owns: the layout. Leaves waking the other side to its users.
"""

from __future__ import annotations

import ctypes
import mmap

# Page.phase
# EXITED: its status is known; RECORDED: all is in the journal and on the console; DONE: on disk as well;
# FAILED: nothing has begun
STARTING, RUNNING, EXITED, RECORDED, DONE, FAILED = 0, 1, 2, 3, 4, -1
# Slot.state
FLOWING, ENDED, BROKEN = 0, 1, 2  # ENDED: all echoed, nothing comes any more; BROKEN: the console's reader has gone


class Slot(ctypes.Structure):
    """How far one stream is on the console: everything before `offset` of segment `number` has been written."""

    number0: int
    number1: int
    offset0: int
    offset1: int
    active: int
    state: int
    lost: int  # bytes of the stream that no segment has, though they were wanted
    told: int  # how many of them lines of the log have told
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("number0", "number1", "offset0", "offset1", "active", "state", "lost", "told")
    ]

    @property
    def number(self) -> int:
        """The segment that is being echoed."""
        return self.number1 if self.active else self.number0

    @property
    def offset(self) -> int:
        """Where echoing stands in that segment."""
        return self.offset1 if self.active else self.offset0

    @offset.setter
    def offset(self, value: int) -> None:
        if self.active:
            self.offset1 = value
        else:
            self.offset0 = value

    def address(self) -> int:
        """Return the address of the active offset, for the kernel to move on."""
        field = Slot.offset1 if self.active else Slot.offset0
        return ctypes.addressof(self) + int(field.offset)  # type: ignore[attr-defined]

    def turn_to(self, number: int) -> None:
        """Go on at the beginning of segment *number*."""
        if self.active:
            self.number0, self.offset0 = number, 0
        else:
            self.number1, self.offset1 = number, 0
        self.active = 1 - self.active


class Page(ctypes.Structure):
    """The whole page. Made by `make_page`."""

    phase: int  # shim
    error: int  # shim: errno when phase is FAILED
    child: int  # shim, and the command itself: its pid
    child_start: int  # shim: its start time, in clock ticks since boot
    started_ns: int  # shim: monotonic, when it was let go
    exited_ns: int  # shim: monotonic, when its death was seen
    status: int  # shim: wait status; meaningful from EXITED on
    exec_error: int  # shim: errno when the command could not be executed
    stopped: int  # shim: the signal that stopped the command, 0 while it runs
    stops: int  # shim: how often it was stopped
    cleared: int  # shim: how many signals it has taken out of its queue by order of the keeper
    leaving: int  # keeper: it goes now, on purpose
    slots: ctypes.Array[Slot]
    _fields_ = [
        ("phase", ctypes.c_int64),
        ("error", ctypes.c_int64),
        ("child", ctypes.c_int64),
        ("child_start", ctypes.c_int64),
        ("started_ns", ctypes.c_int64),
        ("exited_ns", ctypes.c_int64),
        ("status", ctypes.c_int64),
        ("exec_error", ctypes.c_int64),
        ("stopped", ctypes.c_int64),
        ("stops", ctypes.c_int64),
        ("cleared", ctypes.c_int64),
        ("leaving", ctypes.c_int64),
        ("slots", Slot * 2),
    ]


def make_page() -> Page:
    """Return a new page of zeros that children made by fork share. Raises OSError."""
    return Page.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
