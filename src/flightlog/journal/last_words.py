"""Saying what was dropped, and last words into room that was set aside (ADR 0012).

Invariants: what is declared here is either written or still owed; a slot of the reserve becomes the current segment of its writer, so that the
order of segments stays the order of records, and takes nothing but what comes through `write`. Functions may raise OSError; only one thread at a
time may be in `write` (`writer` sees to that). Owns: the frames of drops, entering the reserve. Leaves counts to `drops`, slots to `reserve`.
"""

from __future__ import annotations

from ..system import os
from . import birth, reserve
from .encode import encode
from .format import FRAME_HEAD_BYTES, SPARE_SUFFIX, frame, segment_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .state import State

    Head = Optional[Callable[[], dict[str, Any]]]


def declare(state: State, head: Head, last: bool = False) -> None:
    """Write how many records were dropped so far, as a frame of its own, and the notice when it is due. Never raises."""
    data, told = _account(state, head, last)
    if (state.limit and not state.fits(len(data))) or state.write(state.fd, data, len(data)) != len(data):
        state.bad = state.slow = True
        return
    state.slow = state.bad or state.limit > 0
    state.drops.declared(told)


def write(state: State, directory: str, head: Head, spare: bool, payload: bytes, n: int) -> bool:
    """Write last words into the reserve, with what was dropped; empty *payload*: only that. Tell whether it is written."""
    if not birth.may_have(reserve.SLOT_BYTES):
        return False  # the limit holds for places in a slot as well
    account, told = _account(state, head, True) if state.drops.owed or not n else (b"", False)
    fits = state.on_reserve and len(account) + FRAME_HEAD_BYTES + len(payload) <= _room(state)
    if not fits and not _enter(state, directory, head, spare) and not state.on_reserve:
        return False
    data = account
    payload = reserve.shrunk(payload, _room(state) - len(account) - FRAME_HEAD_BYTES)
    if payload:
        data += frame(payload, state.salt, n)
    if not data or len(data) > _room(state) or os.write(state.fd, data) != len(data):
        return False
    if account:
        state.drops.declared(told)
    return bool(payload) or not n


def set_aside(state: State, directory: str, spare: bool) -> None:
    """See to it that there is room for last words while there is room: at the birth of a writer. Never raises."""
    if not birth.may_have(reserve.SLOT_BYTES):
        return
    try:
        if spare:
            reserve.make(os.path.join(directory, state.writer + SPARE_SUFFIX))
        if not reserve.is_filled(directory):
            reserve.fill(directory, reserve.SLOTS_AT_BIRTH)
    except OSError:
        pass


def _account(state: State, head: Head, last: bool) -> tuple[bytes, bool]:
    """Return the frames that declare drops, and whether the notice is among them."""
    data = frame(encode(state.drops.record()), state.salt, state.next()) if state.drops.owed else b""
    notice = state.drops.notice(_run(head), last)
    if notice is None:
        return data, False
    return data + frame(encode(notice), state.salt, state.next()), True


def _run(head: Head) -> object:
    try:
        return head().get("run") if head is not None else None
    except Exception:
        return None


def _enter(state: State, directory: str, head: Head, spare: bool) -> bool:
    """Make a slot of the reserve the current segment, which stays bad for everybody else; False when there is none."""
    taken = reserve.claim(directory, state.writer + SPARE_SUFFIX if spare else "")
    if taken is None:
        return False
    fd, path = taken
    number = state.numbers()
    try:
        state.lock(directory)
        header = frame(
            encode(birth.header(state.writer, number, state.drops.totals, state.before(), head)), state.salt, number
        )
        if os.write(fd, header) != len(header):
            raise OSError("the reserve is not what it was")
        os.rename(path, os.path.join(directory, segment_name(state.writer, number)))
    except BaseException:
        os.close(fd)
        raise
    if state.on_reserve:
        reserve.cut(state.fd)
    state.adopt(fd, number)
    state.on_reserve = state.bad = state.slow = True
    return True


def _room(state: State) -> int:
    """Return how many bytes the reserve that *state* is on still has."""
    return reserve.SLOT_BYTES - os.lseek(state.fd, 0, os.SEEK_CUR) if state.on_reserve else 0
