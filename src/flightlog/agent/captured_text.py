"""Masks captured lines as parts of what they stand in: a private key comes line by line, and a line that was cut goes on in the next record.

Invariants: a secret across the border of two records is masked in both; what has to be known of earlier lines can be had again from the bytes before
the position (`resume`), so that a tail may be made anew anywhere. Owns: that memory. Leaves what a secret is to `redact`.
"""

from __future__ import annotations

from .. import redact
from .lines import Line, interpret, split

AHEAD_BYTES = 4096  # behind a cut, for the mask's sake
BEFORE_BYTES = 16 << 10  # before a position: the longest private key


class CapturedText:
    """The memory of one stream."""

    __slots__ = ("_before", "_key")

    def __init__(self) -> None:
        self._key = redact.KeyBlock()
        self._before = ""

    def resume(self, before: bytes) -> None:
        """Remember the lines in *before*, the bytes that end where reading goes on; its first line may be half of one."""
        lines, _ = split(before, True)
        for line in lines:
            self.masked(line, interpret(line.raw)[1], b"")

    def masked(self, line: Line, text: str, after: bytes) -> str:
        """Return *text*, what *line* says, masked.

        Args:
            line: the next one of the stream.
            text: its message.
            after: bytes behind it; looked at when the line was cut.
        """
        safe = self._key.text(text)
        if line.partial or self._before:
            following = (
                after[:AHEAD_BYTES].split(b"\n", 1)[0].decode("utf-8", "backslashreplace") if line.partial else ""
            )
            if not self._key.inside:
                safe = redact.around(self._before, text, following)
            self._before = (self._before + text)[-AHEAD_BYTES:] if line.partial else ""
        return safe
