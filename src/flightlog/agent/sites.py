"""Call sites: what is the same in every record of one line of a program stands at the front of its payloads, and is decoded and escaped once.

Invariant: cutting a payload in two reads the same as decoding it whole. A front is known only when it is a JSON object of its own but for its brace, so that
the cut is between two of the payload's own keys; what stands behind may hold only the keys of `Record`, which a later key of the same name overrules.
Everything else (events, headers, records of other libraries or orders of keys) is decoded whole. Owns: that cut and the memory of fronts, bounded.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from .. import records
from .copytext import escape
from .decode import Record, decode, has_odd_escapes

MAX_SITES = 4096
MAX_FRONT_BYTES = 1024
_TIME, _MESSAGE = b',"t":', b',"m":'


class Site(NamedTuple):
    """What is known of a call site.

    Attributes:
        lv: the level's number.
        level: columns levelno, level, logger as COPY text.
        place: columns file, line, func as COPY text.
        lg, f, ln, fn: logger, file, line, func as they were recorded.
    """

    lv: int
    level: str
    place: str
    lg: str | None
    f: str | None
    ln: int | None
    fn: str | None


class _Front(msgspec.Struct, forbid_unknown_fields=True):
    k: str
    lv: int
    fn: str
    lg: str | None = None
    f: str | None = None
    ln: int | None = None


_decode_front = msgspec.json.Decoder(_Front).decode
_decode_rest = msgspec.json.Decoder(Record).decode


class Sites:
    """The call sites met so far; one for all writers, since the processes of a pipeline run the same lines."""

    def __init__(self) -> None:
        self._fronts: dict[bytes, Site | None] = {}
        self._others: dict[tuple[int, str | None, str | None, int | None, str | None], Site] = {}

    def read(self, payload: bytes) -> tuple[Site, Record]:
        """Return a payload's call site and the rest of it, a Frame when it had to be decoded whole. Raises PoisonRecord."""
        cut = payload.find(_TIME)
        if cut > 0 and not has_odd_escapes(payload):
            message = payload.find(_MESSAGE, 0, cut)
            front = payload[: message if message > 0 else cut]
            site = self._fronts.get(front)
            if site is None and front not in self._fronts:
                site = self._learn(front)
            if site is not None:
                try:
                    if not payload.isascii():
                        payload.decode()  # as `decode` does: what is kept raw is looked at nowhere else
                    return site, _decode_rest(b"{" + payload[len(front) + 1 :])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    pass
        frame = decode(payload)
        return self._of(frame.lv, frame.lg, frame.f, frame.ln, frame.fn), frame

    def _learn(self, front: bytes) -> Site | None:
        site = None
        try:
            found = _decode_front(front + b"}")
            if found.k == "log":
                site = self._of(found.lv, found.lg, found.f, found.ln, found.fn)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        if len(front) <= MAX_FRONT_BYTES:
            if len(self._fronts) >= MAX_SITES:
                self._fronts.clear()
            self._fronts[front] = site
        return site

    def _of(self, lv: int, lg: str | None, f: str | None, ln: int | None, fn: str | None) -> Site:
        key = (lv, lg, f, ln, fn)
        site = self._others.get(key)
        if site is None:
            line = "\\N" if ln is None or not -(2**31) <= ln < 2**31 else str(ln)
            level = f"{level_text(lv)}\t{escape(lg)}"
            site = Site(lv, level, f"{escape(f)}\t{line}\t{escape(fn)}", lg, f, ln, fn)
            if len(level) + len(site.place) <= MAX_FRONT_BYTES:
                if len(self._others) >= MAX_SITES:
                    self._others.clear()
                self._others[key] = site
        return site


def level_text(number: int) -> str:
    """Return columns levelno and level."""
    return f"{max(-32768, min(32767, number))}\t{records.level_name(number)}"
